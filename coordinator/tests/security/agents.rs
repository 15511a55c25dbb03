//! Agents: each speaks for itself, as long as it may.

use kiln_coordinator::identity::authority::{Authority, Lives, Requested, Subject};
use kiln_model::Timestamp;
use kiln_plan::event::EventKind;
use kiln_plan::id::AgentId;
use kiln_proto::event::{Record, place};
use kiln_proto::link::{AttemptEvents, AttemptKey, AttemptPhase, AttemptReceipt, HeldAttempt};
use kiln_proto::transport::{Peer, PrivateKey};
use kiln_proto::v1;
use kiln_proto::v1::identity_client::IdentityClient;
use tonic::Code;

use crate::farm::{Enrolled, Farm, Link, bounded, credentials};

const DAY: u64 = 24 * 3_600_000;

/// The authority itself, as nobody outside of a coordinator has it.
fn authority(farm: &Farm) -> Authority {
    let record = farm.handle.read(|state| state.identities().authority().unwrap().clone());
    Authority::open(&record, &farm.place.sealer().unwrap().unwrap()).unwrap()
}

/// A certificate for this agent's key, made so many days ago.
fn aged(farm: &Farm, agent: AgentId, key: &PrivateKey, days: u64) -> String {
    let subject = Subject { peer: Peer::Agent(agent), names: vec![], life: Lives::default().agent };
    let requested = Requested::read(&key.request().unwrap()).unwrap();
    let then = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let then = Timestamp(u64::try_from(then).unwrap() - days * DAY);
    authority(farm).certify(&requested, &subject, then).unwrap().chain
}

#[tokio::test]
async fn an_agent_speaks_only_for_itself() {
    let farm = Farm::found().await;
    let (first, second) = (farm.agent().await, farm.agent().await);
    let status = Link::open(farm.channel(&first.credentials), second.id).await.err().unwrap();
    let told = format!("agent {} may not speak for agent {}", first.id, second.id);
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, told.as_str()));
    assert!(farm.audit().contains(&told), "and the audit tells of it");

    let mut link = Link::open(farm.channel(&first.credentials), first.id).await.unwrap();
    let request = v1::SubmitRequest { request: br#"{"tasks": 1}"#.as_slice().into(), ..<_>::default() };
    bounded(farm.submission(&farm.operator).submit(request)).await.unwrap();
    let key = loop {
        if let Some(begun) = link.hear().await.unwrap().begin.first() {
            break begun.key;
        }
    };
    let mut intruder = Link::open(farm.channel(&second.credentials), second.id).await.unwrap();
    assert!(append(&mut intruder, key, "lies").await.refused, "events of another's task are refused");
    assert!(!append(&mut link, key, "truth").await.refused);
    let ended = AttemptPhase::Ended(kiln_plan::event::TaskOutcome::Succeeded { artifacts: vec![] });
    intruder.exchange(vec![HeldAttempt { key, phase: ended, idle_ms: None, said: None }]).await.unwrap();
    let lies = vec![HeldAttempt { key, phase: AttemptPhase::Running, idle_ms: None, said: None }];
    let desired = intruder.exchange(lies).await.unwrap();
    assert!(desired.hold.is_empty(), "and so is a claim to its lease");
    let (task, attempt, epoch) = (key.task.to_string(), key.attempt.to_string(), key.epoch.0);
    let files = v1::FetchBundleRequest { task, attempt, epoch };
    let stolen = match bounded(intruder.client.fetch_bundle(files)).await {
        Ok(parts) => bounded(parts.into_inner().message()).await.map(|part| part.is_some()),
        Err(status) => Err(status),
    };
    assert_eq!(stolen.unwrap_err().code(), Code::Aborted, "its files are for its holder");
    let finished = farm.handle.read(|state| state.tasks()[&key.task].is_finished());
    assert!(!finished, "and so is its report");
    assert!(
        link.exchange(vec![HeldAttempt { key, phase: AttemptPhase::Running, idle_ms: None, said: None }])
            .await
            .is_ok()
    );
}

async fn append(link: &mut Link, key: AttemptKey, text: &str) -> AttemptReceipt {
    let say = EventKind::Say { speaker: None, text: text.into() };
    let records = vec![Record::new(place::first(key.epoch), 1, &say)];
    let events = AttemptEvents { task: key.task, epoch: key.epoch, records };
    let batches = tokio_stream::once(v1::EventBatch::from(vec![events]));
    let mut receipts = bounded(link.client.append_events(batches)).await.unwrap().into_inner();
    let receipt: Vec<AttemptReceipt> =
        bounded(receipts.message()).await.unwrap().unwrap().try_into().unwrap();
    receipt[0]
}

#[tokio::test]
async fn a_revoked_agent_is_cut_off_and_stays_so() {
    let farm = Farm::found().await;
    let agent = farm.agent().await;
    let other = farm.agent().await;
    let mut link = Link::open(farm.channel(&agent.credentials), agent.id).await.unwrap();
    let mut bystander = Link::open(farm.channel(&other.credentials), other.id).await.unwrap();
    farm.revoke(agent.id).await;
    let status = loop {
        match link.hear().await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    let told = format!("agent {} was revoked by an operator; it may enrol anew with another token", agent.id);
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, told.as_str()));
    let again = Link::open(farm.channel(&agent.credentials), agent.id).await.err().unwrap();
    assert_eq!(again.message(), told);
    let renewed = renew(&farm, &agent, &agent.key, "").await.unwrap_err();
    assert_eq!(renewed.code(), Code::Unauthenticated);
    let returned = come_back(&farm, &agent.chain, &agent.key).await.unwrap_err();
    assert_eq!(returned.message(), told);
    assert!(bystander.exchange(vec![]).await.is_ok(), "the others go on");
}

async fn renew(
    farm: &Farm,
    agent: &Enrolled,
    key: &PrivateKey,
    ended: &str,
) -> Result<v1::RenewReply, tonic::Status> {
    let mut client = IdentityClient::new(farm.channel(&agent.credentials));
    let signing_request = key.request().unwrap().into();
    let request = v1::RenewRequest { signing_request, ended_chain: ended.into() };
    bounded(client.renew(request)).await.map(tonic::Response::into_inner)
}

/// Shows a certificate that has ended, over a connection without any.
async fn come_back(farm: &Farm, chain: &str, key: &PrivateKey) -> Result<v1::RenewReply, tonic::Status> {
    let signing_request = key.request().unwrap().into();
    let request = v1::RenewRequest { signing_request, ended_chain: chain.into() };
    bounded(farm.stranger().renew(request)).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_certificate_is_renewed_with_a_new_key() {
    let farm = Farm::found().await;
    let agent = farm.agent().await;
    let key = PrivateKey::generate().unwrap();
    let reply = renew(&farm, &agent, &key, "").await.unwrap();
    let renewed = credentials(&reply.chain, &key, &reply.authority);
    assert_eq!(renewed.peer(), Peer::Agent(agent.id));
    Link::open(farm.channel(&renewed), agent.id).await.unwrap();
}

#[tokio::test]
async fn an_expired_certificate_opens_nothing_but_the_way_back() {
    let farm = Farm::found().await;
    let agent = farm.agent().await;
    let ended = aged(&farm, agent.id, &agent.key, 3);
    let pem = authority(&farm).pem().to_owned();
    let status = Link::open(farm.channel(&credentials(&ended, &agent.key, &pem)), agent.id).await;
    let status = status.err().unwrap();
    let chain = kiln_plan::fault::chain(&status).to_lowercase();
    assert!(chain.contains("expired"), "{chain}");

    let reply = come_back(&farm, &ended, &agent.key).await.unwrap();
    let fresh = credentials(&reply.chain, &agent.key, &reply.authority);
    Link::open(farm.channel(&fresh), agent.id).await.unwrap();
    let other_key = PrivateKey::generate().unwrap();
    let elsewhere = Farm::found().await;
    let foreign = aged(&elsewhere, agent.id, &agent.key, 3);
    let old = aged(&farm, agent.id, &agent.key, 40);
    let table = [
        (&ended, &other_key, "a certificate that has ended serves only for the key that it was made for"),
        (&old, &agent.key, "the certificate ended more than 30 days ago; enrol anew with a token"),
        (&foreign, &agent.key, "don't go together"),
    ];
    for (chain, key, told) in table {
        let status = come_back(&farm, chain, key).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert!(status.message().contains(told), "{status}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_farm_is_worth_nothing() {
    let (farm, elsewhere) = (Farm::found().await, Farm::found().await);
    let agent = farm.agent().await;
    let foreign = aged(&elsewhere, agent.id, &agent.key, 0);
    let pem = authority(&farm).pem().to_owned();
    let status = Link::open(farm.channel(&credentials(&foreign, &agent.key, &pem)), agent.id).await;
    let told = kiln_plan::fault::chain(&status.err().unwrap());
    assert!(told.contains("UnknownCA") || told.contains("DecryptError"), "{told}");
}
