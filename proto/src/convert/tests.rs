//! Whatever is said arrives as it was said; what makes no sense is refused with the reason.

use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::artifact::ArtifactFile;
use kiln_plan::event::{EventKind, ProgressUnit, TaskOutcome};
use kiln_plan::id::{AgentId, AttemptId, BuildId, Epoch};
use kiln_plan::schema::ComponentSchema;
use kiln_plan::{ArtifactRecord, Catalog, ComponentKind, Failure, Fault};
use prost::Message;

use super::*;
use crate::event::{Record, TaskRecords};
use crate::link::{
    Answer, Assignment, AttemptEvents, AttemptKey, AttemptPhase, AttemptReceipt, CurrentState, DesiredState,
    HeldAttempt, Hello, WantedAttempt,
};
use crate::submission::{AnswerRequest, FollowRequest, SubmitReply, SubmitRequest};
use crate::v1;

const UUID: &str = "0190163d-8694-739b-aea5-966c26f8ad90";

fn a<I: FromStr>() -> I {
    UUID.parse().unwrap_or_else(|_| unreachable!("{UUID} is a UUID"))
}

/// Over the wire and back.
fn carried<T, W>(word: T) -> T
where
    W: From<T> + Message + Default,
    T: TryFrom<W>,
    T::Error: std::fmt::Debug,
{
    let bytes = W::from(word).encode_to_vec();
    T::try_from(W::decode(&bytes[..]).unwrap()).unwrap()
}

fn outcomes() -> Vec<TaskOutcome> {
    let faults = [Fault::Template, Fault::Guest, Fault::Machine, Fault::Farm];
    let failed = |fault| TaskOutcome::Failed {
        failure: Failure::new(fault, "no KVM").hint("load the module").evidence("dmesg: nothing"),
    };
    let file = ArtifactFile { path: "out/disk".into(), size: 7, digest: Some("sha256:00".into()) };
    let artifact = ArtifactRecord {
        builder_id: "transcend.qemu".into(),
        id: "VM".into(),
        description: "VM files in directory: out".into(),
        files: vec![file, ArtifactFile::default()],
    };
    let mut all: Vec<_> = faults.map(failed).into();
    all.push(TaskOutcome::Failed { failure: Failure::cancelled() });
    all.push(TaskOutcome::Succeeded { artifacts: vec![artifact] });
    all.push(TaskOutcome::Cancelled);
    all
}

fn key() -> AttemptKey {
    AttemptKey { task: a(), attempt: a(), epoch: Epoch(7) }
}

#[test]
fn every_kind_of_event_is_carried() {
    let words = || (Some("manifest".to_owned()), "two\nlines".to_owned());
    let (speaker, text) = words();
    let mut kinds = vec![
        EventKind::Say { speaker, text },
        EventKind::Error { speaker: None, text: String::new() },
        EventKind::StepStarted { step: "connect over SSH".into() },
        EventKind::StepFinished { step: "connect over SSH".into(), took_ms: 12 },
        EventKind::Progress { label: "iso".into(), done: 1, total: Some(2), unit: ProgressUnit::Bytes },
        EventKind::Progress { label: "iso".into(), done: 1, total: None, unit: ProgressUnit::Percent },
        EventKind::Question { id: 3, text: "go on?".into() },
    ];
    kinds.extend(outcomes().into_iter().map(|outcome| EventKind::Finished { outcome }));
    for kind in kinds {
        let records = TaskRecords { task: a(), records: vec![Record::new(4, 1_700_000_000_000, &kind)] };
        let arrived = carried::<_, v1::TaskEvents>(records.clone());
        assert_eq!(arrived, records);
        let event = arrived.records[0].open(a()).unwrap().unwrap();
        assert_eq!((event.sequence, event.kind), (4, kind));
    }
}

#[test]
fn a_kind_of_event_from_the_future_survives_unread() {
    // Field 99 of the body, which this version doesn't know.
    let body = prost::bytes::Bytes::from_static(&[0x9a, 0x06, 0x01, b'x']);
    let record = Record { sequence: 0, at_ms: 0, body };
    let arrived = carried::<_, v1::TaskEvents>(TaskRecords { task: a(), records: vec![record.clone()] });
    assert_eq!(arrived.records, [record]);
    assert_eq!(arrived.records[0].open(a()).unwrap(), None);
}

#[test]
fn states_of_agents_are_carried() {
    let component = |kind, name| ComponentSchema {
        kind,
        name,
        options: vec![],
        generated: vec!["ID".into()],
        answer: None,
        rules: vec![],
    };
    let hello = Hello {
        agent: a(),
        name: "host-1".into(),
        version: "0.1.0".into(),
        slots: 3,
        labels: [("zone".into(), "b".into())].into(),
        cpus: 8,
        memory_mib: 1 << 15,
        catalog: Catalog { components: vec![component(ComponentKind::Builder, "qemu".into())] }.into(),
        tools: [("qemu-img".into(), "10.0.2".into())].into(),
        arch: "x86_64".into(),
        accelerators: ["kvm".into()].into(),
        disk_mib: 7,
    };
    let ended = outcomes().into_iter().map(AttemptPhase::Ended);
    let phases = [AttemptPhase::Accepted, AttemptPhase::Running].into_iter().chain(ended);
    let held =
        phases.map(|phase| HeldAttempt { key: key(), phase, idle_ms: Some(3), said: Some(9) }).collect();
    let state = CurrentState { hello: Some(hello), held, draining: true, leaving: false };
    assert_eq!(carried::<_, v1::CurrentState>(state.clone()), state);
    let leaving = CurrentState { leaving: true, ..CurrentState::default() };
    assert_eq!(carried::<_, v1::CurrentState>(leaving.clone()), leaving);
}

#[test]
fn states_for_agents_are_carried() {
    let answers = vec![Answer { question: 2, text: "c".into() }];
    let wanted = WantedAttempt { key: key(), remaining_ms: 19_999, cancel: true, answers };
    let assignment = Assignment { build: a(), key: key(), first_sequence: 5, plan: b"{}"[..].into() };
    let state = DesiredState {
        hold: vec![wanted],
        begin: vec![assignment],
        speak_within_ms: 5_000,
        drain: true,
        return_within_ms: 700,
    };
    assert_eq!(carried::<_, v1::DesiredState>(state.clone()), state);
}

#[test]
fn batches_and_receipts_are_carried() {
    let kind = EventKind::Say { speaker: None, text: "hello".into() };
    let records = vec![Record::new(0, 1, &kind), Record::new(1, 2, &kind)];
    let batch = vec![AttemptEvents { task: a(), epoch: Epoch(2), records }];
    assert_eq!(carried::<_, v1::EventBatch>(batch.clone()), batch);
    let receipt =
        AttemptReceipt { task: a(), epoch: Epoch(2), next_sequence: 2, refused: true, durable_sequence: 1 };
    let receipt = vec![receipt];
    assert_eq!(carried::<_, v1::EventReceipt>(receipt.clone()), receipt);
}

#[test]
fn submissions_are_carried() {
    let request = SubmitRequest {
        request: b"{}"[..].into(),
        parallel: 4,
        bundle: Some(Fingerprint::of_bytes(b"files")),
        project: "web".into(),
        priority: -3,
        join: true,
        key: Some(a()),
        trace_parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().ok(),
    };
    assert!(request.trace_parent.is_some());
    assert_eq!(carried::<_, v1::SubmitRequest>(request.clone()), request);
    let diagnostics: Diagnostics = Diagnostic::error("Unsupported argument", "no such option").into();
    let tasks = vec![(a(), "null.a".into())];
    let reply = SubmitReply { build: Some(a()), tasks, diagnostics, joined: true };
    assert_eq!(carried::<_, v1::SubmitReply>(reply.clone()), reply);
    assert_eq!(carried::<_, v1::SubmitReply>(SubmitReply::default()), SubmitReply::default());
    let follow = FollowRequest { build: a(), from: vec![(a(), 9)] };
    assert_eq!(carried::<_, v1::FollowRequest>(follow.clone()), follow);
    let answer = AnswerRequest { task: a(), question: 1, text: "r".into() };
    assert_eq!(carried::<_, v1::AnswerRequest>(answer.clone()), answer);
}

#[test]
fn nonsense_is_refused_with_the_reason() {
    let held = |phase| v1::HeldAttempt {
        task: UUID.into(),
        attempt: UUID.into(),
        epoch: 1,
        phase,
        idle_ms: None,
        said: None,
    };
    let told = |error: ConvertError| crate::Problem::from(error).message;
    let cases = [
        (told(id::<BuildId>("build", "7").unwrap_err()), "\"7\" is no build identifier: "),
        (told(HeldAttempt::try_from(held(None)).unwrap_err()), "a held attempt lacks its phase"),
        (told(TaskOutcome::try_from(v1::TaskOutcome::default()).unwrap_err()), "an outcome lacks its kind"),
        (told(event::decode(b"\xff").unwrap_err()), "the body of an event is damaged: "),
        (told(from_json::<Catalog>("catalog", b"[").unwrap_err()), "the catalog can't be read: "),
    ];
    for (message, expected) in cases {
        assert!(message.starts_with(expected), "{message}");
    }
    assert!(id::<AgentId>("agent", UUID).is_ok() && id::<AttemptId>("attempt", UUID).is_ok());
}

#[test]
fn questions_to_data_sources_and_their_answers_are_carried() {
    use kiln_lang::Value;
    use kiln_plan::build::TemplateContext;
    use kiln_plan::{ComponentConfig, ConfigBody, DataAnswer, DataQuery};

    use crate::link::{DataQuestion, DataReply};

    let mut body = ConfigBody::default();
    body.set("input", Value::from("s").marked(true));
    let component =
        ComponentConfig { kind: ComponentKind::DataSource, name: "null".into(), span: None, body };
    let query = DataQuery {
        id: "null.x".into(),
        component,
        facts: TemplateContext::default(),
        locals: [("l".to_owned(), Value::from("kept at home"))].into(),
    };
    let sent = DataQuery { locals: std::collections::BTreeMap::new(), ..query.clone() };
    let question = DataQuestion { number: 3, query: Some(query.clone()) };
    let arrived = carried::<_, v1::DataQuestion>(question);
    assert_eq!(arrived, DataQuestion { number: 3, query: Some(sent.clone()) });
    let over = DataQuestion { number: 3, query: None };
    assert_eq!(carried::<_, v1::DataQuestion>(over.clone()), over);
    let request = v1::AskDataRequest::from([query].as_slice());
    assert_eq!(Vec::<DataQuery>::try_from(request).unwrap(), [sent]);
    let answer = DataAnswer { outcome: Ok(Value::from("a").marked(true)), notices: vec!["n".into()] };
    for reply in [DataReply::Seated(a()), DataReply::Answered { number: 3, answer: answer.clone() }] {
        assert_eq!(carried::<_, v1::DataReply>(reply.clone()), reply);
    }
    let answers = vec![answer, DataAnswer::failed("no")];
    assert_eq!(carried::<_, v1::AskDataReply>(answers.clone()), answers);
}
