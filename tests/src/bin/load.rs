//! How much a coordinator bears: `load --agents N --tasks N`. Simulated agents behind the genuine interface, a ledger on
//! disk. Prints assignments per second, how long an idle agent waits for a task, memory per agent, and the same for a
//! tenth of the agents, to show how each grows.
//!
//! Agents and coordinator share the machine's processors, so the numbers are below what a coordinator alone would do.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kiln_coordinator::{Asked, Coordinator, Evaluated, Evaluator, Handle, Settings, Storage};
use kiln_lang::Diagnostics;
use kiln_plan::build::{Dialect, PLAN_FORMAT, TemplateContext};
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{AgentId, TaskId};
use kiln_plan::schema::ComponentSchema;
use kiln_plan::{BuildPlan, Catalog, ComponentConfig, ComponentKind, ConfigBody, Requirements, RunOptions};
use kiln_proto::link::{AttemptPhase, CurrentState, DesiredState, HeldAttempt, Hello};
use kiln_proto::submission::{SubmitReply, SubmitRequest};
use kiln_proto::v1;
use kiln_proto::v1::agent_link_client::AgentLinkClient;
use kiln_proto::v1::submission_client::SubmissionClient;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use uuid::Uuid;

/// Agents that share a connection: streams of one connection wait for each other.
const AGENTS_PER_CONNECTION: usize = 50;

/// Tasks of one build.
const TASKS_PER_BUILD: u64 = 1_000;

/// Single tasks whose way to an idle agent is measured.
const SINGLES: u64 = 300;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Makes as many plans as the request's number says.
#[derive(Debug)]
struct Plans;

impl Evaluator for Plans {
    fn evaluate(&self, asked: &Asked<'_>) -> Evaluated {
        let tasks: u64 = serde_json::from_slice(asked.request).unwrap_or(1);
        let plans = (0..tasks).map(plan).collect();
        Evaluated { plans, diagnostics: Diagnostics::new(), questions: Vec::new() }
    }
}

fn plan(n: u64) -> BuildPlan {
    BuildPlan {
        format: PLAN_FORMAT,
        name: format!("null.t{n}"),
        source_name: format!("t{n}"),
        dialect: Dialect::Hcl2,
        builder: ComponentConfig {
            kind: ComponentKind::Builder,
            name: "null".into(),
            span: None,
            body: ConfigBody::default(),
        },
        provisioners: vec![],
        error_cleanup: None,
        post_processors: vec![],
        facts: TemplateContext::default(),
        options: RunOptions::default(),
        secrets: vec![],
        requirements: Requirements { components: ["builder/null".into()].into(), ..Requirements::default() },
        data: Vec::new(),
        bundle: None,
    }
}

/// When each task reached an agent.
type Arrivals = Arc<Mutex<BTreeMap<TaskId, Instant>>>;

fn hello(n: u128) -> Hello {
    let null = ComponentSchema {
        kind: ComponentKind::Builder,
        name: "null".into(),
        options: vec![],
        generated: vec![],
        answer: None,
        rules: vec![],
    };
    Hello {
        agent: AgentId::new(Uuid::from_u128(n + 1)),
        name: format!("a{n}"),
        version: "0".into(),
        slots: 1,
        labels: BTreeMap::new(),
        cpus: 0,
        memory_mib: 0,
        catalog: Catalog { components: vec![null] },
        arch: String::new(),
        accelerators: std::collections::BTreeSet::new(),
        disk_mib: 0,
        tools: BTreeMap::new(),
    }
}

/// An agent whose guests take no time.
async fn agent(
    n: u128,
    channel: Channel,
    arrivals: Arrivals,
    seated: watch::Sender<u64>,
) -> Result<(), Fault> {
    let mut client = AgentLinkClient::new(channel);
    let (say, states) = mpsc::channel(2);
    say.try_send(CurrentState { hello: Some(hello(n)), ..CurrentState::default() }.into())?;
    let mut hear = client.synchronize(ReceiverStream::new(states)).await?.into_inner();
    let mut held: Vec<HeldAttempt> = Vec::new();
    let mut greeted = false;
    loop {
        match tokio::time::timeout(Duration::from_secs(5), hear.message()).await {
            Ok(message) => {
                let Some(message) = message? else { return Ok(()) };
                let desired = DesiredState::try_from(message)?;
                if !std::mem::replace(&mut greeted, true) {
                    seated.send_modify(|seated| *seated += 1);
                }
                let before = held.len();
                held.retain(|held| desired.hold.iter().any(|wanted| wanted.key == held.key));
                let changed = before != held.len() || !desired.begin.is_empty();
                for assignment in desired.begin {
                    let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
                    arrivals.insert(assignment.key.task, Instant::now());
                    let phase = AttemptPhase::Ended(TaskOutcome::Succeeded { artifacts: vec![] });
                    let said = Some(assignment.first_sequence);
                    held.push(HeldAttempt { key: assignment.key, phase, idle_ms: None, said });
                }
                if !changed {
                    continue;
                }
            }
            // Nothing new: it renews.
            Err(_elapsed) => {}
        }
        say.send(CurrentState { held: held.clone(), ..CurrentState::default() }.into()).await?;
    }
}

/// What was measured of one size.
struct Measured {
    agents: u64,
    connected_s: f64,
    kib_per_agent: f64,
    submitted_s: f64,
    assignments_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
}

async fn submit(client: &mut SubmissionClient<Channel>, tasks: u64) -> Result<SubmitReply, Fault> {
    let request =
        SubmitRequest { request: tasks.to_string().into_bytes().into(), ..SubmitRequest::default() };
    Ok(client.submit(v1::SubmitRequest::from(request)).await?.into_inner().try_into()?)
}

async fn measure(agents: u64, tasks: u64) -> Result<Measured, Fault> {
    let directory = tempfile::tempdir()?;
    let storage = Storage::Directory(directory.path().to_owned());
    let farm = Coordinator::start(Settings { storage, ..Settings::farm_of_one() }, Arc::new(Plans)).await?;
    let arrivals = Arrivals::default();
    let (before, began) = (resident_kib(), Instant::now());
    connect(&farm, agents, &arrivals).await?;
    let connected_s = began.elapsed().as_secs_f64();
    let kib_per_agent = resident_kib().saturating_sub(before) as f64 / agents as f64;

    let mut client = SubmissionClient::new(farm.connect().await?);
    let mut delays = Vec::new();
    for _ in 0..SINGLES {
        let asked = Instant::now();
        let reply = submit(&mut client, 1).await?;
        farm.wait_until(|state| {
            reply.build.is_none_or(|b| state.builds().get(&b).is_none_or(|b| b.is_ended()))
        })
        .await;
        let arrived = reply
            .tasks
            .first()
            .and_then(|(task, _)| arrivals.lock().unwrap_or_else(PoisonError::into_inner).get(task).copied());
        delays.extend(arrived.map(|at| at.duration_since(asked).as_secs_f64() * 1_000.0));
    }
    delays.sort_by(f64::total_cmp);

    let began = Instant::now();
    let mut left = tasks;
    while left > 0 {
        let some = left.min(TASKS_PER_BUILD);
        submit(&mut client, some).await?;
        left -= some;
    }
    let submitted_s = began.elapsed().as_secs_f64();
    farm.wait_until(|state| state.counts().endings >= tasks + SINGLES).await;
    let assignments_per_s = tasks as f64 / began.elapsed().as_secs_f64();
    farm.shut_down(Duration::from_secs(1)).await;
    let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    let (p50_ms, p99_ms) = (at(0.5), at(0.99));
    Ok(Measured { agents, connected_s, kib_per_agent, submitted_s, assignments_per_s, p50_ms, p99_ms })
}

async fn connect(farm: &Handle, agents: u64, arrivals: &Arrivals) -> Result<(), Fault> {
    let (seated, mut count) = watch::channel(0_u64);
    let mut channel = None;
    for n in 0..agents {
        if (n as usize).is_multiple_of(AGENTS_PER_CONNECTION) {
            channel = Some(farm.connect().await?);
        }
        let Some(channel) = channel.clone() else { continue };
        let (arrivals, seated) = (Arc::clone(arrivals), seated.clone());
        // It ends with the coordinator.
        tokio::spawn(async move { drop(agent(u128::from(n), channel, arrivals, seated).await) });
    }
    drop(seated);
    count.wait_for(|seated| *seated == agents).await?;
    Ok(())
}

/// How much memory this process takes.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn sizes() -> Result<(u64, u64), String> {
    let (mut agents, mut tasks) = (1_000, 10_000);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let number = words.next().and_then(|n| n.parse().ok());
        let number = number.filter(|n| *n > 0).ok_or_else(|| format!("{word} needs a number above 0"))?;
        match word.as_str() {
            "--agents" => agents = number,
            "--tasks" => tasks = number,
            _ => return Err(format!("{word} is not known; there are --agents N and --tasks N")),
        }
    }
    Ok((agents, tasks))
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]
#[tokio::main]
async fn main() -> ExitCode {
    let (agents, tasks) = match sizes() {
        Ok(asked) => asked,
        Err(fault) => {
            eprintln!("{fault}");
            return ExitCode::FAILURE;
        }
    };
    for agents in [(agents / 10).max(1), agents] {
        match measure(agents, tasks).await {
            Ok(m) => println!(
                "{} agents, {tasks} tasks: {:.0} assignments/s durable; an idle agent has a task after {:.1} ms (p50), \
                 {:.1} ms (p99); {:.0} KiB per agent with both ends; connected in {:.1} s, submitted in {:.1} s",
                m.agents,
                m.assignments_per_s,
                m.p50_ms,
                m.p99_ms,
                m.kib_per_agent,
                m.connected_s,
                m.submitted_s
            ),
            Err(fault) => {
                eprintln!("failed with {agents} agents: {fault}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
