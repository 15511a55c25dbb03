//! Laws under random commands: whatever is proposed, in whatever order, with whatever delay.

use kiln_plan::event::TaskOutcome;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::Epoch;
use kiln_plan::{Fault, Requirements};
use proptest::prelude::*;

use super::farm::{Farm, agent, attempt, build, failed, needs, new_task, offers, succeeded, task};
use super::identity::{found, join, secret, token};
use crate::lease::LEASE_MS;
use crate::overrun::Overrun;
use crate::{
    Action, Command, FarmState, Held, HeldPhase, IdentityAction, NewToken, Newcomer, Origin, Outcome,
    Scheduler, Timestamp, TokenUse, apply, due, schedule,
};

/// What may happen to a farm. Numbers choose among what there is at that moment.
#[derive(Clone, Debug)]
enum Happening {
    Submit { build: u128, tasks: u128, parallel: u32, demanding: bool },
    Connect { agent: u128, slots: u32, capable: bool },
    AssignAll { most: usize },
    AssignAny { task: u128, agent: u128 },
    Synchronize { agent: u128, draining: bool, forget_some: bool },
    ClaimAny { agent: u128, task: u128, epoch: u64 },
    Report { nth: usize, how: u8 },
    ReportAny { task: u128, agent: u128, epoch: u64 },
    Cancel { build: u128 },
    Reconcile,
    Wait { ms: u64 },
    Depart { agent: u128 },
    Drain { agent: u128, drain: bool },
    Overrun { nth: usize },
    HandBack { nth: usize },
    Identity { n: u128, what: u8 },
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop_oneof![
        2 => (0..4_u128, 1..6_u128, 0..3_u32, any::<bool>())
            .prop_map(|(build, tasks, parallel, demanding)| Submit { build, tasks, parallel, demanding }),
        2 => (0..3_u128, 0..4_u32, any::<bool>())
            .prop_map(|(agent, slots, capable)| Connect { agent, slots, capable }),
        4 => (1..9_usize).prop_map(|most| AssignAll { most }),
        1 => (0..24_u128, 0..4_u128).prop_map(|(task, agent)| AssignAny { task, agent }),
        4 => (0..3_u128, prop::bool::weighted(0.1), any::<bool>())
            .prop_map(|(agent, draining, forget_some)| Synchronize { agent, draining, forget_some }),
        1 => (0..3_u128, 0..24_u128, 0..5_u64).prop_map(|(agent, task, epoch)| ClaimAny { agent, task, epoch }),
        4 => (0..9_usize, 0..6_u8).prop_map(|(nth, how)| Report { nth, how }),
        1 => (0..24_u128, 0..3_u128, 0..5_u64)
            .prop_map(|(task, agent, epoch)| ReportAny { task, agent, epoch }),
        1 => (0..4_u128).prop_map(|build| Cancel { build }),
        3 => Just(Reconcile),
        3 => (0..30_000_u64).prop_map(|ms| Wait { ms }),
        1 => (0..3_u128).prop_map(|agent| Depart { agent }),
        1 => (0..3_u128, any::<bool>()).prop_map(|(agent, drain)| Drain { agent, drain }),
        1 => (0..9_usize).prop_map(|nth| Overrun { nth }),
        1 => (0..9_usize).prop_map(|nth| HandBack { nth }),
        2 => (0..3_u128, 0..9_u8).prop_map(|(n, what)| Identity { n, what }),
    ]
}

fn outcome(how: u8) -> TaskOutcome {
    match how {
        0 => TaskOutcome::Cancelled,
        1 => failed(Fault::Template),
        2 => failed(Fault::Machine),
        3 => failed(Fault::Farm),
        _ => succeeded(),
    }
}

/// The commands that a happening means in a state.
fn actions(happening: &Happening, state: &FarmState, now: Timestamp) -> Vec<Action> {
    match happening {
        Happening::Submit { build: n, tasks, parallel, demanding } => {
            let needs = || if *demanding { needs("builder/qemu") } else { Requirements::default() };
            let count = u8::try_from(*tasks).unwrap_or(0);
            let tasks = (0..*tasks).map(|t| new_task(n * 6 + t, needs())).collect();
            let origin = Origin {
                project: format!("p{}", n % 2),
                priority: i32::try_from(*n).unwrap_or(0) * 40 - 60,
                fingerprint: Some(Fingerprint::of_bytes(&[count])),
                request: (n % 2 == 1).then(|| Fingerprint::of_bytes(&[count, 1])),
                ..Origin::default()
            };
            let parallel = std::num::NonZeroU32::new(*parallel);
            vec![Action::Submit { build: build(*n), parallel, tasks, origin, join: *demanding }]
        }
        Happening::Connect { agent: n, slots, capable } => {
            let offer = offers(*slots, if *capable { &["builder/qemu"] } else { &[] });
            vec![Action::Connect { agent: agent(*n), name: format!("a{n}"), offer }]
        }
        Happening::AssignAll { most } => {
            let assign = |a: schedule::Assignment| {
                let next = state.tasks()[&a.task].epoch.0 + 1;
                Action::Assign { task: a.task, agent: a.agent, attempt: attempt(u128::from(next)) }
            };
            schedule::assignments(state, *most).into_iter().map(assign).collect()
        }
        Happening::AssignAny { task: t, agent: a } => {
            vec![Action::Assign { task: task(*t), agent: agent(*a), attempt: attempt(99) }]
        }
        Happening::Synchronize { agent: n, draining, forget_some } => {
            let holds = state.agents().get(&agent(*n)).into_iter().flat_map(|a| a.holds.iter());
            let held = holds.enumerate().filter(|(i, _)| !forget_some || i % 2 == 0).filter_map(|(_, id)| {
                let lease = state.tasks()[id].lease()?;
                let phase = HeldPhase::Running;
                Some(Held { task: *id, attempt: lease.attempt, epoch: lease.epoch, phase })
            });
            vec![Action::Synchronize { agent: agent(*n), draining: *draining, held: held.collect() }]
        }
        Happening::ClaimAny { agent: a, task: t, epoch } => {
            let held = vec![Farm::claim(*t, *epoch)];
            vec![Action::Synchronize { agent: agent(*a), draining: false, held }]
        }
        Happening::Report { nth, how } => report(state, *nth, *how).into_iter().collect(),
        Happening::ReportAny { task: t, agent: a, epoch } => vec![Action::Report {
            task: task(*t),
            agent: agent(*a),
            attempt: attempt(u128::from(*epoch)),
            epoch: Epoch(*epoch),
            outcome: succeeded(),
            said: None,
        }],
        Happening::Cancel { build: n } => vec![Action::Cancel { build: build(*n) }],
        Happening::Reconcile => everything_due(state, now),
        Happening::Depart { agent: n } => vec![Action::Depart { agent: agent(*n) }],
        Happening::Drain { agent: n, drain: true } => vec![Action::DrainAgent { agent: agent(*n) }],
        Happening::Drain { agent: n, drain: false } => vec![Action::UndrainAgent { agent: agent(*n) }],
        Happening::Overrun { nth } => overrun(state, *nth),
        Happening::HandBack { nth } => {
            let leases = state.tasks().values().filter_map(|task| Some((task.id, task.lease()?.epoch)));
            leases.skip(*nth).take(1).map(|(task, epoch)| Action::HandBack { task, epoch }).collect()
        }
        Happening::Identity { n, what } => vec![Action::Identity(identity(*n, *what))],
        Happening::Wait { .. } => Vec::new(),
    }
}

/// The report of the holder of the nth lease.
fn report(state: &FarmState, nth: usize, how: u8) -> Option<Action> {
    let (task, lease) = state.tasks().values().filter_map(|t| Some((t.id, t.lease()?))).nth(nth)?;
    let (agent, attempt, epoch) = (lease.agent, lease.attempt, lease.epoch);
    let said = (how != 1).then_some(epoch.0 + 7);
    Some(Action::Report { task, agent, attempt, epoch, outcome: outcome(how), said })
}

fn overrun(state: &FarmState, nth: usize) -> Vec<Action> {
    let leased = state.tasks().values().filter_map(|t| Some((t.id, t.lease()?.epoch)));
    let limit = Overrun::Progress { idle_ms: kiln_plan::requirements::NO_PROGRESS_MS };
    leased.skip(nth).take(1).map(|(task, epoch)| Action::Overrun { task, epoch, limit }).collect()
}

fn identity(n: u128, what: u8) -> IdentityAction {
    let usage = if n == 0 { TokenUse::JoinCoordinator } else { TokenUse::JoinAgent };
    let new = NewToken {
        id: token(n),
        name: String::new(),
        secret: secret(n),
        usage,
        expires: Some(Timestamp(90_000)),
    };
    match what {
        0 | 1 => found("authority"),
        2 | 3 => IdentityAction::CreateToken { token: new },
        4 => IdentityAction::RevokeToken { token: token(n) },
        5 => join(n, n, n, Newcomer::Agent(agent(n))),
        6 => join(n, n, n, Newcomer::Coordinator),
        7 => IdentityAction::RevokeAgent { agent: agent(n) },
        _ => IdentityAction::Forget,
    }
}

fn everything_due(state: &FarmState, now: Timestamp) -> Vec<Action> {
    // Whatever was heard last a term ago in the farm's own time was silent since.
    let silent_ms = LEASE_MS;
    let held = state.tasks().values().filter_map(|t| Some((t.id, t.lease()?)));
    let expired = held.filter(|(_, lease)| now.ms_since(lease.granted) >= LEASE_MS);
    let there = state.agents().values().filter(|a| a.is_ready() || a.phase == crate::AgentPhase::Draining);
    let silent = there.filter(|a| now.ms_since(a.last_heard) >= LEASE_MS);
    let departed = due::departed_agents(state, now).into_iter();
    let hopeless = due::hopeless_tasks(state, now, 60_000).into_iter();
    let old = due::forgettable_builds(state, now, 90_000).into_iter();
    expired
        .map(|(task, lease)| Action::ExpireLease { task, epoch: lease.epoch, silent_ms })
        .chain(silent.map(|agent| Action::LoseAgent { agent: agent.id, silent_ms }))
        .chain(departed.map(|agent| Action::Depart { agent }))
        .chain(hopeless.map(|task| Action::GiveUp { task }))
        .chain(old.map(|build| Action::ForgetBuild { build }))
        .collect()
}

fn run(happenings: &[Happening]) -> (Farm, Vec<Command>) {
    let mut farm = Farm { now: 1, ..Farm::default() };
    let mut commands = Vec::new();
    for happening in happenings {
        if let Happening::Wait { ms } = happening {
            farm.now += ms;
        }
        for action in actions(happening, &farm.state, Timestamp(farm.now)) {
            commands.push(Command { at: Timestamp(farm.now), action: action.clone() });
            farm.apply(action);
        }
    }
    (farm, commands)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_commands_breaks_a_law(happenings in prop::collection::vec(happening(), 1..80)) {
        run(&happenings);
    }

    #[test]
    fn the_same_commands_give_the_same_state(happenings in prop::collection::vec(happening(), 1..60)) {
        let (farm, commands) = run(&happenings);
        let mut again = FarmState::default();
        for command in &commands {
            let text = serde_json::to_string(command).unwrap();
            apply(&mut again, &serde_json::from_str(&text).unwrap());
        }
        prop_assert_eq!(&again, &farm.state);
        let text = serde_json::to_string(&again).unwrap();
        prop_assert_eq!(serde_json::from_str::<FarmState>(&text).unwrap(), again);
    }

    #[test]
    fn every_assignment_that_is_solved_is_accepted(happenings in prop::collection::vec(happening(), 1..60)) {
        let (mut farm, _) = run(&happenings);
        for a in schedule::assignments(&farm.state, usize::MAX) {
            let outcome = farm.apply(Action::Assign { task: a.task, agent: a.agent, attempt: attempt(7) });
            prop_assert!(matches!(outcome, Outcome::Assigned { .. }), "{:?}", outcome);
        }
        prop_assert!(schedule::assignments(&farm.state, usize::MAX).is_empty(), "nothing placeable is left");
    }

    #[test]
    fn who_remembers_assigns_as_much_as_who_looks_anew(happenings in prop::collection::vec(happening(), 1..80)) {
        let mut farm = Farm { now: 1, ..Farm::default() };
        let mut scheduler = Scheduler::default();
        for happening in &happenings {
            if let Happening::Wait { ms } = happening {
                farm.now += ms;
            }
            for action in actions(happening, &farm.state, Timestamp(farm.now)) {
                farm.apply(action);
            }
            for most in [1, 2] {
                let remembered = scheduler.assignments(&farm.state, Timestamp(farm.now), most);
                let anew = Scheduler::default().assignments(&farm.state, Timestamp(farm.now), most);
                prop_assert_eq!(&remembered, &anew);
                for a in remembered {
                    farm.must(Action::Assign { task: a.task, agent: a.agent, attempt: attempt(7) });
                }
            }
        }
    }

    #[test]
    fn once_all_is_healed_every_build_ends(happenings in prop::collection::vec(happening(), 1..60)) {
        let (mut farm, _) = run(&happenings);
        farm.now += 1_000_000;
        for action in everything_due(&farm.state, Timestamp(farm.now)) {
            farm.apply(action);
        }
        farm.connect(9, offers(100, &["builder/qemu"]));
        for _ in 0..9 {
            for action in actions(&Happening::AssignAll { most: 100 }, &farm.state, Timestamp(farm.now)) {
                farm.apply(action);
            }
            while let [report] = &actions(&Happening::Report { nth: 0, how: 5 }, &farm.state, Timestamp(0))[..] {
                farm.must(report.clone());
            }
        }
        prop_assert!(farm.state.builds().values().all(crate::Build::is_ended), "{:?}", farm.state);
    }
}
