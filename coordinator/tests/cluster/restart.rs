//! Coordinators that stop and start again: one, two, all.

use std::time::Duration;

use kiln_coordinator::Leadership;

use crate::agent::FakeAgent;
use crate::client::bounded;
use crate::trio::Trio;

async fn submit(trio: &Trio, builds: usize) {
    let leader = trio.leader().await;
    let _agent = FakeAgent::connect(&trio.up[&leader], 1, 0).await;
    for _ in 0..builds {
        trio.submit(leader, 2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_after_the_other_restarts_and_nothing_is_lost() {
    let mut trio = Trio::start().await;
    for (round, id) in (1..).zip([1, 2, 3, 1]) {
        submit(&trio, 2).await;
        trio.stop(id).await;
        submit(&trio, 1).await;
        trio.boot(id).await;
        trio.leader().await;
        assert_eq!(trio.converge().await.builds().len(), round * 3);
    }
}

#[tokio::test(start_paused = true)]
async fn all_three_restart_and_nothing_is_lost() {
    let mut trio = Trio::start().await;
    submit(&trio, 5).await;
    let before = trio.converge().await;
    for id in [2, 1, 3] {
        trio.stop(id).await;
    }
    for id in [3, 2, 1] {
        trio.boot(id).await;
    }
    trio.leader().await;
    let after = trio.converge().await;
    assert_eq!((after.builds(), after.tasks()), (before.builds(), before.tasks()));
    submit(&trio, 1).await;
    assert_eq!(trio.converge().await.builds().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn two_are_lost_and_come_back() {
    let mut trio = Trio::start().await;
    submit(&trio, 4).await;
    trio.converge().await;
    for id in [1, 2] {
        drop(trio.up.remove(&id));
        trio.wires.close(id);
    }
    // Whoever was dropped lets go of its files a moment later.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for id in [1, 2] {
        trio.boot(id).await;
    }
    trio.leader().await;
    assert_eq!(trio.converge().await.builds().len(), 4);
    submit(&trio, 1).await;
    assert_eq!(trio.converge().await.builds().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_comes_back_within_its_term_serves_only_once_it_knows_everything() {
    let mut trio = Trio::start().await;
    let first = trio.leader().await;
    submit(&trio, 20).await;
    trio.converge().await;
    for id in trio.ids() {
        drop(trio.up.remove(&id));
        trio.wires.close(id);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    // Nobody else was elected, so it leads on as soon as one of the others is there. (Two of them would elect another.)
    trio.boot(first).await;
    let mut leadership = trio.up[&first].leadership();
    trio.boot(if first == 2 { 3 } else { 2 }).await;
    bounded(leadership.wait_for(|now| matches!(now, Leadership::Leads { .. }))).await.unwrap();
    assert_eq!(trio.up[&first].read(|farm| farm.builds().len()), 20);
}
