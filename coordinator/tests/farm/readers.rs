//! Readers: from the middle, slow, several at once.

use kiln_coordinator::Settings;
use kiln_plan::event::TaskOutcome;
use tonic::Code;

use crate::agent::FakeAgent;
use crate::client::{Client, at, coordinator, told};

#[tokio::test(start_paused = true)]
async fn a_reader_may_begin_in_the_middle_and_another_at_the_start() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let (build, tasks) = client.submit(1, 0).await;
    let key = agent.take().await[0].key;
    agent.append(key, 1, &["a", "b", "c"]).await;
    let mut live = client.follow(build, vec![]).await.unwrap();
    assert_eq!(told(&live.next().await.unwrap().unwrap(), tasks[0]), "1.1:a 1.2:b 1.3:c");
    agent.append(key, 4, &["d"]).await;
    assert_eq!(told(&live.next().await.unwrap().unwrap(), tasks[0]), "1.4:d");
    agent.end(key, TaskOutcome::Succeeded { artifacts: vec![] }).await;
    assert_eq!(told(&live.all().await, tasks[0]), "1.end:succeeded");
    let middle = client.follow(build, vec![(tasks[0], at(1, 3))]).await.unwrap().all().await;
    assert_eq!(told(&middle, tasks[0]), "1.3:c 1.4:d 1.end:succeeded");
    assert_eq!(told(&client.all(build).await, tasks[0]), "1.1:a 1.2:b 1.3:c 1.4:d 1.end:succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_nothing_up_and_costs_no_more_than_the_log() {
    let farm = coordinator(Settings { event_memory: 4 << 20, ..Settings::farm_of_one() }).await;
    let mut agent = FakeAgent::connect(&farm, 1, 1).await;
    let mut client = Client::of(&farm).await;
    let (build, tasks) = client.submit(1, 0).await;
    let key = agent.take().await[0].key;
    let slow = client.follow(build, vec![]).await.unwrap();
    let line = "x".repeat(10_000);
    for n in 1..=2_000 {
        assert_eq!(agent.append(key, n, &[&line]).await.next_sequence, at(1, n + 1));
    }
    agent.end(key, TaskOutcome::Cancelled).await;
    let told = told(&slow.all().await, tasks[0]);
    assert!(
        told.contains("earlier events of this task are no longer kept"),
        "twenty MiB don't fit into four"
    );
    assert!(told.ends_with("1.end:cancelled"), "but the end is there");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_build_cannot_be_followed() {
    let farm = coordinator(Settings::farm_of_one()).await;
    let unknown = kiln_plan::id::BuildId::new(uuid::Uuid::nil());
    let status = Client::of(&farm).await.follow(unknown, vec![]).await.err().unwrap();
    assert_eq!(status.code(), Code::NotFound);
}
