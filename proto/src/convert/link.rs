//! The states that agent and coordinator exchange.

use kiln_plan::id::Epoch;

use super::{ConvertError, id};
use crate::catalog::SharedCatalog;
use crate::link::{
    Answer, Assignment, AttemptEvents, AttemptKey, AttemptPhase, AttemptReceipt, CurrentState, DesiredState,
    HeldAttempt, Hello, WantedAttempt,
};
use crate::v1;
use crate::v1::held_attempt::Phase;

fn key(task: &str, attempt: &str, epoch: u64) -> Result<AttemptKey, ConvertError> {
    Ok(AttemptKey { task: id("task", task)?, attempt: id("attempt", attempt)?, epoch: Epoch(epoch) })
}

fn all<W, T>(wire: Vec<W>) -> Result<Vec<T>, ConvertError>
where
    T: TryFrom<W, Error = ConvertError>,
{
    wire.into_iter().map(TryInto::try_into).collect()
}

fn each<W: From<T>, T>(words: Vec<T>) -> Vec<W> {
    words.into_iter().map(Into::into).collect()
}

impl From<CurrentState> for v1::CurrentState {
    fn from(state: CurrentState) -> Self {
        Self {
            hello: state.hello.map(Into::into),
            held: each(state.held),
            draining: state.draining,
            leaving: state.leaving,
        }
    }
}

impl TryFrom<v1::CurrentState> for CurrentState {
    type Error = ConvertError;

    fn try_from(state: v1::CurrentState) -> Result<Self, Self::Error> {
        Ok(Self {
            hello: state.hello.map(TryInto::try_into).transpose()?,
            held: all(state.held)?,
            draining: state.draining,
            leaving: state.leaving,
        })
    }
}

impl From<Hello> for v1::Hello {
    fn from(hello: Hello) -> Self {
        Self {
            agent: hello.agent.to_string(),
            name: hello.name,
            version: hello.version,
            slots: hello.slots,
            labels: hello.labels.into_iter().collect(),
            cpus: hello.cpus,
            memory_mib: hello.memory_mib,
            catalog: hello.catalog.json(),
            arch: hello.arch,
            accelerators: hello.accelerators.into_iter().collect(),
            disk_mib: hello.disk_mib,
            tools: hello.tools.into_iter().collect(),
        }
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = ConvertError;

    fn try_from(hello: v1::Hello) -> Result<Self, Self::Error> {
        Ok(Self {
            agent: id("agent", &hello.agent)?,
            name: hello.name,
            version: hello.version,
            slots: hello.slots,
            labels: hello.labels.into_iter().collect(),
            cpus: hello.cpus,
            memory_mib: hello.memory_mib,
            catalog: SharedCatalog::read(hello.catalog)?,
            arch: hello.arch,
            accelerators: hello.accelerators.into_iter().collect(),
            disk_mib: hello.disk_mib,
            tools: hello.tools.into_iter().collect(),
        })
    }
}

impl From<HeldAttempt> for v1::HeldAttempt {
    fn from(held: HeldAttempt) -> Self {
        let phase = match held.phase {
            AttemptPhase::Accepted => Phase::Accepted(v1::Accepted {}),
            AttemptPhase::Running => Phase::Running(v1::Running {}),
            AttemptPhase::Ended(outcome) => Phase::Ended(outcome.into()),
        };
        Self {
            task: held.key.task.to_string(),
            attempt: held.key.attempt.to_string(),
            epoch: held.key.epoch.0,
            phase: Some(phase),
            idle_ms: held.idle_ms,
            said: held.said,
        }
    }
}

impl TryFrom<v1::HeldAttempt> for HeldAttempt {
    type Error = ConvertError;

    fn try_from(held: v1::HeldAttempt) -> Result<Self, Self::Error> {
        let missing = ConvertError::Missing { message: "a held attempt", field: "its phase" };
        let phase = match held.phase.ok_or(missing)? {
            Phase::Accepted(_) => AttemptPhase::Accepted,
            Phase::Running(_) => AttemptPhase::Running,
            Phase::Ended(outcome) => AttemptPhase::Ended(outcome.try_into()?),
        };
        let key = key(&held.task, &held.attempt, held.epoch)?;
        Ok(Self { key, phase, idle_ms: held.idle_ms, said: held.said })
    }
}

impl From<DesiredState> for v1::DesiredState {
    fn from(state: DesiredState) -> Self {
        Self {
            hold: each(state.hold),
            begin: each(state.begin),
            speak_within_ms: state.speak_within_ms,
            drain: state.drain,
            return_within_ms: state.return_within_ms,
        }
    }
}

impl TryFrom<v1::DesiredState> for DesiredState {
    type Error = ConvertError;

    fn try_from(state: v1::DesiredState) -> Result<Self, Self::Error> {
        Ok(Self {
            hold: all(state.hold)?,
            begin: all(state.begin)?,
            speak_within_ms: state.speak_within_ms,
            drain: state.drain,
            return_within_ms: state.return_within_ms,
        })
    }
}

impl From<WantedAttempt> for v1::WantedAttempt {
    fn from(wanted: WantedAttempt) -> Self {
        let answer = |answer: Answer| v1::QuestionAnswer { question: answer.question, text: answer.text };
        Self {
            task: wanted.key.task.to_string(),
            attempt: wanted.key.attempt.to_string(),
            epoch: wanted.key.epoch.0,
            remaining_ms: wanted.remaining_ms,
            cancel: wanted.cancel,
            answers: wanted.answers.into_iter().map(answer).collect(),
        }
    }
}

impl TryFrom<v1::WantedAttempt> for WantedAttempt {
    type Error = ConvertError;

    fn try_from(wanted: v1::WantedAttempt) -> Result<Self, Self::Error> {
        let answer = |answer: v1::QuestionAnswer| Answer { question: answer.question, text: answer.text };
        Ok(Self {
            key: key(&wanted.task, &wanted.attempt, wanted.epoch)?,
            remaining_ms: wanted.remaining_ms,
            cancel: wanted.cancel,
            answers: wanted.answers.into_iter().map(answer).collect(),
        })
    }
}

impl From<Assignment> for v1::Assignment {
    fn from(assignment: Assignment) -> Self {
        Self {
            build: assignment.build.to_string(),
            task: assignment.key.task.to_string(),
            attempt: assignment.key.attempt.to_string(),
            epoch: assignment.key.epoch.0,
            first_sequence: assignment.first_sequence,
            plan: assignment.plan,
        }
    }
}

impl TryFrom<v1::Assignment> for Assignment {
    type Error = ConvertError;

    fn try_from(assignment: v1::Assignment) -> Result<Self, Self::Error> {
        Ok(Self {
            build: id("build", &assignment.build)?,
            key: key(&assignment.task, &assignment.attempt, assignment.epoch)?,
            first_sequence: assignment.first_sequence,
            plan: assignment.plan,
        })
    }
}

impl From<Vec<AttemptEvents>> for v1::EventBatch {
    fn from(attempts: Vec<AttemptEvents>) -> Self {
        let attempt = |events: AttemptEvents| v1::AttemptEvents {
            task: events.task.to_string(),
            epoch: events.epoch.0,
            events: each(events.records),
        };
        Self { attempts: attempts.into_iter().map(attempt).collect() }
    }
}

impl TryFrom<v1::EventBatch> for Vec<AttemptEvents> {
    type Error = ConvertError;

    fn try_from(batch: v1::EventBatch) -> Result<Self, Self::Error> {
        let attempt = |events: v1::AttemptEvents| {
            Ok(AttemptEvents {
                task: id("task", &events.task)?,
                epoch: Epoch(events.epoch),
                records: each(events.events),
            })
        };
        batch.attempts.into_iter().map(attempt).collect()
    }
}

impl From<Vec<AttemptReceipt>> for v1::EventReceipt {
    fn from(receipts: Vec<AttemptReceipt>) -> Self {
        let receipt = |receipt: AttemptReceipt| v1::AttemptReceipt {
            task: receipt.task.to_string(),
            epoch: receipt.epoch.0,
            next_sequence: receipt.next_sequence,
            refused: receipt.refused,
            durable_sequence: receipt.durable_sequence,
        };
        Self { attempts: receipts.into_iter().map(receipt).collect(), unasked: false }
    }
}

impl TryFrom<v1::EventReceipt> for Vec<AttemptReceipt> {
    type Error = ConvertError;

    fn try_from(receipt: v1::EventReceipt) -> Result<Self, Self::Error> {
        let receipt_of = |receipt: v1::AttemptReceipt| {
            Ok(AttemptReceipt {
                task: id("task", &receipt.task)?,
                epoch: Epoch(receipt.epoch),
                next_sequence: receipt.next_sequence,
                refused: receipt.refused,
                durable_sequence: receipt.durable_sequence,
            })
        };
        receipt.attempts.into_iter().map(receipt_of).collect()
    }
}
