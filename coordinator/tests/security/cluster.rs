//! Three coordinators over real TLS: whichever is asked, callers are who they are, and any of them can certify.

use std::time::Duration;

use kiln_coordinator::Leadership;
use kiln_coordinator::identity::announce;
use kiln_proto::transport::PrivateKey;
use kiln_proto::v1;
use tonic::Code;

use crate::farm::{Farm, Link, bounded};

async fn who(farm: &Farm) -> Result<String, tonic::Status> {
    let reply = bounded(farm.identity(&farm.operator).who_am_i(v1::WhoAmIRequest {})).await?;
    Ok(reply.into_inner().caller)
}

const OPERATOR: &str = "first operator (operator in all projects)";

#[tokio::test(flavor = "multi_thread")]
async fn callers_are_who_they_are_whichever_coordinator_they_ask() {
    let mut farm = Farm::of_three().await;
    for seen in &farm {
        assert_eq!(who(seen).await.unwrap(), OPERATOR);
        let none = bounded(seen.stranger().list_tokens(v1::ListTokensRequest {})).await.unwrap_err();
        assert_eq!(none.code(), Code::Unauthenticated);
    }
    let follower = farm.pop().unwrap();
    let agent = follower.agent().await;
    let other = farm[1].agent().await;
    let mut link = Link::open(follower.channel(&agent.credentials), agent.id).await.unwrap();
    link.exchange(vec![]).await.unwrap();
    let status = Link::open(follower.channel(&agent.credentials), other.id).await.err().unwrap();
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    follower.revoke(agent.id).await;
    let cut = async { while link.hear().await.is_ok() {} };
    bounded(cut).await;
    assert!(Link::open(farm[1].channel(&agent.credentials), agent.id).await.is_err());

    let first = farm.remove(0);
    first.handle.shut_down(Duration::from_secs(10)).await;
    let second = farm.remove(0);
    let mut leadership = follower.handle.leadership();
    let elected = |now: &Leadership| match now {
        Leadership::Leads { .. } => true,
        Leadership::Follows { leader, .. } => *leader != 1,
        Leadership::Nobody => false,
    };
    drop(bounded(leadership.wait_for(elected)).await.unwrap());
    let served = async {
        while who(&second).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    bounded(served).await;
    let token = second.join_token().await;
    let enrolled = follower.enrol(&token.reveal(), &PrivateKey::generate().unwrap()).await;
    assert!(enrolled.is_ok(), "a new leader certifies as the old one did: {enrolled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_was_removed_does_not_come_back() {
    let mut farm = Farm::of_three().await;
    let third = farm.pop().unwrap();
    let mut people = farm[1].people(&farm[1].operator);
    bounded(people.remove_member(v1::RemoveMemberRequest { member: 3 })).await.unwrap();
    let known = [farm[0].endpoint.clone()];
    let credentials = third.place.credentials().unwrap();
    let error = bounded(announce(&known, &credentials, &third.endpoint)).await.unwrap_err();
    let told = kiln_plan::fault::chain(&error);
    assert!(told.contains("coordinator 3 was revoked by an operator"), "{told}");
    let revoke = v1::RevokeCoordinatorRequest { coordinator: 2 };
    let status = bounded(farm[0].identity(&farm[0].operator).revoke_coordinator(revoke)).await.unwrap_err();
    assert_eq!(status.message(), "coordinator 2 votes; take it out first, which revokes it, too");
    assert_eq!(who(&farm[1]).await.unwrap(), OPERATOR, "the others go on");
}
