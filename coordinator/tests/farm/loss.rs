//! What gets lost: agents, connections, coordinators. Nothing is done twice under one number, and nothing stays
//! undone.

use std::time::Duration;

use kiln_coordinator::{Settings, Storage};
use kiln_model::lease::LEASE_MS;
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::{BuildId, Epoch};
use kiln_proto::v1;
use kiln_proto::v1::farm_client::FarmClient;
use tonic::Code;

use crate::agent::FakeAgent;
use crate::client::{Client, at, bounded, coordinator, told};

fn succeeded() -> TaskOutcome {
    TaskOutcome::Succeeded { artifacts: vec![] }
}

/// Says every five seconds that it is there, until something is wanted of it.
async fn renew_until_wanted(agent: &mut FakeAgent) {
    while agent.desired.begin.is_empty() {
        agent.say().await;
        // Nothing may come until it speaks again.
        drop(tokio::time::timeout(Duration::from_secs(5), agent.hear()).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_vanished_agent_is_replaced_within_25_seconds_and_its_late_words_are_refused() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut first = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let (build, tasks) = client.submit(1, 0).await;
    let lost = first.take().await.remove(0);
    first.append(lost.key, 1, &["working"]).await;
    let held = first.held.clone();
    let before = tokio::time::Instant::now();
    let mut second = FakeAgent::connect(&farm, 2, 1).await;
    renew_until_wanted(&mut second).await;
    let took = before.elapsed();
    let term = Duration::from_millis(LEASE_MS);
    assert!(took >= term && took <= Duration::from_secs(25), "{took:?}");
    let again = second.take().await.remove(0);
    assert_eq!((again.key.task, again.key.epoch), (lost.key.task, Epoch(2)));

    let receipt = first.append(lost.key, 2, &["late"]).await;
    assert!(receipt.refused, "late events are refused");
    drop(first);
    let mut first = FakeAgent::connect_with(&farm, 1, 1, held).await;
    assert_eq!(first.desired.hold, [], "the attempt is not its own any more");
    first.report(&[(lost.key, succeeded())]).await;
    assert_eq!(farm.read(|state| state.tasks()[&tasks[0]].lease().map(|lease| lease.epoch)), Some(Epoch(2)));

    assert_eq!(again.first_sequence, at(2, 1));
    second.append(again.key, 1, &["working again"]).await;
    second.end(again.key, succeeded()).await;
    let expected = "1.1:working 2.0:attempt 1 on a1 failed: nothing was heard of it any more; trying again on a2 \
                    2.1:working again 2.end:succeeded";
    assert_eq!(told(&client.all(build).await, tasks[0]), expected);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_reconnects_in_time_keeps_its_attempt() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let (build, tasks) = client.submit(1, 0).await;
    let key = agent.take().await[0].key;
    agent.append(key, 1, &["a"]).await;
    let held = agent.held.clone();
    drop(agent);
    tokio::time::sleep(Duration::from_secs(15)).await;
    let mut agent = FakeAgent::connect_with(&farm, 1, 1, held).await;
    assert_eq!((agent.desired.hold[0].key, agent.desired.begin.len()), (key, 0));
    assert_eq!(
        agent.append(key, 1, &["a", "b"]).await.next_sequence,
        at(1, 3),
        "what was taken is passed over"
    );
    agent.end(key, succeeded()).await;
    assert_eq!(told(&client.all(build).await, tasks[0]), "1.1:a 1.2:b 1.end:succeeded");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_forgot_its_attempt_is_given_it_again() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    client.submit(1, 0).await;
    let key = agent.take().await[0].key;
    agent.append(key, 1, &["a"]).await;
    drop(agent);
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let again = agent.take().await.remove(0);
    assert_eq!((again.key, again.first_sequence), (key, at(1, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_newer_stream_of_an_agent_ends_the_older() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut old = FakeAgent::connect(&farm, 1, 1).await;
    let _new = FakeAgent::connect(&farm, 1, 1).await;
    let status = loop {
        if let Err(status) = old.hear().await {
            break status;
        }
    };
    assert_eq!(status.code(), Code::Aborted);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_was_asleep_blames_nobody() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let (_, tasks) = client.submit(1, 0).await;
    agent.take().await;
    for _ in 0..6 {
        agent.say().await;
        agent.hear().await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    tokio::time::advance(Duration::from_secs(40)).await;
    let _eager = FakeAgent::connect(&farm, 2, 1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    agent.say().await;
    agent.hear().await.unwrap();
    let task = farm.read(|state| state.tasks()[&tasks[0]].clone());
    assert_eq!((task.epoch, task.attempts.len(), task.lease().is_some()), (Epoch(1), 0, true));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_coordinator_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().to_owned());
    let settings = Settings { storage, ..Settings::farm_of_one() };
    let farm = coordinator(settings.clone()).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let (build, tasks) = Client::of(&farm).await.submit(2, 0).await;
    let key = agent.take().await[0].key;
    agent.append(key, 1, &["before"]).await;
    bounded(farm.wait_until(|state| state.tasks()[&tasks[0]].lease().is_some())).await;
    let held = agent.held.clone();
    farm.shut_down(Duration::from_secs(5)).await;
    drop(agent);

    let farm = coordinator(settings).await;
    let mut agent = FakeAgent::connect_with(&farm, 1, 1, held).await;
    assert_eq!(agent.desired.hold[0].key, key, "the lease stands");
    agent.append(key, 2, &["after"]).await;
    agent.end(key, succeeded()).await;
    let second = agent.take().await.remove(0);
    let plan: kiln_plan::BuildPlan = serde_json::from_slice(&second.plan).unwrap();
    assert_eq!(plan.name, "null.t1", "plans are still there");
    agent.end(second.key, succeeded()).await;
    let events = Client::of(&farm).await.all(build).await;
    let expected = "1.1:1 earlier events of this task are no longer kept 1.2:after 1.end:succeeded";
    assert_eq!(told(&events, tasks[0]), expected);
    assert_eq!(told(&events, tasks[1]), "1.end:succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_is_sent_again_is_the_same_build_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().to_owned());
    let settings = Settings { storage, ..Settings::farm_of_one() };
    let farm = coordinator(settings.clone()).await;
    let agent = FakeAgent::connect(&farm, 1, 0).await;
    let mut client = Client::of(&farm).await;
    let first = client.submit_keyed(1).await.unwrap();
    assert_eq!(client.submit_keyed(1).await.unwrap(), first);
    let mut clones = [client.clone(), client.clone(), client.clone()];
    let at_once = futures::future::join_all(clones.iter_mut().map(|client| client.submit_keyed(2))).await;
    let other = at_once[0].clone().unwrap();
    assert_ne!(other.build, first.build);
    assert!(at_once.into_iter().all(|reply| reply.unwrap() == other));
    farm.shut_down(Duration::from_secs(5)).await;
    drop(agent);

    let farm = coordinator(settings).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    assert_eq!(client.submit_keyed(1).await.unwrap(), first);
    assert_ne!(client.submit_keyed(3).await.unwrap().build, first.build);
    agent.work(3).await;
    assert_eq!(client.submit_keyed(2).await.unwrap(), other, "it has ended");
    assert_eq!(farm.read(|state| state.builds().len()), 3);
}

/// The reasons for which the first task of a build waits.
async fn explained(farm: &kiln_coordinator::Handle, build: BuildId) -> String {
    let mut client = FarmClient::new(farm.connect().await.unwrap());
    let request = v1::ExplainRequest { build: build.to_string() };
    let json = bounded(client.explain(request)).await.unwrap().into_inner().json;
    let told: Vec<kiln_proto::view::Explanation> = serde_json::from_slice(&json).unwrap();
    told[0].reasons.join("\n")
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_costs_no_attempt() {
    let directory = tempfile::tempdir().unwrap();
    let (plans, away) = (directory.path().join("objects/plans"), directory.path().join("away"));
    let storage = Storage::Directory(directory.path().to_owned());
    let farm = coordinator(Settings { storage, ..Settings::farm_of_one() }).await;
    let idle = FakeAgent::connect(&farm, 1, 0).await;
    let mut client = Client::of(&farm).await;
    let (build, tasks) = client.submit(5, 0).await;
    std::fs::rename(&plans, &away).unwrap();
    std::fs::write(&plans, "no directory").unwrap();
    drop(idle);
    let mut agent = FakeAgent::connect(&farm, 1, 2).await;
    let began = tokio::time::Instant::now();
    let mut why = String::new();
    while began.elapsed() < Duration::from_secs(900) {
        agent.say().await;
        drop(tokio::time::timeout(Duration::from_secs(5), agent.hear()).await);
        assert!(agent.desired.begin.is_empty());
        let told = explained(&farm, build).await;
        if told.contains("which counts as no attempt") {
            why = told;
        }
    }
    assert!(why.contains("waiting for") && why.contains("the object store could not get plans/"), "{why}");
    let (grants, attempts) = farm.read(|state| {
        let tasks = || state.tasks().values();
        (
            tasks().map(|task| task.epoch.0).sum::<u64>(),
            tasks().map(|task| task.attempts.len()).sum::<usize>(),
        )
    });
    assert_eq!(attempts, 0);
    assert!((10..120).contains(&grants), "the store is tried, and not too often: {grants}");

    std::fs::remove_file(&plans).unwrap();
    std::fs::rename(&away, &plans).unwrap();
    let mut done = 0;
    while done < tasks.len() {
        renew_until_wanted(&mut agent).await;
        for begun in agent.take().await {
            agent.end(begun.key, succeeded()).await;
            done += 1;
        }
    }
    let events = client.all(build).await;
    for task in tasks {
        let told = told(&events, task);
        assert!(told.ends_with(".end:succeeded") && !told.contains(' '), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_plan_was_lost_fails_by_the_farms_fault() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().to_owned());
    let farm = coordinator(Settings { storage, ..Settings::farm_of_one() }).await;
    let agent = FakeAgent::connect(&farm, 1, 0).await;
    let mut client = Client::of(&farm).await;
    let (build, tasks) = client.submit(1, 0).await;
    std::fs::remove_dir_all(directory.path().join("objects/plans")).unwrap();
    drop(agent);
    let _agent = FakeAgent::connect(&farm, 1, 1).await;
    let events = client.all(build).await;
    let told = told(&events, tasks[0]);
    assert!(told.ends_with("failed (the plan is not kept any more)"), "{told}");
}
