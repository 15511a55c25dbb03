//! A run as people follow it: the header, the lines of each build, how each ended, and the summary.

use std::time::Duration;

use kiln_lang::duration::in_words;
use kiln_plan::byte_count;
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::TaskId;
use kiln_plan::{ArtifactRecord, Event, EventKind, Failure};

use super::live::Status;
use super::style::Style;
use super::{Movement, Reader};
use super::{Screen, Tone, summary};
use crate::exit_code::Ended;

/// The builds of a run and what is known of each.
#[derive(Debug)]
pub(crate) struct RunView<'a> {
    screen: &'a Screen,
    builds: Vec<BuildView>,
}

/// One build, as shown.
#[derive(Debug)]
pub(crate) struct BuildView {
    /// Its task.
    pub(crate) task: TaskId,
    /// The name that people know.
    pub(crate) name: String,
    style: Style,
    began_ms: Option<u64>,
    /// How long it took, once it has ended.
    pub(crate) took: Duration,
    /// The steps that ended, with how long each took.
    pub(crate) steps: Vec<(String, Duration)>,
    /// How it ended.
    pub(crate) outcome: Option<TaskOutcome>,
}

impl<'a> RunView<'a> {
    /// A run of these builds.
    pub(crate) fn new(screen: &'a Screen, builds: impl IntoIterator<Item = (TaskId, String)>) -> Self {
        let view = |(index, (task, name))| BuildView {
            task,
            name,
            style: Style::of_build(index),
            began_ms: None,
            took: Duration::ZERO,
            steps: Vec::new(),
            outcome: None,
        };
        Self { screen, builds: builds.into_iter().enumerate().map(view).collect() }
    }

    /// Says which build speaks in which colour.
    pub(crate) fn header(&self) {
        let look = self.screen.look();
        if !look.color || look.reader == Reader::Scripts {
            return;
        }
        for build in &self.builds {
            self.screen.colored(
                Tone::Say,
                build.style,
                &format!("{}: output will be in this color.", build.name),
            );
        }
        self.screen.say("");
    }

    /// Shows one event.
    pub(crate) fn event(&mut self, event: &Event) {
        let Some(index) = self.builds.iter().position(|b| b.task == event.task) else { return };
        let build = &mut self.builds[index];
        let began = *build.began_ms.get_or_insert(event.at_ms);
        match &event.kind {
            EventKind::Say { speaker, text } => {
                self.screen.build_says(Tone::Say, build.style, &build.target(speaker.as_deref()), text);
            }
            EventKind::Error { speaker, text } => {
                self.screen.build_says(Tone::Error, build.style, &build.target(speaker.as_deref()), text);
            }
            EventKind::StepStarted { step } => {
                self.screen.status(index, Status::Doing { name: &build.name, step });
            }
            EventKind::StepFinished { step, took_ms } => {
                build.steps.push((step.clone(), Duration::from_millis(*took_ms)));
            }
            EventKind::Progress { label, done, total, unit } => {
                self.screen.progress(index, &Movement { label, done: *done, total: *total, unit: *unit });
            }
            EventKind::Question { .. } => {}
            EventKind::Finished { outcome } => {
                build.took = Duration::from_millis(event.at_ms.saturating_sub(began));
                build.outcome = Some(outcome.clone());
                self.screen.status(index, Status::Ended);
                self.ended(index);
            }
        }
    }

    /// Whether it was told of each build how it ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.builds.iter().all(|build| build.outcome.is_some())
    }

    /// The name of a task's build.
    pub(crate) fn name(&self, task: TaskId) -> &str {
        self.builds.iter().find(|b| b.task == task).map_or("", |b| &b.name)
    }

    fn ended(&self, index: usize) {
        let build = &self.builds[index];
        let took = in_words(build.took);
        match &build.outcome {
            Some(TaskOutcome::Succeeded { .. }) => {
                let text = format!("Build '{}' finished after {took}.", build.name);
                self.screen.colored(Tone::Say, build.style, &text);
            }
            Some(TaskOutcome::Failed { failure }) => {
                self.screen.error(&format!("Build '{}' errored after {took}: {}", build.name, told(failure)));
            }
            Some(TaskOutcome::Cancelled) => {
                self.screen
                    .error(&format!("Build '{}' errored after {took}: build was cancelled", build.name));
            }
            None => {}
        }
    }

    /// Shows the summary. `interrupted` when a person ended the run.
    pub(crate) fn finish(&self, took: Duration, interrupted: bool) -> Ended {
        self.screen.settle();
        self.screen.say(&format!("\n==> Wait completed after {}", in_words(took)));
        if interrupted {
            self.screen.say("Cleanly cancelled builds after being interrupted.");
            return Ended::Failed;
        }
        self.failures();
        self.artifacts();
        if self.screen.is_live() {
            self.screen.raw(&summary::table(&self.builds));
        }
        let all_well = self.builds.iter().all(|b| matches!(b.outcome, Some(TaskOutcome::Succeeded { .. })));
        if all_well { Ended::Well } else { Ended::Failed }
    }

    fn failures(&self) {
        let failed: Vec<(&BuildView, String)> =
            self.builds.iter().filter_map(|b| Some((b, b.failure()?))).collect();
        if failed.is_empty() {
            return;
        }
        self.screen.machine("", "error-count", &[&failed.len().to_string()]);
        self.screen.say("\n==> Some builds didn't complete successfully and had errors:");
        for (build, why) in failed {
            self.screen.machine(&build.name, "error", &[&why]);
            self.screen.say(&format!("--> {}: {why}", build.name));
        }
    }

    fn artifacts(&self) {
        let made: Vec<(&BuildView, &[ArtifactRecord])> = self
            .builds
            .iter()
            .filter_map(|b| Some((b, b.artifacts()?)))
            .filter(|(_, a)| !a.is_empty())
            .collect();
        if made.is_empty() {
            self.screen.say("\n==> Builds finished but no artifacts were created.");
            return;
        }
        self.screen.say("\n==> Builds finished. The artifacts of successful builds are:");
        for (build, artifacts) in made {
            self.screen.machine(&build.name, "artifact-count", &[&artifacts.len().to_string()]);
            for (index, artifact) in artifacts.iter().enumerate() {
                self.artifact(&build.name, index, artifact);
            }
        }
    }

    fn artifact(&self, build: &str, index: usize, artifact: &ArtifactRecord) {
        let index = index.to_string();
        let line = |data: &[&str]| {
            let all: Vec<&str> = std::iter::once(index.as_str()).chain(data.iter().copied()).collect();
            self.screen.machine(build, "artifact", &all);
        };
        line(&["builder-id", &artifact.builder_id]);
        line(&["id", &artifact.id]);
        line(&["string", &artifact.description]);
        line(&["files-count", &artifact.files.len().to_string()]);
        for (number, file) in artifact.files.iter().enumerate() {
            line(&["file", &number.to_string(), &file.path]);
        }
        line(&["end"]);
        self.screen.say(&format!("--> {build}: {}", artifact.description));
    }
}

impl BuildView {
    fn target(&self, speaker: Option<&str>) -> String {
        speaker.map_or_else(|| self.name.clone(), |speaker| format!("{} ({speaker})", self.name))
    }

    fn failure(&self) -> Option<String> {
        match self.outcome.as_ref() {
            Some(TaskOutcome::Failed { failure }) => Some(told(failure)),
            Some(TaskOutcome::Cancelled) => Some("build was cancelled".to_owned()),
            Some(TaskOutcome::Succeeded { .. }) => None,
            None => Some("it never reported how it ended".to_owned()),
        }
    }

    /// What it made; `None` unless it succeeded.
    pub(crate) fn artifacts(&self) -> Option<&[ArtifactRecord]> {
        match self.outcome.as_ref()? {
            TaskOutcome::Succeeded { artifacts } => Some(artifacts),
            _ => None,
        }
    }
}

/// A failure with its evidence and what to do next, each on a line of its own.
fn told(failure: &Failure) -> String {
    let further = failure.evidence.iter().chain(failure.hint.as_ref()).map(|line| format!("\n    {line}"));
    std::iter::once(failure.message.clone()).chain(further).collect()
}

/// A size for the summary.
pub(super) fn size(artifact: &ArtifactRecord) -> String {
    byte_count::in_words(artifact.files.iter().map(|f| f.size).sum())
}
