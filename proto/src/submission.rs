//! What people's tools and the farm say to each other.

use kiln_lang::Diagnostics;
use kiln_plan::TraceParent;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{BuildId, RequestId, TaskId};
use prost::bytes::Bytes;

/// A build is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubmitRequest {
    /// What is asked, as JSON of `kiln_config::Request`, or of `kiln_config::Submission` when there is a bundle.
    pub request: Bytes,
    /// `-parallel-builds`: the most tasks that may run at once; 0 for no limit.
    pub parallel: u32,
    /// The files that it is evaluated from and works in; none in a farm of one.
    pub bundle: Option<Fingerprint>,
    /// Whose build it is; empty for the usual project.
    pub project: String,
    /// Higher is sooner, from -100 to 100.
    pub priority: i32,
    /// Whether a build of the same that is under way will do.
    pub join: bool,
    /// Chance, made once by whoever asks: of all requests of one sender with one key only the first makes a build. `None`
    /// when the request is never sent again.
    pub key: Option<RequestId>,
    /// The span that the build is a part of.
    pub trace_parent: Option<TraceParent>,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubmitReply {
    /// The build; `None` when the evaluation yielded no plan.
    pub build: Option<BuildId>,
    /// Its tasks and their names, in the order of the template.
    pub tasks: Vec<(TaskId, String)>,
    /// What the evaluation found.
    pub diagnostics: Diagnostics,
    /// Whether the build was under way already.
    pub joined: bool,
}

/// A build is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowRequest {
    /// Which.
    pub build: BuildId,
    /// The first event wanted, in tasks that were followed before; from the beginning in all others.
    pub from: Vec<(TaskId, u64)>,
}

/// A question is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRequest {
    /// The task that asked.
    pub task: TaskId,
    /// The question's number, unique in the task.
    pub question: u64,
    /// The answer, without line ending.
    pub text: String,
}
