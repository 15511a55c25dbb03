//! Leaders and followers that are cut off, and what the others do meanwhile.

use std::time::Duration;

use kiln_coordinator::Leadership;
use serde_json::json;
use tokio::time::Instant;
use tonic::Code;

use crate::agent::FakeAgent;
use crate::trio::{ELECTION, Trio};

#[tokio::test(start_paused = true)]
async fn a_lost_leader_is_replaced_in_time_and_nothing_that_was_accepted_is_lost() {
    let mut trio = Trio::start().await;
    let _agent = FakeAgent::connect(&trio.up[&1], 1, 0).await;
    for _ in 0..5 {
        trio.submit(1, 3).await;
    }
    trio.wires.isolate(1, &[2, 3]);
    // As after kill -9: it says nothing more to anybody.
    drop(trio.up.remove(&1));
    let lost = Instant::now();
    let leader = trio.leader().await;
    let took = lost.elapsed();
    assert!(took < ELECTION, "{took:?}");
    assert!(leader == 2 || leader == 3);
    let state = trio.converge().await;
    assert_eq!((state.builds().len(), state.tasks().len()), (5, 15));
    let _agent = FakeAgent::connect(&trio.up[&leader], 1, 0).await;
    trio.submit(leader, 1).await;
    assert_eq!(trio.converge().await.builds().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_leading_before_another_begins_and_proposes_nothing() {
    let trio = Trio::start().await;
    let _agent = FakeAgent::connect(&trio.up[&1], 1, 0).await;
    let mut old = trio.client(1).await;
    trio.submit(1, 1).await;
    trio.wires.isolate(1, &[2, 3]);
    let cut = Instant::now();
    let leader = trio.leader_among(&[2, 3]).await;
    let took = cut.elapsed();
    assert!(took < ELECTION, "{took:?}");
    assert_eq!(*trio.up[&1].leadership().borrow(), Leadership::Nobody);
    let status = old.try_submit(json!({}), 0).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let _agent = FakeAgent::connect(&trio.up[&leader], 1, 0).await;
    trio.submit(leader, 1).await;

    trio.wires.mend();
    let state = trio.converge().await;
    assert_eq!(state.builds().len(), 2);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(trio.leading(), [leader], "whoever comes back follows");
    let follows = Leadership::Follows { leader, address: format!("coordinator-{leader}") };
    assert_eq!(*trio.up[&1].leadership().borrow(), follows);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_comes_back_does_not_unseat_the_leader() {
    let trio = Trio::start().await;
    let before = trio.up[&1].leadership().borrow().clone();
    trio.wires.isolate(3, &[1, 2]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    trio.wires.mend();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(*trio.up[&1].leadership().borrow(), before, "nobody was elected anew");
    trio.converge().await;
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_only_hears_nothing_does_not_unseat_the_leader() {
    let trio = Trio::start().await;
    let before = trio.up[&1].leadership().borrow().clone();
    trio.wires.cut(1, 3);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(*trio.up[&1].leadership().borrow(), before);
    trio.wires.mend();
    trio.converge().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_only_not_heard_is_replaced() {
    let trio = Trio::start().await;
    trio.wires.cut(1, 2);
    trio.wires.cut(1, 3);
    let leader = trio.leader_among(&[2, 3]).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(trio.leading(), [leader]);
    trio.wires.mend();
    trio.converge().await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_without_a_majority_refuses_and_recovers() {
    let mut trio = Trio::start().await;
    let _agent = FakeAgent::connect(&trio.up[&1], 1, 0).await;
    trio.submit(1, 2).await;
    trio.stop(2).await;
    trio.stop(3).await;
    tokio::time::sleep(ELECTION).await;
    assert_eq!(trio.leading(), [0; 0]);
    let status = trio.client(1).await.try_submit(json!({}), 0).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(trio.up[&1].read_linearizable(|_| ()).await.is_err());
    trio.boot(2).await;
    let leader = trio.leader().await;
    assert_eq!(trio.up[&leader].read_linearizable(|farm| farm.tasks().len()).await, Ok(2));
}
