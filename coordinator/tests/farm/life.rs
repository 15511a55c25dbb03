//! Builds as they should go: submitted, carried out, told; limited, cancelled, asked and answered.

use std::time::Duration;

use kiln_coordinator::Settings;
use kiln_model::{AgentPhase, BuildPhase, BuildResult, invariant};
use kiln_plan::event::TaskOutcome;
use kiln_plan::{Failure, Fault};
use serde_json::json;
use tonic::Code;

use crate::agent::{FakeAgent, agent_id};
use crate::client::{BOUND, Client, at, bounded, coordinator, told};

#[tokio::test(start_paused = true)]
async fn a_hundred_tasks_are_carried_out() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut agent = FakeAgent::connect(&farm, 1, 200).await;
    let mut client = Client::of(&farm).await;
    let (build, tasks) = client.submit(100, 0).await;
    let (most, events) = tokio::join!(agent.work(100), client.all(build));
    assert_eq!(most, 100);
    for task in &tasks {
        assert_eq!(told(&events, *task), "1.1:working 1.end:succeeded");
    }
    farm.read(|state| {
        invariant::check(state).unwrap();
        let phase = state.builds()[&build].phase;
        assert!(matches!(phase, BuildPhase::Ended { result: BuildResult::Succeeded, .. }), "{phase:?}");
    });
    farm.shut_down(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_parallel_builds_is_kept() {
    for (parallel, expected) in [(1, 1), (3, 3), (0, 5)] {
        let farm = coordinator(Settings::farm_of_one()).await;
        let mut agent = FakeAgent::connect(&farm, 1, 200).await;
        let mut client = Client::of(&farm).await;
        let (build, _) = client.submit(5, parallel).await;
        let (most, events) = tokio::join!(agent.work(5), client.all(build));
        assert_eq!((most, events.len()), (expected, 10));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_submitted_when_the_evaluation_yields_no_plan() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let _agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let reply = client.try_submit(json!({"error": "Unsupported argument"}), 0).await.unwrap();
    let summaries: Vec<_> = reply.diagnostics.iter().map(|d| d.summary.as_str()).collect();
    assert_eq!((reply.build, summaries), (None, vec!["Unsupported argument"]));
    let reply = client.try_submit(json!({"tasks": 0}), 0).await.unwrap();
    assert_eq!(reply.build, None, "nor when there is nothing to do");
    assert!(farm.read(|state| state.builds().is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_submission_waits_for_the_first_agent_but_not_for_ever() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut client = Client::of(&farm).await;
    let status = client.try_submit(json!({}), 0).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().starts_with("no agent has joined the farm"), "{status}");
    let mut early = client.clone();
    let (reply, _agent) = tokio::join!(early.try_submit(json!({}), 0), FakeAgent::connect(&farm, 1, 1));
    assert!(reply.unwrap().build.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_nobody_can_take_fails_with_the_reason() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let reply = client.try_submit(json!({"needs": "builder/qemu"}), 0).await.unwrap();
    let (build, task) = (reply.build.unwrap(), reply.tasks[0].0);
    let renew = async {
        loop {
            agent.say().await;
            agent.hear().await.unwrap();
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    let events = tokio::select! {
        events = client.all(build) => events,
        () = renew => unreachable!("renewing has no end"),
    };
    assert_eq!(told(&events, task), "0.end:failed (no agent of the farm offers builder/qemu)");
}

#[tokio::test(start_paused = true)]
async fn cancelling_stops_what_runs_and_finishes_what_waits() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let (build, tasks) = client.submit(2, 0).await;
    let running = agent.take().await[0].key;
    client.cancel(build).await.unwrap();
    agent.until(|desired| desired.hold.iter().any(|wanted| wanted.cancel)).await;
    agent.end(running, TaskOutcome::Cancelled).await;
    let events = client.all(build).await;
    assert_eq!(told(&events, tasks[0]), "1.end:cancelled");
    assert_eq!(told(&events, tasks[1]), "0.end:cancelled");
    client.cancel(build).await.unwrap();
    let unknown = kiln_plan::id::BuildId::new(uuid::Uuid::nil());
    assert_eq!(client.cancel(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn an_answer_reaches_the_attempt_that_asked() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let (_, tasks) = client.submit(2, 1).await;
    agent.take().await;
    client.answer(tasks[0], 4, "yes").await.unwrap();
    client.answer(tasks[0], 4, "no").await.unwrap();
    agent.until(|desired| desired.hold.iter().any(|wanted| !wanted.answers.is_empty())).await;
    let answers = &agent.desired.hold[0].answers;
    assert_eq!((answers[0].question, answers[0].text.as_str(), answers.len()), (4, "yes", 1));
    let status = client.answer(tasks[1], 1, "yes").await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition, "it doesn't run");
}

#[tokio::test(start_paused = true)]
async fn a_machines_failure_is_tried_elsewhere_and_readers_are_told() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut first = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let (build, tasks) = client.submit(1, 0).await;
    let key = first.take().await[0].key;
    let mut second = FakeAgent::connect(&farm, 2, 1).await;
    first.append(key, 1, &["starting QEMU"]).await;
    let failure = Failure::new(Fault::Machine, "no space left");
    first.end(key, TaskOutcome::Failed { failure }).await;
    let again = second.take().await.remove(0);
    assert_eq!((again.key.epoch.0, again.first_sequence), (2, at(2, 1)));
    second.append(again.key, 1, &["starting QEMU"]).await;
    second.end(again.key, TaskOutcome::Succeeded { artifacts: vec![] }).await;
    let expected = "1.1:starting QEMU 2.0:attempt 1 on a1 failed: no space left; trying again on a2 \
                    2.1:starting QEMU 2.end:succeeded";
    assert_eq!(told(&client.all(build).await, tasks[0]), expected);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_says_goodbye_is_gone_and_later_forgotten() {
    let farm = coordinator(Settings::farm_of_one()).await;
    FakeAgent::connect(&farm, 1, 1).await.leave().await;
    let gone = |phase| matches!(phase, AgentPhase::Gone { .. });
    bounded(farm.wait_until(|state| state.agents().get(&agent_id(1)).is_some_and(|a| gone(a.phase)))).await;
    let forgotten = farm.wait_until(|state| state.agents().is_empty());
    tokio::time::timeout(BOUND * 2, forgotten).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_build_is_forgotten_after_a_while() {
    let farm = coordinator(Settings { keep: Duration::from_secs(60), ..Settings::farm_of_one() }).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let (build, _) = client.submit(1, 0).await;
    agent.work(1).await;
    bounded(farm.wait_until(|state| state.builds().is_empty())).await;
    // The logs go right after the ledger's command.
    while client.follow(build, vec![]).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_closes_ends_its_streams_and_takes_nothing_new() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let (build, _) = client.submit(1, 0).await;
    let mut follow = client.follow(build, vec![]).await.unwrap();
    let told = async {
        while agent.hear().await.is_ok() {}
        while follow.next().await.is_ok_and(|update| update.is_some()) {}
    };
    let ((), ()) = tokio::join!(farm.shut_down(Duration::from_secs(5)), told);
    assert_eq!(client.try_submit(json!({}), 0).await.unwrap_err().code(), Code::Unavailable);
}
