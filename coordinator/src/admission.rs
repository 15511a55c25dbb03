//! A request becomes a build: it is evaluated, its plans are kept, and its tasks are put to the ledger.
//!
//! ```text
//!   request ──► wait for an agent ──► evaluate ──► no plans? ── tell, and submit nothing
//!                (its catalog says     ▲     │        │ some
//!                 what there is)       │     │        └─► keep plans ──► open logs ──► Submit
//!                                 answers    └─► questions to data sources?
//!                                      └── agents ◄──┘
//! ```
//!
//! A request with a key that was carried out before is answered with its build: then the answer was lost, not the request.

use std::fmt::Debug;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use kiln_lang::Diagnostics;
use kiln_model::{Action, NewTask, Origin, Outcome};
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{BuildId, RequestId, TaskId};
use kiln_plan::{BuildPlan, Catalog, DataAnswer, DataQuery, Requirements};
use kiln_proto::bundle::BundleFiles;
use kiln_proto::submission::{SubmitReply, SubmitRequest};
use kiln_proto::{Bytes, Code, Problem};
use uuid::Uuid;

use crate::Coordinator;
use crate::identity::Caller;

/// The most bytes of one plan. It goes to its agent in one message.
const PLAN_LIMIT: usize = 16 << 20;

/// Turns requests into plans. Given to the coordinator at its start, because only the program as a whole knows
/// where a request's files are and what the components say to a plan.
pub trait Evaluator: Debug + Send + Sync + 'static {
    /// Evaluates what is asked. Runs on a thread where it may take its time; must start no component. What data
    /// sources must be asked first is returned as questions, and the evaluation repeated once the answers are there.
    fn evaluate(&self, asked: &Asked<'_>) -> Evaluated;
}

/// What is to be evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// JSON of `kiln_config::Request`, or of `kiln_config::Submission` when there is a bundle.
    pub request: &'a [u8],
    /// The files that it is about; none in a farm of one, which has them.
    pub bundle: Option<&'a Arc<BundleFiles>>,
    /// The components that there are.
    pub catalog: &'a Catalog,
    /// What data sources answered so far.
    pub answers: &'a [Answered],
}

/// What an evaluation yields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluated {
    /// The plans, one per source, in the order of the template. A source with an error has none, and doesn't
    /// keep the others from being built.
    pub plans: Vec<BuildPlan>,
    /// What was found.
    pub diagnostics: Diagnostics,
    /// What must be asked before there can be plans.
    pub questions: Vec<DataQuery>,
}

/// A question with what came of it.
pub type Answered = (DataQuery, DataAnswer);

/// The most rounds of questions. Each round answers at least one data source, so that only a template with a longer chain
/// of data sources could need more.
const ROUNDS: usize = 100;

/// Admits a request.
///
/// # Errors
/// When the farm can't take it now, or not at all. What is wrong with the template is not an error but told in
/// the reply, which names no build when nothing is left to build.
pub(crate) async fn submit(
    coordinator: &Arc<Coordinator>,
    caller: &Caller,
    request: SubmitRequest,
) -> Result<SubmitReply, Problem> {
    if coordinator.lifecycle.is_closing() {
        return Err(Problem::new(Code::Unavailable, "this coordinator is about to stop"));
    }
    let bundle = match request.bundle {
        Some(digest) => Some(Arc::new(bundle(coordinator, digest).await?)),
        None => None,
    };
    let catalog = catalog(coordinator).await?;
    let Evaluated { mut plans, diagnostics, .. } = evaluate(coordinator, &request, bundle, catalog).await?;
    let sent = request.key.map(|key| request_of(caller, key));
    if let Some(build) = sent.and_then(|sent| coordinator.ledger.read(|farm| farm.submitted_by(sent))) {
        return Ok(already(coordinator, build, diagnostics));
    }
    if plans.is_empty() {
        return Ok(SubmitReply { diagnostics, ..SubmitReply::default() });
    }
    plans.iter_mut().for_each(|plan| plan.bundle = request.bundle);
    let tasks = keep(coordinator, &plans).await?;
    let named = tasks.iter().map(|task| (task.id, task.name.clone())).collect();
    let build = BuildId::new(Uuid::now_v7());
    match enter(coordinator, build, (&request, caller), tasks).await? {
        Entered::New => Ok(SubmitReply { build: Some(build), tasks: named, diagnostics, joined: false }),
        Entered::Before(build) => Ok(already(coordinator, build, diagnostics)),
        Entered::UnderWay(other) => {
            Ok(SubmitReply { joined: true, ..already(coordinator, other, diagnostics) })
        }
    }
}

/// The answer to a request whose build is there.
fn already(coordinator: &Coordinator, build: BuildId, diagnostics: Diagnostics) -> SubmitReply {
    SubmitReply { build: Some(build), tasks: tasks_of(coordinator, build), diagnostics, joined: false }
}

/// What a request is known by when it is sent again: its key, among those of its sender.
fn request_of(caller: &Caller, key: RequestId) -> Fingerprint {
    Fingerprint::of_bytes(format!("{} {key}", caller.to_header()).as_bytes())
}

fn tasks_of(coordinator: &Coordinator, build: BuildId) -> Vec<(TaskId, String)> {
    coordinator.ledger.read(|farm| {
        let tasks = farm.builds().get(&build).into_iter().flat_map(|build| &build.tasks);
        tasks.filter_map(|id| farm.tasks().get(id)).map(|task| (task.id, task.name.clone())).collect()
    })
}

/// For whom a build is, and what it has in common with others that would do the same.
fn origin(request: &SubmitRequest, tasks: &[NewTask]) -> Origin {
    let usual = Origin::default();
    let asked = (!request.project.is_empty()).then(|| request.project.clone());
    let named = tasks.iter().find_map(|task| task.requirements.project.clone());
    Origin {
        project: asked.or(named).unwrap_or(usual.project),
        priority: request.priority,
        fingerprint: request.bundle.and_then(|bundle| likeness(bundle, &request.request)),
        bundle: request.bundle,
        trace_parent: request.trace_parent,
        ..usual
    }
}

/// The digest of what is asked and of which files, but for when it was asked and by which run.
fn likeness(bundle: Fingerprint, request: &[u8]) -> Option<Fingerprint> {
    let mut asked: serde_json::Value = serde_json::from_slice(request).ok()?;
    if let Some(request) = asked.get_mut("request").and_then(serde_json::Value::as_object_mut) {
        request.remove("run_uuid");
        request.remove("started_ns");
    }
    Some(Fingerprint::of_bytes(format!("{bundle} {asked}").as_bytes()))
}

async fn bundle(coordinator: &Coordinator, digest: Fingerprint) -> Result<BundleFiles, Problem> {
    let unknown =
        || Problem::new(Code::NotFound, format!("the farm doesn't have bundle {digest}; send it first"));
    coordinator.bundles.files(digest).await?.ok_or_else(unknown)
}

/// Evaluates and asks in turn, until nothing is left to ask.
async fn evaluate(
    coordinator: &Arc<Coordinator>,
    request: &SubmitRequest,
    bundle: Option<Arc<BundleFiles>>,
    catalog: Arc<Catalog>,
) -> Result<Evaluated, Problem> {
    let mut answers: Vec<Answered> = Vec::new();
    for _ in 0..ROUNDS {
        let (evaluator, request) = (Arc::clone(&coordinator.evaluator), request.request.clone());
        let (catalog, bundle) = (Arc::clone(&catalog), bundle.clone());
        let evaluate = move || {
            let bundle = bundle.as_ref();
            let asked = Asked { request: &request, bundle, catalog: &catalog, answers: &answers };
            let evaluated = evaluator.evaluate(&asked);
            (evaluated, answers)
        };
        let _thread = coordinator.evaluations.acquire().await;
        let broke_off =
            |_| Problem::new(Code::Internal, "the evaluation of the template broke off; please report it");
        let (evaluated, given) = tokio::task::spawn_blocking(evaluate).await.map_err(broke_off)?;
        if evaluated.questions.is_empty() {
            return Ok(evaluated);
        }
        let came = ask(coordinator, &evaluated.questions).await?;
        answers = given;
        answers.extend(evaluated.questions.into_iter().zip(came));
    }
    let told = format!("the template asks data sources in more than {ROUNDS} rounds");
    Err(Problem::new(Code::Invalid, told))
}

/// Asks data sources, all at once.
///
/// # Errors
/// When no agent answers. What a data source says of its failure is an answer.
pub(crate) async fn ask(
    coordinator: &Coordinator,
    queries: &[DataQuery],
) -> Result<Vec<DataAnswer>, Problem> {
    let term = coordinator.terms.current()?;
    let patience = coordinator.settings.agent_patience;
    let one = |query| coordinator.data_desk.ask(query, &coordinator.roster, patience);
    let all = futures::future::try_join_all(queries.iter().map(one));
    tokio::select! {
        answers = all => answers,
        problem = term.ended() => Err(problem),
    }
}

async fn catalog(coordinator: &Coordinator) -> Result<Arc<Catalog>, Problem> {
    let patience = coordinator.settings.agent_patience;
    tokio::time::timeout(patience, coordinator.roster.first_catalog()).await.map_err(|_| {
        let seconds = patience.as_secs();
        let told = format!("no agent has joined the farm for {seconds} s; start one with `kiln agent`");
        // Not "unavailable": whoever asks again and again would only wait longer for a machine that isn't there.
        Problem::new(Code::Refused, told)
    })
}

/// Keeps the plans, and makes tasks of them. All at once: on a disk, each waits for its turn otherwise.
async fn keep(coordinator: &Coordinator, plans: &[BuildPlan]) -> Result<Vec<NewTask>, Problem> {
    futures::future::try_join_all(plans.iter().map(|plan| keep_one(coordinator, plan))).await
}

async fn keep_one(coordinator: &Coordinator, plan: &BuildPlan) -> Result<NewTask, Problem> {
    let json = serde_json::to_vec(plan).map_err(|error| Problem::from_error(Code::Internal, &error))?;
    if json.len() > PLAN_LIMIT {
        let (name, size, limit) = (&plan.name, json.len() >> 20, PLAN_LIMIT >> 20);
        let told = format!(
            "the plan of {name} has {size} MiB, the limit is {limit}; put large files beside the template"
        );
        return Err(Problem::new(Code::TooLarge, told));
    }
    let bound = |of: Option<Duration>| of.map(|of| u64::try_from(of.as_millis()).unwrap_or(u64::MAX));
    let (deadline, no_progress) = (coordinator.settings.deadline, coordinator.settings.no_progress);
    let terms = plan.requirements.terms.or(bound(deadline), bound(no_progress));
    let kept = coordinator.plans.put(Bytes::from(json)).await;
    Ok(NewTask {
        id: TaskId::new(Uuid::now_v7()),
        name: plan.name.clone(),
        plan: kept.map_err(|error| Problem::from_error(Code::Unavailable, &error))?,
        requirements: Requirements { terms, ..plan.requirements.clone() },
    })
}

/// What the ledger made of a submission.
enum Entered {
    /// A build.
    New,
    /// Nothing, since the request made this build before.
    Before(BuildId),
    /// Nothing, since this build does the same and is under way, and the request wants that.
    UnderWay(BuildId),
}

/// Opens the logs and puts the build to the ledger, in this order: an agent may speak right after.
async fn enter(
    coordinator: &Coordinator,
    build: BuildId,
    (request, caller): (&SubmitRequest, &Caller),
    tasks: Vec<NewTask>,
) -> Result<Entered, Problem> {
    let submitter = caller.person().map(str::to_owned);
    let sent = request.key.map(|key| request_of(caller, key));
    let origin = Origin { submitter, request: sent, ..origin(request, &tasks) };
    let (parallel, join) = (NonZeroU32::new(request.parallel), request.join);
    coordinator.events.open(build, tasks.iter().map(|task| task.id));
    let proposed = coordinator.ledger.propose(Action::Submit { build, parallel, tasks, origin, join }).await;
    let ended = match proposed {
        Ok(Outcome::Refused(refusal)) => Err(Problem::from_error(Code::Refused, &refusal)),
        Ok(Outcome::UnderWay { build }) => Ok(Entered::UnderWay(build)),
        Ok(Outcome::SubmittedBefore { build }) => Ok(Entered::Before(build)),
        Ok(_) => return Ok(Entered::New),
        Err(error) => Err(error.into()),
    };
    coordinator.events.forget(build);
    ended
}
