//! How much a farm bears: coordinators in processes of their own, ledgers on disk, TLS, and simulated agents that have
//! the genuine link and a connection each.
//!
//! ```text
//!   found ─► enrol ─► connect ─► single tasks ─► fill ─────────► kill the leader ─► release ─► all have arrived
//!                     memory     delay           agents full,    recovery           assignments
//!                                                `tasks` queued                     per second
//! ```
//!
//! Agents and coordinators share the machine's processors, so the figures are below what coordinators alone would do; the
//! processor time of both sides is told, too. Guests take no time and say nothing.

use std::fmt;
use std::time::{Duration, Instant};

use kiln_proto::submission::{SubmitReply, SubmitRequest};
use kiln_proto::v1;
use tokio::task::JoinSet;

mod coordinator;
mod crowd;
mod farm;
mod person;
mod plans;

use coordinator::processor_seconds;
pub use coordinator::run as run_coordinator;
use crowd::Crowd;
use farm::{Farm, Submissions};
use person::{Person, Served};

/// Whatever goes wrong.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How long any one thing may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Tasks of one build.
const TASKS_PER_BUILD: u64 = 1_000;

/// Builds that are submitted at the same time.
const SUBMIT_AT_ONCE: usize = 4;

/// Single tasks whose way to an idle agent is measured.
const SINGLES: u64 = 300;

/// Agents that may be on their way to connect.
const CONNECT_AT_ONCE: u64 = 256;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Voters of the ledger.
    pub coordinators: u64,
    /// Connected agents.
    pub agents: u64,
    /// Queued tasks.
    pub tasks: u64,
}

/// What was measured of one size.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    size: Size,
    enrolled_s: f64,
    connected_s: f64,
    kib_per_agent: f64,
    p50_ms: f64,
    p99_ms: f64,
    queued_per_s: f64,
    recovery: Recovery,
    assigned_per_s: f64,
    /// Processor time per assignment: of the coordinators, and of the agents.
    cost_ms: (f64, f64),
}

/// After the leader was killed, in seconds: until another answers, takes a build, and has all agents.
#[derive(Clone, Copy, Debug)]
struct Recovery {
    answers: f64,
    takes_work: f64,
    all_back: f64,
}

/// The columns of [`Measured`].
pub const HEAD: &str = "\
coordi-           tasks   enrol connect      KiB   idle agent has a task   tasks   new leader, s after the kill  \
assigned      ms of processor\n\
nators   agents  queued  agents    in s  an agent     p50 ms     p99 ms queued/s   answers  builds  all agents   \
per s  coordinators  agents";

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size { coordinators, agents, tasks } = self.size;
        write!(f, "{coordinators:6} {agents:8} {tasks:7} {:7.1} {:7.1} ", self.enrolled_s, self.connected_s)?;
        write!(f, "{:9.0} {:10.1} {:10.1} ", self.kib_per_agent, self.p50_ms, self.p99_ms)?;
        let Recovery { answers, takes_work, all_back } = self.recovery;
        write!(f, "{:8.0} {answers:9.2} {takes_work:7.2} {all_back:11.2} ", self.queued_per_s)?;
        write!(f, "{:7.0} {:13.3} {:7.3}", self.assigned_per_s, self.cost_ms.0, self.cost_ms.1)
    }
}

impl Measured {
    /// The aims of a farm of ten thousand agents and a hundred thousand tasks, and whether they were met.
    pub fn aims(&self) -> Vec<String> {
        let least = if self.size.coordinators == 1 { 2_000.0 } else { 1_000.0 };
        let met = |met: bool| if met { "met" } else { "missed" };
        let line =
            |what: &str, is: f64, aim: &str, kept: bool| format!("{what} {is:.1}, aim {aim}: {}", met(kept));
        let mut aims = vec![
            line(
                "assignments per second",
                self.assigned_per_s,
                &format!(">= {least}"),
                self.assigned_per_s >= least,
            ),
            line("idle agent, p50 ms", self.p50_ms, "< 30", self.p50_ms < 30.0),
            line("idle agent, p99 ms", self.p99_ms, "< 200", self.p99_ms < 200.0),
        ];
        if self.size.coordinators > 1 {
            let takes_work = self.recovery.takes_work;
            aims.push(line("new leader takes builds, s", takes_work, "< 3", takes_work < 3.0));
        }
        aims
    }
}

/// Measures one size, telling of each step as it ends.
///
/// # Errors
/// When the farm can't be started, or a step doesn't end.
pub async fn measure(size: Size, tell: impl Fn(&str)) -> Result<Measured, Fault> {
    let Size { coordinators, agents, tasks } = size;
    let mut farm = Farm::start(coordinators).await?;
    let (mut crowd, began) = (Crowd::new(), Instant::now());
    let enrolled = crowd::enrol(&farm.endpoints(), &farm.operator, agents).await?;
    let enrolled_s = began.elapsed().as_secs_f64();
    tell(&format!("{agents} agents enrolled in {enrolled_s:.1} s"));
    let (before, began) = (farm.resident(), Instant::now());
    connect(&farm, &mut crowd, enrolled).await?;
    let connected_s = began.elapsed().as_secs_f64();
    let kib_per_agent = farm.resident().saturating_sub(before) as f64 / 1024.0 / agents as f64;
    tell(&format!("connected in {connected_s:.1} s, {kib_per_agent:.0} KiB each"));
    let (p50_ms, p99_ms) = singles(&farm, &crowd).await?;
    tell(&format!("an idle agent has a task after {p50_ms:.1} ms (p50), {p99_ms:.1} ms (p99)"));
    let queued_per_s = fill(&farm, &crowd, agents + tasks).await?;
    tell(&format!("{} tasks queued, {queued_per_s:.0} a second", agents + tasks));
    within(crowd.arrivals.reach(SINGLES + agents)).await?;
    tell(&format!("each agent has one, {tasks} wait"));
    let recovery = recover(&mut farm, size).await?;
    tell(&format!(
        "a new leader after {:.2} s, all agents after {:.2} s",
        recovery.takes_work, recovery.all_back
    ));
    let (began, cost) = (Instant::now(), (farm.processor_seconds(), processor_seconds(std::process::id())));
    let given = crowd.arrivals.count();
    crowd.works.send_replace(true);
    within(crowd.arrivals.reach(SINGLES + agents + tasks)).await?;
    let assigned = (crowd.arrivals.count() - given) as f64;
    let assigned_per_s = assigned / began.elapsed().as_secs_f64();
    let each = |after: f64, before: f64| (after - before) * 1e3 / assigned;
    let cost_ms =
        (each(farm.processor_seconds(), cost.0), each(processor_seconds(std::process::id()), cost.1));
    drop(crowd);
    farm.end().await?;
    Ok(Measured {
        size,
        enrolled_s,
        connected_s,
        kib_per_agent,
        p50_ms,
        p99_ms,
        queued_per_s,
        recovery,
        assigned_per_s,
        cost_ms,
    })
}

async fn within<T>(wait: impl Future<Output = T>) -> Result<T, Fault> {
    Ok(tokio::time::timeout(PATIENCE, wait).await?)
}

/// Agents connect, some at a time.
async fn connect(farm: &Farm, crowd: &mut Crowd, enrolled: Vec<crowd::Enrolled>) -> Result<(), Fault> {
    let endpoints = farm.endpoints();
    let all = enrolled.len() as u64;
    for (nth, agent) in enrolled.into_iter().enumerate() {
        crowd.add(agent, &endpoints, nth);
        farm.seated((nth as u64 + 1).saturating_sub(CONNECT_AT_ONCE)).await?;
    }
    farm.seated(all).await?;
    Ok(())
}

/// Single tasks, one after another: what lies between asking for one and an agent that has it, in milliseconds.
async fn singles(farm: &Farm, crowd: &Crowd) -> Result<(f64, f64), Fault> {
    let client = farm.door().submission()?;
    let mut delays = Vec::new();
    for n in 1..=SINGLES {
        let asked = Instant::now();
        let reply = submit(client.clone(), plans::request(1)).await?;
        within(crowd.arrivals.reach(n)).await?;
        let task = reply.tasks.first().ok_or("a build without task")?.0;
        let arrived = crowd.arrivals.of(task).ok_or("a task arrived that nobody asked for")?;
        delays.push(arrived.duration_since(asked).as_secs_f64() * 1e3);
    }
    delays.sort_by(f64::total_cmp);
    let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    Ok((at(0.5), at(0.99)))
}

/// Submits so many tasks while agents end none, and returns how many a second were taken.
async fn fill(farm: &Farm, crowd: &Crowd, tasks: u64) -> Result<f64, Fault> {
    crowd.works.send_replace(false);
    let client = farm.door().submission()?;
    let (began, mut left, mut under_way) = (Instant::now(), tasks, JoinSet::new());
    while left > 0 || !under_way.is_empty() {
        if left > 0 && under_way.len() < SUBMIT_AT_ONCE {
            let some = left.min(TASKS_PER_BUILD);
            left -= some;
            under_way.spawn(within(submit(client.clone(), plans::request(some))));
        } else if let Some(submitted) = under_way.join_next().await {
            submitted???;
        }
    }
    Ok(tasks as f64 / began.elapsed().as_secs_f64())
}

/// Submits as the program does: again and again while the farm is out of reach.
async fn submit(mut client: Submissions, request: SubmitRequest) -> Result<SubmitReply, Fault> {
    loop {
        let refused = match client.submit(v1::SubmitRequest::from(request.clone())).await {
            Ok(reply) => return Ok(reply.into_inner().try_into()?),
            Err(status) => status,
        };
        if refused.code() != tonic::Code::Unavailable {
            return Err(refused.into());
        }
        tracing::warn!(%refused, "a build was not taken; trying again");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Kills the leader, and waits until another does all that it did.
async fn recover(farm: &mut Farm, size: Size) -> Result<Recovery, Fault> {
    let person = Person::connect(farm.door()).await?;
    let (leader, killed) = farm.kill_leader().await?;
    let since = |then: Instant| then.duration_since(killed).as_secs_f64();
    let Served { answers, takes_work } = within(person.ask()).await??;
    let all_back = farm.seated(size.agents).await?;
    if size.coordinators > 1 {
        farm.restart(leader).await?;
    }
    Ok(Recovery { answers: since(answers), takes_work: since(takes_work), all_back: since(all_back) })
}
