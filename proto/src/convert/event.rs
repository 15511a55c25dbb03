//! Bodies of events, and the records that carry them.

use kiln_plan::event::{EventKind, ProgressUnit};
use prost::Message;
use prost::bytes::Bytes;

use super::{ConvertError, id};
use crate::event::{Record, TaskRecords};
use crate::v1;
use crate::v1::event_body::Kind;

/// The body of an event of this kind.
pub fn encode(kind: &EventKind) -> Bytes {
    let words =
        |speaker: &Option<String>, text: &str| v1::Words { speaker: speaker.clone(), text: text.to_owned() };
    let kind = match kind {
        EventKind::Say { speaker, text } => Kind::Say(words(speaker, text)),
        EventKind::Error { speaker, text } => Kind::Error(words(speaker, text)),
        EventKind::StepStarted { step } => Kind::StepStarted(v1::StepStarted { step: step.clone() }),
        EventKind::StepFinished { step, took_ms } => {
            Kind::StepFinished(v1::StepFinished { step: step.clone(), took_ms: *took_ms })
        }
        EventKind::Progress { label, done, total, unit } => Kind::Progress(v1::Progress {
            label: label.clone(),
            done: *done,
            total: *total,
            unit: match unit {
                ProgressUnit::Bytes => v1::ProgressUnit::Bytes,
                ProgressUnit::Percent => v1::ProgressUnit::Percent,
            }
            .into(),
        }),
        EventKind::Question { id, text } => Kind::Question(v1::Question { id: *id, text: text.clone() }),
        EventKind::Finished { outcome } => Kind::Finished(outcome.clone().into()),
    };
    v1::EventBody { kind: Some(kind) }.encode_to_vec().into()
}

/// The kind of an event with this body; `None` when it is one of the future.
///
/// # Errors
/// When the body is damaged.
pub fn decode(body: &[u8]) -> Result<Option<EventKind>, ConvertError> {
    let Some(kind) = v1::EventBody::decode(body).map_err(ConvertError::Body)?.kind else { return Ok(None) };
    Ok(Some(match kind {
        Kind::Say(v1::Words { speaker, text }) => EventKind::Say { speaker, text },
        Kind::Error(v1::Words { speaker, text }) => EventKind::Error { speaker, text },
        Kind::StepStarted(v1::StepStarted { step }) => EventKind::StepStarted { step },
        Kind::StepFinished(v1::StepFinished { step, took_ms }) => EventKind::StepFinished { step, took_ms },
        Kind::Progress(progress) => EventKind::Progress {
            unit: match progress.unit() {
                v1::ProgressUnit::Percent => ProgressUnit::Percent,
                v1::ProgressUnit::Bytes | v1::ProgressUnit::Unspecified => ProgressUnit::Bytes,
            },
            label: progress.label,
            done: progress.done,
            total: progress.total,
        },
        Kind::Question(v1::Question { id, text }) => EventKind::Question { id, text },
        Kind::Finished(outcome) => EventKind::Finished { outcome: outcome.try_into()? },
    }))
}

impl From<Record> for v1::EventRecord {
    fn from(record: Record) -> Self {
        Self { sequence: record.sequence, at_ms: record.at_ms, body: record.body }
    }
}

impl From<v1::EventRecord> for Record {
    fn from(record: v1::EventRecord) -> Self {
        Self { sequence: record.sequence, at_ms: record.at_ms, body: record.body }
    }
}

impl From<TaskRecords> for v1::TaskEvents {
    fn from(events: TaskRecords) -> Self {
        Self { task: events.task.to_string(), events: events.records.into_iter().map(Into::into).collect() }
    }
}

impl TryFrom<v1::TaskEvents> for TaskRecords {
    type Error = ConvertError;

    fn try_from(events: v1::TaskEvents) -> Result<Self, Self::Error> {
        let records = events.events.into_iter().map(Into::into).collect();
        Ok(Self { task: id("task", &events.task)?, records })
    }
}
