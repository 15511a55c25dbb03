//! The life of a task and what may disturb it.

use kiln_plan::Fault;
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::Epoch;

use super::farm::{Farm, agent, build, failed, needs, new_task, offers, succeeded, task};
use crate::agent::{AgentPhase, LOST_MS, SILENCE_MS};
use crate::lease::LEASE_MS;
use crate::{Action, BuildPhase, BuildResult, Outcome, Refusal, Verdict, due};

#[test]
fn what_an_agent_never_got_is_handed_back_as_often_as_need_be() {
    let hand_back = |epoch| Action::HandBack { task: task(1), epoch: Epoch(epoch) };
    let mut farm = Farm { now: 1_000, ..Farm::default() };
    farm.connect(1, offers(2, &["builder/null"]));
    farm.submit(1, 1, vec![new_task(1, needs("builder/null")), new_task(2, needs("builder/null"))]);
    for epoch in 1..10 {
        farm.assign(1, 1);
        assert_eq!(farm.phase(1), format!("leased to a1 epoch {epoch}"));
        assert!(matches!(farm.apply(hand_back(epoch - 1)), Outcome::Refused(Refusal::StaleEpoch { .. })));
        farm.must(hand_back(epoch));
        assert_eq!(farm.phase(1), "queued");
        assert!(matches!(farm.apply(hand_back(epoch)), Outcome::Refused(Refusal::StaleEpoch { .. })));
    }
    assert_eq!(farm.state.tasks()[&task(1)].attempts, []);
    // Another of the build may have its place meanwhile.
    farm.assign(2, 1);
    farm.report(2, 1, 1, succeeded());
    farm.assign(1, 1);
    farm.synchronize(1, vec![Farm::claim(1, 10)]);
    assert_eq!(farm.apply(hand_back(10)), Outcome::Refused(Refusal::HasBegun(task(1))));
    farm.report(1, 1, 10, succeeded());
    assert_eq!(farm.phase(1), "succeeded");
}

#[test]
fn what_expired_before_another_attempt_was_handed_back_is_stale() {
    let mut farm = Farm::with_one_running();
    farm.connect(2, offers(1, &["builder/null"]));
    farm.expire(1, 1);
    farm.assign(1, 2);
    farm.must(Action::HandBack { task: task(1), epoch: Epoch(2) });
    let told = farm.synchronize(1, vec![Farm::claim(1, 1)]);
    assert_eq!(told, Outcome::Synchronized { stale: vec![task(1)] });
    assert_eq!(farm.phase(1), "queued");
}

#[test]
fn what_is_handed_back_after_its_end_was_asked_for_ends() {
    let mut farm = Farm { now: 1_000, ..Farm::default() };
    farm.connect(1, offers(2, &["builder/null"]));
    farm.submit(1, 0, vec![new_task(1, needs("builder/null"))]);
    farm.assign(1, 1);
    farm.must(Action::Cancel { build: build(1) });
    farm.must(Action::HandBack { task: task(1), epoch: Epoch(1) });
    assert_eq!(farm.phase(1), "cancelled");
}

#[test]
fn a_task_goes_from_queue_to_finish() {
    let mut farm = Farm { now: 1_000, ..Farm::default() };
    farm.connect(1, offers(1, &["builder/null"]));
    farm.submit(1, 0, vec![new_task(1, needs("builder/null"))]);
    assert_eq!(farm.phase(1), "queued");
    assert_eq!(farm.assign(1, 1), Outcome::Assigned { epoch: Epoch(1) });
    assert_eq!(farm.phase(1), "leased to a1 epoch 1");
    farm.synchronize(1, vec![Farm::claim(1, 1)]);
    assert_eq!(farm.phase(1), "running on a1 epoch 1");
    assert_eq!(farm.report(1, 1, 1, succeeded()), Outcome::Reported { verdict: Verdict::Final });
    assert_eq!(farm.phase(1), "succeeded");
    let phase = farm.state.builds[&build(1)].phase;
    assert!(matches!(phase, BuildPhase::Ended { result: BuildResult::Succeeded, .. }), "{phase:?}");
}

#[test]
fn fault_decides_about_retry() {
    // (whose fault, are there two agents, what becomes of the task)
    let cases = [
        (Fault::Template, true, "failed: it broke"),
        (Fault::Guest, true, "failed: it broke"),
        (Fault::Machine, true, "queued"),
        (Fault::Machine, false, "failed: it broke"),
        (Fault::Farm, true, "queued"),
        (Fault::Farm, false, "queued"),
    ];
    for (fault, two, expected) in cases {
        let mut farm = Farm::with_one_running();
        if !two {
            farm.must(Action::Depart { agent: agent(2) });
        }
        farm.report(1, 1, 1, failed(fault));
        assert_eq!(farm.phase(1), expected, "{fault:?} with two agents: {two}");
    }
}

#[test]
fn a_machine_that_failed_a_task_is_not_given_it_again() {
    let mut farm = Farm::with_one_running();
    farm.report(1, 1, 1, failed(Fault::Machine));
    let refusal = farm.assign(1, 1);
    assert_eq!(refusal, Outcome::Refused(Refusal::DoesNotFit { task: task(1), agent: agent(1) }));
    assert_eq!(farm.assign(1, 2), Outcome::Assigned { epoch: Epoch(2) });
    farm.report(1, 2, 2, failed(Fault::Machine));
    assert_eq!(farm.phase(1), "failed: it broke", "both machines failed it");
}

#[test]
fn the_third_failed_attempt_is_the_last() {
    let mut farm = Farm::with_one_running();
    for epoch in 1..=2 {
        assert_eq!(
            farm.report(1, 1, epoch, failed(Fault::Farm)),
            Outcome::Reported { verdict: Verdict::Retry }
        );
        farm.assign(1, 1);
    }
    assert_eq!(farm.report(1, 1, 3, failed(Fault::Farm)), Outcome::Reported { verdict: Verdict::Final });
}

#[test]
fn expired_lease_returns_the_task_to_the_queue() {
    let mut farm = Farm::with_one_running();
    let early = Action::ExpireLease { task: task(1), epoch: Epoch(1), silent_ms: LEASE_MS - 1 };
    assert_eq!(farm.apply(early), Outcome::Refused(Refusal::LeaseStillGood(task(1))));
    assert_eq!(farm.expire(1, 1), Outcome::Done);
    assert_eq!(farm.phase(1), "queued");
}

#[test]
fn an_agent_that_comes_back_first_takes_its_attempt_up_again() {
    let mut farm = Farm::with_one_running();
    farm.now += LEASE_MS;
    farm.expire(1, 1);
    assert_eq!(farm.synchronize(1, vec![Farm::claim(1, 1)]), Outcome::Synchronized { stale: vec![] });
    assert_eq!(farm.phase(1), "running on a1 epoch 1");
    assert!(farm.state.tasks[&task(1)].attempts.is_empty(), "the attempt did not end after all");
}

#[test]
fn an_agent_that_comes_back_too_late_is_refused() {
    let mut farm = Farm::with_one_running();
    farm.now += LEASE_MS;
    farm.expire(1, 1);
    farm.assign(1, 2);
    assert_eq!(farm.synchronize(1, vec![Farm::claim(1, 1)]), Outcome::Synchronized { stale: vec![task(1)] });
    let stale = Refusal::StaleEpoch { task: task(1), given: Epoch(1), current: Epoch(2) };
    assert_eq!(farm.report(1, 1, 1, succeeded()), Outcome::Refused(stale));
    assert_eq!(farm.phase(1), "leased to a2 epoch 2");
}

#[test]
fn a_report_for_an_expired_lease_counts_while_nobody_else_has_the_task() {
    let mut farm = Farm::with_one_running();
    farm.now += LEASE_MS;
    farm.expire(1, 1);
    assert_eq!(farm.report(1, 1, 1, succeeded()), Outcome::Reported { verdict: Verdict::Final });
    assert_eq!(farm.phase(1), "succeeded");
}

#[test]
fn a_report_is_taken_once() {
    let mut farm = Farm::with_one_running();
    farm.report(1, 1, 1, failed(Fault::Guest));
    let again = farm.report(1, 1, 1, succeeded());
    let stale = Refusal::StaleEpoch { task: task(1), given: Epoch(1), current: Epoch(1) };
    assert_eq!(again, Outcome::Refused(stale));
}

#[test]
fn an_attempt_taken_up_again_does_not_exceed_the_limit_of_its_build() {
    let mut farm = Farm { now: 1_000, ..Farm::default() };
    farm.connect(1, offers(2, &[]));
    farm.connect(2, offers(2, &[]));
    farm.submit(1, 1, vec![new_task(1, <_>::default()), new_task(2, <_>::default())]);
    farm.assign(1, 1);
    farm.now += LEASE_MS;
    farm.expire(1, 1);
    farm.synchronize(2, vec![]);
    farm.assign(2, 2);
    assert_eq!(farm.synchronize(1, vec![Farm::claim(1, 1)]), Outcome::Synchronized { stale: vec![task(1)] });
}

#[test]
fn cancel_finishes_what_waits_and_tells_what_runs() {
    let mut farm = Farm { now: 1_000, ..Farm::default() };
    farm.connect(1, offers(1, &[]));
    farm.submit(1, 0, vec![new_task(1, <_>::default()), new_task(2, <_>::default())]);
    farm.assign(1, 1);
    farm.must(Action::Cancel { build: build(1) });
    assert_eq!(farm.phase(2), "cancelled");
    assert_eq!(farm.phase(1), "leased to a1 epoch 1");
    assert!(crate::desired(&farm.state, agent(1))[0].cancel);
    farm.report(1, 1, 1, TaskOutcome::Cancelled);
    let phase = farm.state.builds[&build(1)].phase;
    assert!(matches!(phase, BuildPhase::Ended { result: BuildResult::Cancelled, .. }), "{phase:?}");
    let again = farm.apply(Action::Cancel { build: build(1) });
    assert_eq!(again, Outcome::Refused(Refusal::BuildEnded(build(1))));
}

#[test]
fn nothing_is_tried_again_after_a_cancellation() {
    let ends: [fn(&mut Farm) -> &'static str; 3] = [
        |farm| {
            farm.report(1, 1, 1, failed(Fault::Farm));
            "failed: it broke"
        },
        |farm| {
            farm.now += LEASE_MS;
            farm.expire(1, 1);
            "cancelled"
        },
        |farm| {
            farm.report(1, 1, 1, succeeded());
            "succeeded"
        },
    ];
    for end in ends {
        let mut farm = Farm::with_one_running();
        farm.must(Action::Cancel { build: build(1) });
        let expected = end(&mut farm);
        assert_eq!(farm.phase(1), expected);
    }
}

#[test]
fn a_silent_agent_is_lost_and_a_lost_one_departs() {
    let mut farm = Farm::with_one_running();
    let early = Action::LoseAgent { agent: agent(2), silent_ms: SILENCE_MS - 1 };
    assert_eq!(farm.apply(early), Outcome::Refused(Refusal::AgentIsHeard(agent(2))));
    farm.must(Action::LoseAgent { agent: agent(1), silent_ms: SILENCE_MS });
    assert_eq!(farm.phase(1), "running on a1 epoch 1", "its lease expires by itself");
    farm.now += LOST_MS;
    farm.expire(1, 1);
    assert_eq!(due::departed_agents(&farm.state, crate::Timestamp(farm.now)), [agent(1)]);
    farm.must(Action::Depart { agent: agent(1) });
    farm.now += 1;
    assert_eq!(due::forgettable_agents(&farm.state, crate::Timestamp(farm.now), 1), [agent(1)]);
    farm.must(Action::ForgetAgent { agent: agent(1) });
    assert!(!farm.state.agents().contains_key(&agent(1)));
}

#[test]
fn a_draining_agent_keeps_what_it_has_and_takes_nothing_new() {
    let mut farm = Farm::with_one_running();
    farm.submit(2, 0, vec![new_task(2, <_>::default())]);
    let held = vec![Farm::claim(1, 1)];
    farm.must(Action::Synchronize { agent: agent(1), draining: true, held });
    assert_eq!(farm.state.agents()[&agent(1)].phase, AgentPhase::Draining);
    assert_eq!(farm.assign(2, 1), Outcome::Refused(Refusal::AgentNotReady(agent(1))));
    assert_eq!(
        farm.apply(Action::Depart { agent: agent(1) }),
        Outcome::Refused(Refusal::AgentNotGone(agent(1)))
    );
    farm.report(1, 1, 1, succeeded());
    farm.must(Action::Depart { agent: agent(1) });
}

#[test]
fn what_an_attempt_said_is_known_once_it_has_told_its_end() {
    let mut farm = Farm::with_one_running();
    let (first, second) = (Some(agent(1)), Some(agent(2)));
    let told = |farm: &Farm, epoch| {
        let task = &farm.state.tasks()[&task(1)];
        (task.said(Epoch(epoch)), task.teller(Epoch(epoch)))
    };
    assert_eq!((told(&farm, 1), told(&farm, 2)), ((None, first), (None, None)));
    farm.report(1, 1, 1, failed(Fault::Machine));
    assert_eq!(told(&farm, 1), (Some(100), first));
    farm.assign(1, 2);
    farm.expire(1, 2);
    assert_eq!((told(&farm, 1), told(&farm, 2)), ((Some(100), first), (None, second)));
    farm.connect(3, offers(1, &["builder/null"]));
    farm.assign(1, 3);
    assert_eq!(told(&farm, 2), (None, None), "who fell silent is shut out");
    farm.report(1, 3, 3, succeeded());
    assert_eq!((told(&farm, 1), told(&farm, 3)), ((Some(100), first), (Some(300), Some(agent(3)))));
}

#[test]
fn a_task_that_nobody_can_take_is_given_up_with_the_reason() {
    let cases = [
        (Some("builder/null"), "failed: no agent of the farm offers builder/qemu"),
        (None, "failed: no agent of the farm is ready"),
    ];
    for (offered, expected) in cases {
        let mut farm = Farm { now: 1_000, ..Farm::default() };
        if let Some(component) = offered {
            farm.connect(1, offers(1, &[component]));
        }
        farm.submit(1, 0, vec![new_task(1, needs("builder/qemu"))]);
        farm.now += 60_000;
        assert_eq!(due::hopeless_tasks(&farm.state, crate::Timestamp(farm.now), 60_000), [task(1)]);
        farm.must(Action::GiveUp { task: task(1) });
        assert_eq!(farm.phase(1), expected);
    }
}

#[test]
fn a_task_that_can_be_placed_is_not_given_up() {
    let mut farm = Farm::with_one_running();
    farm.submit(2, 0, vec![new_task(2, needs("builder/null"))]);
    farm.now += 60_000;
    assert!(due::hopeless_tasks(&farm.state, crate::Timestamp(farm.now), 60_000).is_empty());
    assert_eq!(farm.apply(Action::GiveUp { task: task(2) }), Outcome::Refused(Refusal::Placeable(task(2))));
}

#[test]
fn a_build_is_forgotten_only_after_its_end() {
    let mut farm = Farm::with_one_running();
    let forget = Action::ForgetBuild { build: build(1) };
    assert_eq!(farm.apply(forget.clone()), Outcome::Refused(Refusal::BuildNotEnded(build(1))));
    farm.report(1, 1, 1, succeeded());
    farm.now += 5;
    assert_eq!(due::forgettable_builds(&farm.state, crate::Timestamp(farm.now), 5), [build(1)]);
    farm.must(forget);
    assert!(farm.state.tasks().is_empty() && farm.state.builds().is_empty());
}

#[test]
fn a_submission_is_refused_whole() {
    let one = || new_task(1, <_>::default());
    let submit = |n, tasks| Action::Submit {
        build: build(n),
        parallel: None,
        tasks,
        origin: <_>::default(),
        join: false,
    };
    let cases = [
        (submit(1, vec![one()]), Refusal::DuplicateBuild(build(1))),
        (submit(2, vec![]), Refusal::EmptyBuild(build(2))),
        (submit(2, vec![one()]), Refusal::DuplicateTask(task(1))),
        (
            submit(2, vec![new_task(3, <_>::default()), new_task(3, <_>::default())]),
            Refusal::DuplicateTask(task(3)),
        ),
    ];
    for (action, expected) in cases {
        let mut farm = Farm::with_one_running();
        assert_eq!(farm.apply(action), Outcome::Refused(expected));
    }
}

#[test]
fn a_command_from_the_past_counts_as_simultaneous() {
    let mut farm = Farm::with_one_running();
    farm.now = 5_000;
    farm.synchronize(1, vec![Farm::claim(1, 1)]);
    farm.now = 10;
    farm.synchronize(1, vec![Farm::claim(1, 1)]);
    assert_eq!(farm.state.now(), crate::Timestamp(5_000));
}
