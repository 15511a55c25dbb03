//! Submissions and what is told of them.

use super::{ConvertError, fingerprint, from_json, id, to_json};
use crate::event::TaskRecords;
use crate::submission::{AnswerRequest, FollowRequest, SubmitReply, SubmitRequest};
use crate::v1;

impl From<SubmitRequest> for v1::SubmitRequest {
    fn from(request: SubmitRequest) -> Self {
        Self {
            request: request.request,
            parallel: request.parallel,
            bundle: request.bundle.map(|bundle| bundle.to_string()),
            project: request.project,
            priority: request.priority,
            join: request.join,
            key: request.key.map(|key| key.to_string()),
            traceparent: request.trace_parent.map(|parent| parent.to_string()),
        }
    }
}

impl TryFrom<v1::SubmitRequest> for SubmitRequest {
    type Error = ConvertError;

    fn try_from(request: v1::SubmitRequest) -> Result<Self, Self::Error> {
        Ok(Self {
            request: request.request,
            parallel: request.parallel,
            bundle: request.bundle.map(|bundle| fingerprint("bundle", &bundle)).transpose()?,
            project: request.project,
            priority: request.priority,
            join: request.join,
            key: request.key.map(|key| id("request", &key)).transpose()?,
            // One that makes no sense is left out, as the standard has it.
            trace_parent: request.traceparent.and_then(|text| text.parse().ok()),
        })
    }
}

impl From<SubmitReply> for v1::SubmitReply {
    fn from(reply: SubmitReply) -> Self {
        let named =
            |(task, name): (kiln_plan::id::TaskId, String)| v1::NamedTask { task: task.to_string(), name };
        Self {
            build: reply.build.map(|build| build.to_string()),
            tasks: reply.tasks.into_iter().map(named).collect(),
            diagnostics: to_json(&reply.diagnostics),
            joined: reply.joined,
        }
    }
}

impl TryFrom<v1::SubmitReply> for SubmitReply {
    type Error = ConvertError;

    fn try_from(reply: v1::SubmitReply) -> Result<Self, Self::Error> {
        let named = |named: v1::NamedTask| Ok((id("task", &named.task)?, named.name));
        Ok(Self {
            build: reply.build.map(|build| id("build", &build)).transpose()?,
            tasks: reply.tasks.into_iter().map(named).collect::<Result<_, ConvertError>>()?,
            diagnostics: from_json("diagnostics", &reply.diagnostics)?,
            joined: reply.joined,
        })
    }
}

impl From<FollowRequest> for v1::FollowRequest {
    fn from(request: FollowRequest) -> Self {
        let place =
            |(task, sequence): (kiln_plan::id::TaskId, u64)| v1::Place { task: task.to_string(), sequence };
        Self { build: request.build.to_string(), from: request.from.into_iter().map(place).collect() }
    }
}

impl TryFrom<v1::FollowRequest> for FollowRequest {
    type Error = ConvertError;

    fn try_from(request: v1::FollowRequest) -> Result<Self, Self::Error> {
        let place = |place: v1::Place| Ok((id("task", &place.task)?, place.sequence));
        Ok(Self {
            build: id("build", &request.build)?,
            from: request.from.into_iter().map(place).collect::<Result<_, ConvertError>>()?,
        })
    }
}

impl From<Vec<TaskRecords>> for v1::FollowUpdate {
    fn from(tasks: Vec<TaskRecords>) -> Self {
        Self { tasks: tasks.into_iter().map(Into::into).collect() }
    }
}

impl TryFrom<v1::FollowUpdate> for Vec<TaskRecords> {
    type Error = ConvertError;

    fn try_from(update: v1::FollowUpdate) -> Result<Self, Self::Error> {
        update.tasks.into_iter().map(TryInto::try_into).collect()
    }
}

impl From<AnswerRequest> for v1::AnswerRequest {
    fn from(request: AnswerRequest) -> Self {
        Self { task: request.task.to_string(), question: request.question, text: request.text }
    }
}

impl TryFrom<v1::AnswerRequest> for AnswerRequest {
    type Error = ConvertError;

    fn try_from(request: v1::AnswerRequest) -> Result<Self, Self::Error> {
        Ok(Self { task: id("task", &request.task)?, question: request.question, text: request.text })
    }
}
