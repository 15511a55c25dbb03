//! A request becomes a build: it is evaluated, its plans are kept, and its tasks are put to the ledger.
//!
//! ```text
//!   request ──► wait for an agent ──► evaluate ──► no plans? ── tell, and submit nothing
//!                (its catalog says     ▲     │        │ some
//!                 what there is)       │     │        └─► keep plans ──► open logs ──► Submit
//!                                 answers    └─► questions to data sources?
//!                                      └── agents ◄──┘
//! ```

use std::fmt::Debug;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use kiln_lang::Diagnostics;
use kiln_model::{Action, NewTask, Origin, Outcome};
use kiln_plan::id::{BuildId, TaskId};
use kiln_plan::{BuildPlan, Catalog, DataAnswer, DataQuery, Requirements};
use kiln_proto::submission::{SubmitReply, SubmitRequest};
use kiln_proto::{Bytes, Code, Problem};
use uuid::Uuid;

use crate::Coordinator;

/// The most bytes of one plan. It goes to its agent in one message.
const PLAN_LIMIT: usize = 16 << 20;

/// Turns requests into plans. Given to the coordinator at its start, because only the program as a whole knows
/// where a request's files are and what the components say to a plan.
pub trait Evaluator: Debug + Send + Sync + 'static {
    /// Evaluates `request`, JSON of `kiln_config::Request`, against the components of `catalog`. Runs on a thread
    /// where it may take its time; must start no component. What data sources must be asked first is returned
    /// as questions, and the evaluation repeated once `answers` has what came of them.
    fn evaluate(&self, request: &[u8], catalog: &Catalog, answers: &[Answered]) -> Evaluated;
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
    request: SubmitRequest,
) -> Result<SubmitReply, Problem> {
    if coordinator.lifecycle.is_closing() {
        return Err(Problem::new(Code::Unavailable, "this coordinator is about to stop"));
    }
    let catalog = catalog(coordinator).await?;
    let Evaluated { plans, diagnostics, .. } = evaluate(coordinator, &request, catalog).await?;
    if plans.is_empty() {
        return Ok(SubmitReply { build: None, tasks: Vec::new(), diagnostics });
    }
    let build = BuildId::new(Uuid::now_v7());
    let tasks = keep(coordinator, &plans).await?;
    let named = tasks.iter().map(|task| (task.id, task.name.clone())).collect();
    enter(coordinator, build, NonZeroU32::new(request.parallel), tasks).await?;
    Ok(SubmitReply { build: Some(build), tasks: named, diagnostics })
}

/// Evaluates and asks in turn, until nothing is left to ask.
async fn evaluate(
    coordinator: &Arc<Coordinator>,
    request: &SubmitRequest,
    catalog: Catalog,
) -> Result<Evaluated, Problem> {
    let catalog = Arc::new(catalog);
    let mut answers: Vec<Answered> = Vec::new();
    for _ in 0..ROUNDS {
        let (evaluator, request) = (Arc::clone(&coordinator.evaluator), request.request.clone());
        let catalog = Arc::clone(&catalog);
        let evaluate = move || {
            let evaluated = evaluator.evaluate(&request, &catalog, &answers);
            (evaluated, answers)
        };
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
    let patience = coordinator.settings.agent_patience;
    let one = |query| coordinator.data_desk.ask(query, &coordinator.roster, patience);
    let all = futures::future::try_join_all(queries.iter().map(one));
    tokio::select! {
        answers = all => answers,
        () = coordinator.lifecycle.closing().cancelled() => {
            Err(Problem::new(Code::Unavailable, "this coordinator is about to stop"))
        }
    }
}

async fn catalog(coordinator: &Coordinator) -> Result<Catalog, Problem> {
    let patience = coordinator.settings.agent_patience;
    tokio::time::timeout(patience, coordinator.roster.first_catalog()).await.map_err(|_| {
        let seconds = patience.as_secs();
        let told = format!("no agent has joined the farm for {seconds} s; start one with `kiln agent`");
        Problem::new(Code::Unavailable, told)
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

/// Opens the logs and puts the build to the ledger, in this order: an agent may speak right after.
async fn enter(
    coordinator: &Coordinator,
    build: BuildId,
    parallel: Option<NonZeroU32>,
    tasks: Vec<NewTask>,
) -> Result<(), Problem> {
    coordinator.events.open(build, tasks.iter().map(|task| task.id));
    let proposed = coordinator
        .ledger
        .propose(Action::Submit { build, parallel, tasks, origin: Origin::default(), join: false })
        .await;
    let problem = match proposed {
        Ok(Outcome::Refused(refusal)) => Problem::from_error(Code::Refused, &refusal),
        Ok(_) => return Ok(()),
        Err(error) => error.into(),
    };
    coordinator.events.forget(build);
    Err(problem)
}
