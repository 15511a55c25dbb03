//! One agent's stream: what it says it holds goes to the ledger, what it should hold comes back.
//!
//! ```text
//!   CurrentState ──► pulse: it is there, and gets somewhere
//!        └── news ──► Synchronize, Report ──► ledger
//!                                              │ its orders changed
//!   DesiredState ◄── desired(state, agent) ◄───┘
//! ```
//!
//! Plans come from the object store beside all that: a store that doesn't answer must not keep the agent from being heard. A
//! task whose plan can't be read is handed back, and tried again later ([`crate::postponed`]).
//!
//! Nothing is kept here that the next stream of the same agent would miss: on a new stream the agent says all
//! it has, and is told all it should have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kiln_model::lease::RENEW_MS;
use kiln_model::{
    Action, FarmState, Held, HeldPhase, Holding, Offer, Outcome, Refusal, TaskPhase, apply, desired,
};
use kiln_plan::event::TaskOutcome;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, BuildId, TaskId};
use kiln_plan::{Failure, Fault};
use kiln_proto::link::{
    Assignment, AttemptKey, AttemptPhase, CurrentState, DesiredState, HeldAttempt, Hello, WantedAttempt,
};
use kiln_proto::{Bytes, Code, Problem, v1};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use crate::Coordinator;
use crate::events::Story;
use crate::identity::caller::Caller;
use crate::roster::Presence;
use crate::store::StoreError;

/// How long the first message may take.
const HELLO_LIMIT: Duration = Duration::from_secs(10);

/// An agent that says nothing for this long has lost its leases long ago; its stream is not worth keeping.
const SILENCE_LIMIT: Duration = Duration::from_millis(3 * kiln_model::agent::SILENCE_MS);

/// A state that only says that all is as it was is answered if the last one that was is older than this.
const RENEW_AFTER: Duration = Duration::from_millis(RENEW_MS / 2);

/// How often an agent speaks, in milliseconds.
#[expect(clippy::cast_possible_truncation, reason = "a few seconds")]
const SPEAK_MS: u32 = RENEW_MS as u32;

/// How long an assignment waits until it is looked up where its task's events begin. The lease stands meanwhile.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(30);

/// Bytes of plans after which a message is full.
const MESSAGE_PLANS: usize = 1 << 20;

/// A plan that was looked for.
type Loaded = Result<Option<Bytes>, StoreError>;

type Outbound = mpsc::Sender<Result<v1::DesiredState, Status>>;

/// Serves a stream until the agent leaves, falls silent or comes by another stream, or the coordinator closes.
pub(crate) async fn serve(
    coordinator: &Arc<Coordinator>,
    (caller, mut inbound): (&Caller, Streaming<v1::CurrentState>),
    outbound: &Outbound,
) -> Result<(), Status> {
    let silent = |_| Problem::new(Code::Invalid, "an agent opened a stream and said nothing");
    let Some(first) = tokio::time::timeout(HELLO_LIMIT, inbound.message()).await.map_err(silent)?? else {
        return Ok(());
    };
    let first = CurrentState::try_from(first)?;
    if let Some(hello) = &first.hello {
        caller.may_speak_for(hello.agent)?;
    }
    let term = coordinator.terms.current()?;
    let turn = coordinator.arrivals.acquire().await;
    let mut session = Session::begin(coordinator, &first).await?;
    let mut answers = coordinator.answers.changes();
    session.hear(first).await?;
    // An agent that reads slowly holds up no other.
    drop(turn);
    session.tell(outbound).await?;
    loop {
        tokio::select! {
            message = tokio::time::timeout(SILENCE_LIMIT, inbound.message()) => {
                let silent = |_| Problem::new(Code::Unavailable, "nothing was heard of the agent in time");
                let Some(message) = message.map_err(silent)?? else { return Ok(()) };
                let leaving = message.leaving;
                if session.hear(message.try_into()?).await? == Heard::Renewed {
                    // The agent waits for a word that its leases stand.
                    session.told = None;
                }
                if leaving {
                    return session.leave().await;
                }
            }
            Some(Ok((key, plan))) = session.loading.join_next(), if !session.loading.is_empty() => {
                session.loaded.insert(key, plan);
                // Those that came with it go with it.
                while let Some(Ok((key, plan))) = session.loading.try_join_next() {
                    session.loaded.insert(key, plan);
                }
            }
            () = session.presence.woken() => {}
            changed = answers.changed() => changed.map_err(|_| term.end())?,
            () = session.presence.superseded() => {
                return Err(Problem::new(Code::Stale, "the agent has come by another stream").into());
            }
            problem = term.ended() => return Err(problem.into()),
        }
        session.tell(outbound).await?;
    }
}

/// What a message amounted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// Leases were renewed.
    Renewed,
    /// Nothing, or reports only.
    Otherwise,
}

/// What one stream has said and been told.
struct Session {
    coordinator: Arc<Coordinator>,
    agent: AgentId,
    presence: Presence,
    /// What the agent said last that it has.
    claims: Vec<Held>,
    draining: bool,
    /// When that was answered.
    renewed: Option<Instant>,
    /// Attempts that the agent has, or was given on this stream.
    given: BTreeSet<AttemptKey>,
    /// Attempts that it should have and was not given yet: what they need is on its way. Since when.
    preparing: BTreeMap<AttemptKey, Instant>,
    /// Plans that are on their way, for attempts that were asked for.
    loading: JoinSet<(AttemptKey, Loaded)>,
    asked: BTreeSet<AttemptKey>,
    /// Plans that have come.
    loaded: BTreeMap<AttemptKey, Loaded>,
    /// Attempts whose end was reported on this stream.
    reported: BTreeSet<AttemptKey>,
    /// What the agent was told last; `None` when it must be told anew.
    told: Option<(Vec<WantedAttempt>, bool)>,
}

impl Session {
    async fn begin(coordinator: &Arc<Coordinator>, first: &CurrentState) -> Result<Self, Status> {
        let missing = || Problem::new(Code::Invalid, "the first message of an agent must say who it is");
        let hello = first.hello.as_ref().ok_or_else(missing)?;
        let (agent, name, offer) = (hello.agent, hello.name.clone(), offer(hello));
        // Ten thousand agents that come by another coordinator are no news.
        if coordinator.ledger.read(|farm| apply::is_new(farm, agent, &name, &offer)) {
            let connect = Action::Connect { agent, name, offer };
            if let Outcome::Refused(refusal) = coordinator.ledger.propose(connect).await? {
                return Err(Problem::from_error(Code::Forbidden, &refusal).into());
            }
        }
        tracing::debug!(agent = %hello.agent, name = hello.name, version = hello.version, "an agent connected");
        let presence = coordinator.roster.enter(hello.agent, hello.catalog.shared());
        Ok(Self {
            coordinator: Arc::clone(coordinator),
            agent: hello.agent,
            presence,
            claims: Vec::new(),
            draining: false,
            renewed: None,
            given: first.held.iter().map(|held| held.key).collect(),
            preparing: BTreeMap::new(),
            loading: JoinSet::new(),
            asked: BTreeSet::new(),
            loaded: BTreeMap::new(),
            reported: BTreeSet::new(),
            told: None,
        })
    }

    /// Notes that the agent is there, and puts to the ledger what is news in what it says.
    async fn hear(&mut self, state: CurrentState) -> Result<Heard, Status> {
        let claims: Vec<Held> = state.held.iter().filter_map(claim).collect();
        let due = self.renewed.is_none_or(|renewed| renewed.elapsed() >= RENEW_AFTER);
        let alive: Vec<_> = state.held.iter().map(|held| (held.key, held.idle_ms)).collect();
        let mut actions = Vec::new();
        let (agent, draining) = (self.agent, state.draining);
        if self.coordinator.ledger.read(|farm| apply::is_news(farm, agent, draining, &claims)) {
            actions.push(Action::Synchronize { agent, draining, held: claims.clone() });
        }
        let renews = due || claims != self.claims || draining != self.draining;
        if renews {
            (self.claims, self.draining, self.renewed) = (claims, draining, Some(Instant::now()));
        }
        actions.extend(state.held.into_iter().filter_map(|held| self.report(held)));
        for outcome in self.coordinator.ledger.propose_all(actions).await? {
            match outcome {
                // The agent learns from the next state that it lost the attempt.
                Outcome::Refused(refusal @ Refusal::StaleEpoch { .. }) => {
                    tracing::info!(agent = %self.agent, %refusal, "a report was refused");
                }
                Outcome::Refused(refusal @ Refusal::Identity(_)) => {
                    return Err(Problem::from_error(Code::Forbidden, &refusal).into());
                }
                Outcome::Refused(refusal @ (Refusal::UnknownTask(_) | Refusal::UnknownBuild(_))) => {
                    tracing::debug!(agent = %self.agent, %refusal, "a report came too late");
                }
                // It is turned away, and what it says keeps no lease alive.
                Outcome::Refused(refusal) => return Err(Problem::from_error(Code::Refused, &refusal).into()),
                _ => {}
            }
        }
        self.coordinator.pulse.with(|liveness, now| {
            liveness.heard(self.agent, now);
            // It can't claim what it wasn't told of, which is not its fault.
            let prepared = self.preparing.keys().map(|key| (*key, Some(0)));
            for (key, idle_ms) in alive.into_iter().chain(prepared) {
                liveness.claimed(key.task, key.epoch, idle_ms, now);
            }
        });
        Ok(if renews { Heard::Renewed } else { Heard::Otherwise })
    }

    /// The report of an attempt that ended, the first time it is heard of.
    fn report(&mut self, held: HeldAttempt) -> Option<Action> {
        let AttemptPhase::Ended(outcome) = held.phase else { return None };
        let AttemptKey { task, attempt, epoch } = held.key;
        let (agent, said) = (self.agent, held.said);
        let report = Action::Report { task, agent, attempt, epoch, outcome, said };
        self.reported.insert(held.key).then_some(report)
    }

    /// Tells the agent what it should have, if that is not what it was told last.
    async fn tell(&mut self, outbound: &Outbound) -> Result<(), Status> {
        let (holdings, drain) = self.coordinator.ledger.read(|farm| self.orders(farm));
        self.loaded.retain(|loaded, _| holdings.iter().any(|holding| key(holding) == *loaded));
        let hold: Vec<WantedAttempt> = holdings.iter().map(|holding| self.wanted(holding)).collect();
        let new: Vec<&Holding> = holdings.iter().filter(|h| !self.given.contains(&key(h))).collect();
        if new.is_empty() && self.told.as_ref().is_some_and(|told| (&told.0, told.1) == (&hold, drain)) {
            return Ok(());
        }
        let timed: Vec<_> = self.coordinator.pulse.with(|liveness, now| {
            let remaining = |of: &AttemptKey| liveness.remaining_ms(of.task, of.epoch, now);
            hold.iter()
                .map(|wanted| WantedAttempt { remaining_ms: remaining(&wanted.key), ..wanted.clone() })
                .collect()
        });
        self.told = Some((hold, drain));
        let return_within_ms = return_within_ms(self.coordinator.roster.count());
        let desired = |begin| DesiredState {
            hold: timed.clone(),
            begin,
            speak_within_ms: SPEAK_MS,
            drain,
            return_within_ms,
        };
        let now = Instant::now();
        self.preparing =
            new.iter().map(|holding| key(holding)).map(|key| (key, self.since(key, now))).collect();
        let mut begin = Vec::new();
        let mut bytes = 0;
        for holding in new {
            let Some(assignment) = self.assignment(holding).await? else { continue };
            if bytes > MESSAGE_PLANS {
                send(outbound, desired(std::mem::take(&mut begin))).await?;
                bytes = 0;
            }
            bytes += assignment.plan.len();
            begin.push(assignment);
        }
        send(outbound, desired(begin)).await
    }

    /// What the agent should hold, and whether an operator wants it empty.
    fn orders(&self, farm: &FarmState) -> (Vec<Holding>, bool) {
        let drain = farm.agents().get(&self.agent).is_some_and(|agent| agent.asked_to_drain);
        (desired(farm, self.agent), drain)
    }

    /// What the agent is told of a holding, without the time that is left.
    fn wanted(&self, holding: &Holding) -> WantedAttempt {
        let answers = self.coordinator.answers.of(holding.task, holding.epoch);
        WantedAttempt { key: key(holding), remaining_ms: 0, cancel: holding.cancel, answers }
    }

    /// What the agent needs to begin. Without its plan the attempt fails by the farm's fault.
    async fn assignment(&mut self, holding: &Holding) -> Result<Option<Assignment>, Status> {
        let key = key(holding);
        if !self.coordinator.events.is_known(key.task) {
            // Where its events begin is being looked up; the agent hears of it with a later state.
            if self.since(key, Instant::now()).elapsed() >= LOOK_UP_LIMIT {
                return self.hand_back(key, "it is not known yet which of its events are at rest").await;
            }
            return Ok(None);
        }
        let Some(loaded) = self.plan(key, holding.plan) else { return Ok(None) };
        self.given.insert(key);
        self.preparing.remove(&key);
        let plan = match loaded {
            Ok(Some(plan)) => plan,
            Err(error) if error.may_pass() => {
                return self.hand_back(key, &kiln_plan::fault::chain(&error)).await;
            }
            Ok(None) => return self.fail(key, "the plan is not kept any more".into()).await,
            Err(error) => return self.fail(key, kiln_plan::fault::chain(&error)).await,
        };
        let Some((build, story)) = self.story(key.task) else { return Ok(None) };
        self.coordinator.events.hear(key.task, story);
        let Some(first_sequence) = self.coordinator.events.begin(key.task, key.epoch) else {
            return self.give_anew(key).await;
        };
        self.coordinator.postponed.succeeded(key.task);
        Ok(Some(Assignment { build, key, first_sequence, plan: Bytes::clone(&plan) }))
    }

    /// An agent knows nothing of an attempt that an earlier leader may have given it. What that leader heard of it can't be
    /// known, so it isn't begun a second time under the same epoch.
    async fn give_anew(&self, key: AttemptKey) -> Result<Option<Assignment>, Status> {
        let AttemptKey { task, epoch, .. } = key;
        let ran = self.coordinator.ledger.read(|farm| {
            matches!(farm.tasks().get(&task).map(|task| &task.phase), Some(TaskPhase::Running(_)))
        });
        if ran {
            return self.fail(key, "its agent lost it, and the coordinator was replaced".into()).await;
        }
        // Nobody began it, so that counts as no attempt.
        self.coordinator.ledger.propose(Action::HandBack { task, epoch }).await?;
        Ok(None)
    }

    /// The plan of an attempt; `None` while it is on its way.
    fn plan(&mut self, key: AttemptKey, plan: Fingerprint) -> Option<Loaded> {
        if let Some(loaded) = self.loaded.remove(&key) {
            return Some(loaded);
        }
        if !self.asked.insert(key) {
            return None;
        }
        let coordinator = Arc::clone(&self.coordinator);
        let mut load = async move { (key, coordinator.plans.get(plan).await) }.boxed();
        // What lies in memory is there at once.
        if let Some((_, loaded)) = (&mut load).now_or_never() {
            return Some(loaded);
        }
        self.loading.spawn(load);
        None
    }

    fn story(&self, task: TaskId) -> Option<(BuildId, Story)> {
        self.coordinator.ledger.read(|farm| {
            let task = farm.tasks().get(&task)?;
            Some((task.build, Story::of(farm, task)))
        })
    }

    /// Since when an attempt has waited for what it needs.
    fn since(&self, key: AttemptKey, now: Instant) -> Instant {
        self.preparing.get(&key).copied().unwrap_or(now)
    }

    /// Has a task wait for the object store, and for some agent.
    async fn hand_back(&mut self, key: AttemptKey, why: &str) -> Result<Option<Assignment>, Status> {
        tracing::warn!(task = %key.task, why, "an attempt could not begin; its task is tried again later");
        self.given.insert(key);
        self.preparing.remove(&key);
        self.coordinator.postponed.failed(key.task, why);
        let AttemptKey { task, epoch, .. } = key;
        // Refused, when the task has gone elsewhere meanwhile.
        self.coordinator.ledger.propose(Action::HandBack { task, epoch }).await?;
        Ok(None)
    }

    async fn fail(&self, key: AttemptKey, message: String) -> Result<Option<Assignment>, Status> {
        tracing::error!(task = %key.task, message, "an attempt could not begin");
        let AttemptKey { task, attempt, epoch } = key;
        let outcome = TaskOutcome::Failed { failure: Failure::new(Fault::Farm, message) };
        let report = Action::Report { task, agent: self.agent, attempt, epoch, outcome, said: None };
        self.coordinator.ledger.propose(report).await?;
        Ok(None)
    }

    async fn leave(&self) -> Result<(), Status> {
        let outcome = self.coordinator.ledger.propose(Action::Depart { agent: self.agent }).await?;
        tracing::debug!(agent = %self.agent, ?outcome, "an agent said goodbye");
        Ok(())
    }
}

/// Over how long so many agents spread their return when all their streams break: half a millisecond of a processor each,
/// and so short that all leases are claimed again in time.
fn return_within_ms(agents: usize) -> u32 {
    u32::try_from(agents / 2).unwrap_or(u32::MAX).min(SPEAK_MS)
}

async fn send(outbound: &Outbound, state: DesiredState) -> Result<(), Status> {
    let gone = |_| Status::from(Problem::new(Code::Unavailable, "the agent is gone"));
    outbound.send(Ok(state.into())).await.map_err(gone)
}

fn key(holding: &Holding) -> AttemptKey {
    AttemptKey { task: holding.task, attempt: holding.attempt, epoch: holding.epoch }
}

/// The claim of an attempt that has not ended.
fn claim(held: &HeldAttempt) -> Option<Held> {
    let phase = match held.phase {
        AttemptPhase::Accepted => HeldPhase::Accepted,
        AttemptPhase::Running => HeldPhase::Running,
        AttemptPhase::Ended(_) => return None,
    };
    let AttemptKey { task, attempt, epoch } = held.key;
    Some(Held { task, attempt, epoch, phase })
}

fn offer(hello: &Hello) -> Offer {
    let component =
        |c: &kiln_plan::ComponentSchema| format!("{}/{}", c.kind.noun().replace(' ', "-"), c.name);
    Offer {
        slots: hello.slots,
        components: hello.catalog.components.iter().map(component).collect(),
        labels: hello.labels.clone(),
        cpus: hello.cpus,
        memory_mib: hello.memory_mib,
        disk_mib: hello.disk_mib,
        arch: hello.arch.clone(),
        accelerators: hello.accelerators.clone(),
    }
}
