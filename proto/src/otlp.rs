//! Spans as collectors of OpenTelemetry take them: OTLP 1 over HTTP, in protobuf.
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>
//!
//! Only what Kiln says of itself. The official crates would bring an SDK of their own for these few messages.

use prost::Message as _;
use prost::bytes::Bytes;

mod wire {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::pedantic,
        clippy::allow_attributes_without_reason,
        reason = "the code is generated; its documentation stands in the .proto file"
    )]

    tonic::include_proto!("kiln.otlp.v1");
}

/// How a request calls its body.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// Where below a collector's address spans are sent to.
pub const PATH: &str = "/v1/traces";

/// A stretch of time in which something was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: [u8; 16],
    /// Its identifier in there; not all zeros.
    pub id: [u8; 8],
    /// The span that it is a part of, if any.
    pub parent: Option<[u8; 8]>,
    /// What was done.
    pub name: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub start_ms: u64,
    /// When it ended, likewise.
    pub end_ms: u64,
    /// More about it, by name.
    pub attributes: Vec<(&'static str, Value)>,
    /// How it ended.
    pub status: Status,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
}

/// How a span ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nobody says.
    #[default]
    Unset,
    /// Well.
    Ok,
    /// Not well, for this reason.
    Error(String),
}

/// The body of a request that exports spans. The resource's attributes tell who says so.
pub fn request(resource: &[(&'static str, Value)], scope: (&str, &str), spans: &[Span]) -> Bytes {
    let scope = wire::InstrumentationScope { name: scope.0.to_owned(), version: scope.1.to_owned() };
    let spans = wire::ScopeSpans { scope: Some(scope), spans: spans.iter().map(span).collect() };
    let resource = wire::Resource { attributes: resource.iter().map(attribute).collect() };
    let all = wire::ResourceSpans { resource: Some(resource), scope_spans: vec![spans] };
    wire::ExportTraceServiceRequest { resource_spans: vec![all] }.encode_to_vec().into()
}

/// How many spans the collector didn't want, by its answer, and why; `None` when it took all or its answer makes no sense.
pub fn rejected(answer: &[u8]) -> Option<(i64, String)> {
    let answer = wire::ExportTraceServiceResponse::decode(answer).ok()?.partial_success?;
    (answer.rejected_spans > 0).then_some((answer.rejected_spans, answer.error_message))
}

fn span(span: &Span) -> wire::Span {
    wire::Span {
        trace_id: Bytes::copy_from_slice(&span.trace),
        span_id: Bytes::copy_from_slice(&span.id),
        parent_span_id: span.parent.map(|id| Bytes::copy_from_slice(&id)).unwrap_or_default(),
        name: span.name.clone(),
        kind: wire::SpanKind::Internal.into(),
        start_time_unix_nano: span.start_ms.saturating_mul(1_000_000),
        end_time_unix_nano: span.end_ms.saturating_mul(1_000_000),
        attributes: span.attributes.iter().map(attribute).collect(),
        status: status(&span.status),
    }
}

fn status(status: &Status) -> Option<wire::Status> {
    let (code, message) = match status {
        Status::Unset => return None,
        Status::Ok => (wire::StatusCode::Ok, String::new()),
        Status::Error(why) => (wire::StatusCode::Error, why.clone()),
    };
    Some(wire::Status { message, code: code.into() })
}

fn attribute((key, value): &(&'static str, Value)) -> wire::KeyValue {
    let value = match value {
        Value::Text(text) => wire::any_value::Value::StringValue(text.clone()),
        Value::Number(number) => wire::any_value::Value::IntValue(*number),
    };
    wire::KeyValue { key: (*key).to_owned(), value: Some(wire::AnyValue { value: Some(value) }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the official messages of OpenTelemetry (in Python) make of the same span.
    const OFFICIAL: &str = concat!(
        "0af7010a180a160a0c736572766963652e6e616d6512060a046b696c6e12da010a0d0a046b696c6e1205312e322e3312410a",
        "1030313233343536373839616263646566120866656463626139382a0b71656d752e64656269616e30013900002a36fe9c97",
        "174100bd3e4c0c9d97177a0218011285010a1030313233343536373839616263646566120866656463626139382208373635",
        "34333231302a0b71656d752e64656269616e30013900002a36fe9c97174100bd3e4c0c9d97174a1f0a0e6b696c6e2e746173",
        "6b2e6e616d65120d0a0b71656d752e64656269616e4a100a0a6b696c6e2e65706f6368120218027a09120567756573741802",
    );

    #[test]
    fn spans_are_written_as_the_official_messages_write_them() {
        let text = |text: &str| Value::Text(text.to_owned());
        let span = Span {
            trace: *b"0123456789abcdef",
            id: *b"fedcba98",
            parent: Some(*b"76543210"),
            name: "qemu.debian".to_owned(),
            start_ms: 1_700_000_000_000,
            end_ms: 1_700_000_060_500,
            attributes: vec![("kiln.task.name", text("qemu.debian")), ("kiln.epoch", Value::Number(2))],
            status: Status::Error("guest".to_owned()),
        };
        let root = Span { parent: None, attributes: Vec::new(), status: Status::Ok, ..span.clone() };
        let bytes = request(&[("service.name", text("kiln"))], ("kiln", "1.2.3"), &[root, span]);
        assert_eq!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), OFFICIAL);
    }

    #[test]
    fn a_partial_refusal_is_understood() {
        assert_eq!(rejected(b""), None);
        assert_eq!(rejected(b"\x0a\x07\x08\x03\x12\x03why"), Some((3, "why".to_owned())));
        assert_eq!(rejected(b"\xff\xff"), None, "nonsense refuses nothing");
    }
}
