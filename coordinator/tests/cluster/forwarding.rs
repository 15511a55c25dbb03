//! Agents and people that come to a coordinator which doesn't lead.

use std::time::Duration;

use kiln_coordinator::Leadership;
use kiln_model::BuildPhase;
use kiln_plan::event::TaskOutcome;
use kiln_proto::v1;
use kiln_proto::v1::peer_client::PeerClient;
use kiln_proto::v1::submission_client::SubmissionClient;
use serde_json::json;
use tonic::Code;

use crate::agent::FakeAgent;
use crate::client::{bounded, told};
use crate::trio::{GRACE, Trio};

const CHANGING: &str = "the leader of the farm is changing at the moment; try again";

#[tokio::test(start_paused = true)]
async fn a_follower_passes_agents_and_people_on_to_the_leader() {
    let trio = Trio::start().await;
    let mut agent = FakeAgent::connect(&trio.up[&2], 1, 200).await;
    let mut client = trio.client(3).await;
    let (build, tasks) = client.submit(20, 0).await;
    let (_, events) = tokio::join!(agent.work(20), client.all(build));
    for task in tasks {
        assert_eq!(told(&events, task), "1.1:working 1.end:succeeded");
    }
    let unknown = kiln_plan::id::BuildId::new(uuid::Uuid::nil());
    assert_eq!(client.cancel(unknown).await.unwrap_err().code(), Code::NotFound, "errors come through, too");
    assert_eq!(client.follow(unknown, vec![]).await.err().unwrap().code(), Code::NotFound);
    let state = trio.converge().await;
    assert!(matches!(state.builds()[&build].phase, BuildPhase::Ended { .. }));
}

#[tokio::test(start_paused = true)]
async fn streams_end_when_the_leader_changes_and_an_attempt_goes_on_with_the_next() {
    let mut trio = Trio::start().await;
    let mut near = FakeAgent::connect(&trio.up[&1], 1, 1).await;
    let mut far = FakeAgent::connect(&trio.up[&3], 2, 1).await;
    let mut client = trio.client(3).await;
    let (build, tasks) = client.submit(2, 0).await;
    let keys = [near.take().await.remove(0).key, far.take().await.remove(0).key];
    for (agent, key) in [(&mut near, keys[0]), (&mut far, keys[1])] {
        agent.append(key, 1, &["before"]).await;
    }
    let mut follow = client.follow(build, vec![]).await.unwrap();
    let held = [near.held.clone(), far.held.clone()];

    let old = trio.up.remove(&1).unwrap();
    trio.wires.isolate(1, &[2, 3]);
    let leader = trio.leader().await;
    let ends = async {
        while near.hear().await.is_ok() {}
        while far.hear().await.is_ok() {}
        loop {
            match follow.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the build has not ended"),
                Err(status) => return status,
            }
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(5), ends).await.expect("streams end in time");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    drop(old);

    let [near_held, far_held] = held;
    let other = trio.others(leader)[0];
    let mut near = FakeAgent::connect_with(&trio.up[&leader], 1, 1, near_held).await;
    let mut far = FakeAgent::connect_with(&trio.up[&other], 2, 1, far_held).await;
    assert_eq!((near.desired.hold[0].key, far.desired.hold[0].key), (keys[0], keys[1]), "leases stand");
    for (agent, key) in [(&mut near, keys[0]), (&mut far, keys[1])] {
        agent.append(key, 1, &["before", "after"]).await;
        agent.end(key, TaskOutcome::Succeeded { artifacts: vec![] }).await;
    }
    let events = trio.client(other).await.all(build).await;
    for task in tasks {
        assert_eq!(told(&events, task), "1.1:before 1.2:after 1.end:succeeded");
    }
    trio.converge().await;
}

#[tokio::test(start_paused = true)]
async fn a_submission_whose_answer_was_lost_with_the_leader_is_not_built_again_by_the_next() {
    let mut trio = Trio::start().await;
    let _agent = FakeAgent::connect(&trio.up[&1], 1, 0).await;
    let first = trio.client(2).await.submit_keyed(1).await.unwrap();
    trio.stop(1).await;
    let leader = trio.leader().await;
    let _agent = FakeAgent::connect(&trio.up[&leader], 1, 0).await;
    let again = trio.client(trio.others(leader)[0]).await.submit_keyed(1).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(trio.converge().await.builds().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_gives_every_holder_a_full_term() {
    let mut trio = Trio::start().await;
    let mut agent = FakeAgent::connect(&trio.up[&1], 1, 1).await;
    let (_, tasks) = trio.client(1).await.submit(1, 0).await;
    let key = agent.take().await.remove(0).key;
    let held = agent.held.clone();
    // The lease has seconds left when the new leader begins.
    tokio::time::sleep(Duration::from_secs(17)).await;
    trio.stop(1).await;
    let leader = trio.leader().await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    let agent = FakeAgent::connect_with(&trio.up[&leader], 1, 1, held).await;
    assert_eq!(agent.desired.hold[0].key, key, "it was not taken back");
    assert_eq!(trio.up[&leader].read(|farm| farm.tasks()[&tasks[0]].attempts.len()), 0);
}

#[tokio::test(start_paused = true)]
async fn only_a_coordinator_is_heard_as_one() {
    let trio = Trio::start().await;
    let canvass = |target| v1::CanvassRequest { target, last: None };
    let mut stranger = PeerClient::new(trio.up[&2].connect().await.unwrap());
    let status = stranger.canvass(canvass(2)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    let channel = trio.wires.dial(3).dial("coordinator-2").await.unwrap();
    let mut coordinator = PeerClient::new(channel.clone());
    assert!(!coordinator.canvass(canvass(2)).await.unwrap().into_inner().agreed);
    let status = coordinator.canvass(canvass(7)).await.unwrap_err();
    assert_eq!(status.message(), "this is coordinator 2, not 7; look at the addresses of the cluster");

    // What was passed on once is not passed on again; but that it was, nobody else may say.
    let unknown = || {
        let build = kiln_plan::id::BuildId::new(uuid::Uuid::nil()).to_string();
        let mut request = tonic::Request::new(v1::CancelRequest { build });
        request.metadata_mut().insert("x-kiln-forwarded-by", "3".parse().unwrap());
        request
    };
    let status = SubmissionClient::new(channel).cancel(unknown()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, CHANGING));
    let mut stranger = SubmissionClient::new(trio.up[&2].connect().await.unwrap());
    assert_eq!(stranger.cancel(unknown()).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_stops_ends_what_it_passes_on() {
    let mut trio = Trio::start().await;
    let mut agent = FakeAgent::connect(&trio.up[&2], 1, 1).await;
    let began = tokio::time::Instant::now();
    trio.stop(2).await;
    assert!(began.elapsed() < GRACE, "nobody waits for streams that have no end");
    let status = loop {
        if let Err(status) = agent.hear().await {
            break status;
        }
    };
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "this coordinator is about to stop"));
}

#[tokio::test(start_paused = true)]
async fn nobody_passes_on_when_nobody_leads() {
    let mut trio = Trio::start().await;
    let lonely = trio.up.remove(&3).unwrap();
    trio.wires.isolate(3, &[1, 2]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut client = crate::client::Client::of(&lonely).await;
    let status = client.try_submit(json!({}), 0).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    bounded(lonely.shut_down(GRACE)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_made_while_nobody_leads_goes_to_the_next_leader() {
    let mut trio = Trio::start().await;
    let mut client = trio.client(2).await;
    drop(trio.up.remove(&1));
    trio.wires.isolate(1, &[2, 3]);
    // The leader was heard a moment ago; 2 and 3 miss it only when its term has passed.
    let mut gone = trio.up[&2].leadership();
    bounded(gone.wait_for(|now| matches!(now, Leadership::Nobody))).await.unwrap();
    let unknown = kiln_plan::id::BuildId::new(uuid::Uuid::nil());
    let began = tokio::time::Instant::now();
    let status = client.cancel(unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}: the next leader answered");
    assert!(began.elapsed() < Duration::from_secs(4), "as soon as there was one");
}
