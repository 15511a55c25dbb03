//! What a coordinator of a farm asks for when a build is submitted: the plans of a template that came as a bundle.
//!
//! Nothing of the coordinator's own machine is looked at but the clock and chance: files are those of the bundle, and the
//! environment is what came with the request. Components' own checks of files and programs were made where the build was
//! submitted, and are made again on the agent, which has them.

use std::sync::Arc;

use kiln_config::world::{BundleHost, Found, Shelf};
use kiln_config::{Answers, Evaluation, Inputs, SharedHost, Submission};
use kiln_coordinator::{Asked, Evaluated, Evaluator};
use kiln_lang::Diagnostic;
use kiln_proto::bundle::{BundleFiles, Entry};

use crate::local_host::LocalHost;

/// Evaluates submissions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FarmEvaluation;

impl Evaluator for FarmEvaluation {
    fn evaluate(&self, asked: &Asked<'_>) -> Evaluated {
        let Some(files) = asked.bundle else {
            return refused("A build for a farm comes with its files; send it with `kiln build -farm`.");
        };
        match serde_json::from_slice(asked.request) {
            Ok(submission) => evaluate(submission, Arc::clone(files), asked),
            Err(error) => refused(&error.to_string()),
        }
    }
}

fn refused(why: &str) -> Evaluated {
    Evaluated { diagnostics: Diagnostic::error("Unreadable request", why).into(), ..Evaluated::default() }
}

fn evaluate(submission: Submission, files: Arc<BundleFiles>, asked: &Asked<'_>) -> Evaluated {
    let Submission { request, world } = submission;
    let machine: SharedHost = Arc::new(LocalHost::default());
    let host: SharedHost = Arc::new(BundleHost::new(Arc::new(Files(files)), world, machine));
    let (template, mut found, _sources) = kiln_config::parse(&request, &host);
    let Some(template) = template else { return Evaluated { diagnostics: found, ..Evaluated::default() } };
    let mut answers = Answers::none();
    asked.answers.iter().for_each(|(query, answer)| answers.take(query, answer.clone()));
    let unreadable = found.has_errors();
    let inputs = Inputs { request: &request, catalog: Some(asked.catalog), answers: &answers, host: &host };
    match kiln_config::evaluate(&template, inputs) {
        Evaluation::Done { plans, diagnostics } => {
            found.extend(diagnostics);
            let plans = if unreadable { Vec::new() } else { plans };
            Evaluated { plans, diagnostics: found, questions: Vec::new() }
        }
        Evaluation::NeedsData(questions) => Evaluated { plans: Vec::new(), diagnostics: found, questions },
    }
}

/// The files of a bundle, as evaluation looks at them.
#[derive(Debug)]
struct Files(Arc<BundleFiles>);

impl Shelf for Files {
    fn look(&self, name: &str) -> Option<Found> {
        match self.0.get(name) {
            Some(Entry::File { contents, .. }) => Some(Found::File(contents.to_vec())),
            Some(Entry::Link { target }) => Some(Found::Link(target.clone())),
            None => (name.is_empty() || self.0.below(name).next().is_some()).then_some(Found::Directory),
        }
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let skip = if directory.is_empty() { 0 } else { directory.len() + 1 };
        let first = |(name, _): (&str, &Entry)| name[skip..].split('/').next().unwrap_or_default().to_owned();
        let mut names: Vec<String> = self.0.below(directory).map(first).collect();
        names.dedup();
        names
    }
}
