//! Members that join, leave, or were away for long.

use std::time::Duration;

use kiln_coordinator::{ChangeError, Member};

use crate::agent::FakeAgent;
use crate::client::bounded;
use crate::trio::Trio;

#[tokio::test(start_paused = true)]
async fn a_member_that_was_away_for_more_than_the_log_keeps_catches_up_by_a_snapshot() {
    let mut trio = Trio::start_with(32).await;
    let _agent = FakeAgent::connect(&trio.up[&1], 1, 0).await;
    trio.submit(1, 1).await;
    trio.stop(3).await;
    for _ in 0..150 {
        trio.submit(1, 1).await;
    }
    trio.boot(3).await;
    assert_eq!(trio.converge().await.builds().len(), 151);
    trio.stop(1).await;
    trio.leader().await;
    assert_eq!(trio.converge().await.builds().len(), 151);
    // What it received lies on its disk.
    trio.stop(3).await;
    trio.boot(3).await;
    trio.leader().await;
    assert_eq!(trio.converge().await.builds().len(), 151);
}

#[tokio::test(start_paused = true)]
async fn members_join_under_load() {
    let mut trio = Trio::of_one(64).await;
    let agent = FakeAgent::connect(&trio.up[&1], 1, 0).await;
    let mut client = trio.client(1).await;
    let load = tokio::spawn(async move {
        for _ in 0..200 {
            client.submit(1, 0).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    trio.join(2).await;
    trio.join(3).await;
    bounded(load).await.unwrap();
    drop(agent);
    assert_eq!(trio.converge().await.builds().len(), 200);
    let members = trio.up[&1].members();
    let expected =
        |id| Member { id, address: format!("coordinator-{id}"), votes: true, leads: id == 1, lag: Some(0) };
    assert_eq!(members, [expected(1), expected(2), expected(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_member_is_replaced_and_the_leader_may_be_removed() {
    let mut trio = Trio::start().await;
    trio.boot(4).await;
    bounded(trio.up[&1].replace_voter(3, 4, "coordinator-4")).await.unwrap();
    trio.stop(3).await;
    let ids = |members: Vec<Member>| members.into_iter().map(|member| member.id).collect::<Vec<_>>();
    assert_eq!(ids(trio.up[&1].members()), [1, 2, 4]);
    bounded(trio.up[&1].remove_voter(1)).await.unwrap();
    let leader = trio.leader_among(&[2, 4]).await;
    assert_eq!(ids(trio.up[&leader].members()), [2, 4]);
    trio.stop(1).await;
    let _agent = FakeAgent::connect(&trio.up[&leader], 1, 0).await;
    trio.submit(leader, 1).await;
    trio.converge().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_never_comes_is_not_waited_for() {
    let trio = Trio::start().await;
    let error = bounded(trio.up[&1].add_voter(9, "coordinator-9")).await.unwrap_err();
    assert!(matches!(error, ChangeError::NotReached { id: 9, .. }), "{error}");
    assert_eq!(trio.up[&1].members().len(), 3, "it is not left behind");
    let error = trio.up[&1].remove_voter(9).await.unwrap_err();
    assert!(matches!(error, ChangeError::UnknownMember(9)), "{error}");
    let error = bounded(trio.up[&2].add_voter(9, "coordinator-9")).await.unwrap_err();
    assert!(matches!(error, ChangeError::NotLeader), "{error}");
}
