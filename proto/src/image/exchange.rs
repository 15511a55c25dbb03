//! What is said over the wire about images, as typed words.

use kiln_plan::id::{AgentId, AttemptId, BuildId, Epoch, ImageId, PackId, TaskId};
use prost::bytes::Bytes;

use super::{ChunkId, PackIndex, column, ids};
use crate::link::AttemptKey;
use crate::v1;
use crate::{Code, Problem};

/// Who asks, and by which right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The agent.
    pub agent: AgentId,
    /// The task.
    pub task: TaskId,
    /// The attempt that it works on.
    pub attempt: AttemptId,
    /// Its fencing number.
    pub epoch: Epoch,
}

impl Claim {
    /// The claim of an agent to its attempt.
    pub const fn new(agent: AgentId, key: AttemptKey) -> Self {
        Self { agent, task: key.task, attempt: key.attempt, epoch: key.epoch }
    }
}

/// A pack before it is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackFacts {
    /// Its identifier.
    pub pack: PackId,
    /// Bytes of the whole object.
    pub size: u64,
    /// SHA-256 of the whole object.
    pub sha256: [u8; 32],
}

/// A pack that its agent has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedPack {
    /// What it is.
    pub facts: PackFacts,
    /// What is in it.
    pub index: PackIndex,
}

/// A permission to read or write a pack.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// Which.
    pub pack: PackId,
    /// Where. Whoever has it may use it.
    pub url: String,
    /// Headers to be sent along, exactly so.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Grant({})", self.pack)
    }
}

/// Where a chunk was found that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place in the question.
    pub position: usize,
    /// Its pack.
    pub pack: PackId,
    /// Where in the pack.
    pub offset: u32,
    /// How many bytes there.
    pub stored: u32,
}

/// An image as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// Its identifier.
    pub image: ImageId,
    /// Its name.
    pub name: String,
    /// Its version under this name.
    pub version: u64,
    /// When it became visible, in milliseconds since the Unix epoch, by the coordinator's clock.
    pub published_ms: u64,
    /// Bytes of its files.
    pub size: u64,
    /// How many files.
    pub files: u32,
    /// The build that made it.
    pub build: BuildId,
    /// That build's project.
    pub project: String,
    /// The task that made it.
    pub task: TaskId,
    /// The digest of its manifest, `sha256:…`.
    pub digest: String,
}

/// What became of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is visible; perhaps it was already.
    Visible(ImageRecord),
    /// These packs are gone meanwhile; their chunks must be sent again.
    Gone(Vec<PackId>),
}

/// The question for chunks.
pub fn find_request(claim: Claim, chunks: impl Iterator<Item = ChunkId>) -> v1::FindChunksRequest {
    v1::FindChunksRequest { claim: Some(claim.into()), ids: Bytes::from(column(chunks)) }
}

/// The chunks that are asked for.
///
/// # Errors
/// When they are not whole.
pub fn found_in(request: &v1::FindChunksRequest) -> Result<Vec<ChunkId>, Problem> {
    if !request.ids.len().is_multiple_of(32) {
        return Err(Problem::new(Code::Invalid, "the names of chunks have 32 bytes each"));
    }
    Ok(ids(&request.ids).collect())
}
