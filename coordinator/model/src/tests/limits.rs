//! Deadlines, silence and drains: what time and operators do to a task.

use kiln_plan::event::TaskOutcome;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::Epoch;
use kiln_plan::requirements::{DEADLINE_MS, NO_PROGRESS_MS};

use super::farm::{Farm, agent, build, new_task, offers, succeeded, task};
use crate::lease::{LEASE_MS, RENEW_MS};
use crate::{Action, AgentPhase, Liveness, Origin, Outcome, Overrun, Refusal, Timestamp, apply};

fn overrun(limit: Overrun) -> Action {
    Action::Overrun { task: task(1), epoch: Epoch(1), limit }
}

#[test]
fn an_attempt_that_takes_too_long_is_cancelled_and_fails_with_the_numbers() {
    // (time that passes, what is said to be overrun, how it ends once the agent has stopped)
    let idle_ms = NO_PROGRESS_MS + 61_000;
    let cases = [
        (DEADLINE_MS, Overrun::Deadline, "failed: the build took 4 h, more than the 4 h it may take"),
        (
            NO_PROGRESS_MS * 2,
            Overrun::Progress { idle_ms },
            "failed: the build made no progress for 31 min 1 s, more than the 30 min it may, after 1 h in all",
        ),
    ];
    for (passes, limit, expected) in cases {
        let mut farm = Farm::with_one_running();
        farm.now += passes - 1;
        if limit == Overrun::Deadline {
            assert_eq!(farm.apply(overrun(limit)), Outcome::Refused(Refusal::NothingOverrun(task(1))));
        }
        farm.now += 1;
        farm.must(overrun(limit));
        assert!(crate::desired(&farm.state, agent(1))[0].cancel);
        assert_eq!(farm.phase(1), "running on a1 epoch 1", "until its agent has stopped it");
        assert_eq!(farm.apply(overrun(limit)), Outcome::Refused(Refusal::NothingOverrun(task(1))));
        farm.report(1, 1, 1, TaskOutcome::Cancelled);
        assert_eq!(farm.phase(1), expected);
    }
    let short = Overrun::Progress { idle_ms: NO_PROGRESS_MS - 1 };
    let refused = Farm::with_one_running().apply(overrun(short));
    assert_eq!(refused, Outcome::Refused(Refusal::NothingOverrun(task(1))));
}

#[test]
fn an_attempt_that_succeeds_before_it_heard_that_it_takes_too_long_has_succeeded() {
    let mut farm = Farm::with_one_running();
    farm.now += DEADLINE_MS;
    farm.must(overrun(Overrun::Deadline));
    farm.report(1, 1, 1, succeeded());
    assert_eq!(farm.phase(1), "succeeded");
}

/// What the leader finds due at a time, in a word each.
fn due(farm: &Farm, liveness: &mut Liveness, now: u64) -> String {
    let word = |action: Action| match action {
        Action::ExpireLease { silent_ms, .. } => format!("expire {silent_ms}"),
        Action::LoseAgent { silent_ms, .. } => format!("lose {silent_ms}"),
        Action::Overrun { limit, .. } => format!("{limit:?}"),
        other => format!("{other:?}"),
    };
    let due = liveness.due(&farm.state, now, Timestamp(farm.now + now));
    due.into_iter().map(word).collect::<Vec<_>>().join(", ")
}

/// Looks each second from `from` to before `to`, while both agents renew if they do.
fn watch(farm: &Farm, liveness: &mut Liveness, (from, to): (u64, u64), renews: bool) -> String {
    for now in (from..to).step_by(1_000) {
        if renews && now % RENEW_MS == 0 {
            liveness.heard(agent(1), now);
            liveness.heard(agent(2), now);
            liveness.claimed(task(1), Epoch(1), Some(0), now);
        }
        let found = due(farm, liveness, now);
        if !found.is_empty() {
            return format!("{now}: {found}");
        }
    }
    String::new()
}

#[test]
fn silence_of_a_term_is_noticed_and_nothing_less() {
    let farm = Farm::with_one_running();
    let mut liveness = Liveness::default();
    assert_eq!(watch(&farm, &mut liveness, (0, 61_000), true), "");
    let expected = format!("{}: expire {LEASE_MS}, lose {LEASE_MS}, lose {LEASE_MS}", 60_000 + LEASE_MS);
    assert_eq!(watch(&farm, &mut liveness, (61_000, 90_000), false), expected);
}

#[test]
fn a_new_leader_and_one_that_slept_give_everybody_a_full_term() {
    let farm = Farm::with_one_running();
    let mut liveness = Liveness::default();
    assert_eq!(watch(&farm, &mut liveness, (0, 15_000), false), "");
    liveness.restart();
    assert_eq!(watch(&farm, &mut liveness, (15_000, 30_000), false), "");
    assert_eq!(due(&farm, &mut liveness, 90_000), "", "it slept for a minute");
    assert_eq!(watch(&farm, &mut liveness, (91_000, 109_000), false), "");
}

#[test]
fn an_attempt_that_gets_nowhere_is_noticed_although_its_agent_is_there() {
    let farm = Farm::with_one_running();
    let mut liveness = Liveness::default();
    for now in (0..).step_by(1_000) {
        liveness.heard(agent(1), now);
        liveness.heard(agent(2), now);
        liveness.claimed(task(1), Epoch(1), None, now);
        if now == 60_000 {
            liveness.moved(task(1), Epoch(1), now);
        }
        let found = due(&farm, &mut liveness, now);
        if !found.is_empty() {
            assert_eq!(now, 60_000 + NO_PROGRESS_MS);
            assert_eq!(found, format!("Progress {{ idle_ms: {NO_PROGRESS_MS} }}"));
            break;
        }
    }
}

#[test]
fn that_all_is_as_it_was_is_no_news() {
    let mut farm = Farm::with_one_running();
    let held = [Farm::claim(1, 1)];
    assert!(!apply::is_news(&farm.state, agent(1), false, &held));
    assert!(apply::is_news(&farm.state, agent(1), true, &held), "it wants nothing new");
    assert!(apply::is_news(&farm.state, agent(3), false, &[]), "it isn't known");
    assert!(!apply::is_news(&farm.state, agent(2), false, &held), "what isn't its own changes nothing");
    farm.expire(1, 1);
    assert!(apply::is_news(&farm.state, agent(1), false, &held), "it takes up what expired");
}

#[test]
fn a_drained_agent_stays_so_whatever_it_says_until_an_operator_wants_it_back() {
    let mut farm = Farm::with_one_running();
    farm.must(Action::DrainAgent { agent: agent(1) });
    farm.synchronize(1, vec![Farm::claim(1, 1)]);
    farm.connect(1, offers(2, &["builder/null"]));
    assert_eq!(farm.state.agents[&agent(1)].phase, AgentPhase::Draining);
    farm.submit(2, 0, vec![new_task(2, <_>::default())]);
    assert_eq!(farm.assign(2, 1), Outcome::Refused(Refusal::AgentNotReady(agent(1))));
    farm.must(Action::UndrainAgent { agent: agent(1) });
    assert_eq!(farm.assign(2, 1), Outcome::Assigned { epoch: Epoch(1) });
}

#[test]
fn a_request_that_is_sent_again_is_answered_with_its_build_for_as_long_as_that_is_remembered() {
    let submit = |n: u128, request: Option<&str>| {
        let request = request.map(|request| Fingerprint::of_bytes(request.as_bytes()));
        let origin = Origin { request, ..Origin::default() };
        let tasks = vec![new_task(n, <_>::default())];
        Action::Submit { build: build(n), parallel: None, tasks, origin, join: false }
    };
    let mut farm = Farm::default();
    let before = Outcome::SubmittedBefore { build: build(1) };
    assert_eq!(farm.apply(submit(1, Some("a"))), Outcome::Done);
    assert_eq!(farm.apply(submit(2, Some("a"))), before);
    assert_eq!(farm.apply(submit(1, Some("a"))), before, "whatever else it proposes");
    assert_eq!(farm.apply(submit(2, Some("b"))), Outcome::Done);
    assert_eq!(farm.apply(submit(3, None)), Outcome::Done);
    assert_eq!(farm.apply(submit(4, None)), Outcome::Done, "without a key nothing is the same");
    // What lies on disk knows it too.
    let written = serde_json::to_string(&farm.state).unwrap();
    farm.state = serde_json::from_str(&written).unwrap();
    farm.must(Action::Cancel { build: build(1) });
    assert_eq!(farm.apply(submit(5, Some("a"))), before, "it has ended");
    farm.must(Action::ForgetBuild { build: build(1) });
    assert_eq!(farm.apply(submit(6, Some("a"))), Outcome::Done, "and is forgotten");
}

#[test]
fn a_build_that_does_the_same_is_joined_on_request() {
    let origin = |text: &str, project: &str| Origin {
        fingerprint: Some(Fingerprint::of_bytes(text.as_bytes())),
        project: project.into(),
        ..Origin::default()
    };
    let submit = |n: u128, origin: Origin, join| {
        let tasks = vec![new_task(n, <_>::default())];
        Action::Submit { build: build(n), parallel: None, tasks, origin, join }
    };
    let mut farm = Farm::default();
    let joined = Outcome::UnderWay { build: build(1) };
    assert_eq!(farm.apply(submit(1, origin("same", "a"), true)), Outcome::Done);
    assert_eq!(farm.apply(submit(2, origin("same", "a"), true)), joined);
    assert_eq!(farm.apply(submit(3, origin("same", "b"), true)), Outcome::Done, "another project");
    assert_eq!(farm.apply(submit(4, origin("other", "a"), true)), Outcome::Done, "something else");
    assert_eq!(farm.apply(submit(5, origin("same", "a"), false)), Outcome::Done, "not asked for");
    farm.must(Action::Cancel { build: build(5) });
    farm.must(Action::Cancel { build: build(1) });
    assert_eq!(farm.apply(submit(6, origin("same", "a"), true)), Outcome::Done, "it has ended");
}
