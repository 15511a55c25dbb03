//! A manifest: everything about an image. Whoever has it and may read the packs can put the image together and
//! knows that it is the one.

use std::collections::{BTreeMap, BTreeSet};

use kiln_plan::id::{AgentId, AttemptId, BuildId, Epoch, ImageId, PackId, TaskId};
use serde::{Deserialize, Serialize};

use super::{CHUNK_LIMIT, ChunkId, Chunking, ImageFormatError, column, contradiction, ids, open, seal};
use crate::rest::generated;

const WHAT: &str = "manifest";

/// What an image is, in readable form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestHead {
    /// Its identifier.
    pub image: ImageId,
    /// Its name.
    pub name: String,
    /// Its version under this name, from 1; 0 until the coordinator has given it one.
    pub version: u64,
    /// When it was made, by the agent's clock, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// How its files were cut.
    pub chunking: Chunking,
    /// Its files, in the artifact's order.
    pub files: Vec<ImageFile>,
    /// The packs that its chunks lie in.
    pub packs: Vec<PackId>,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// A file of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// Relative, with slashes, without `.` and `..`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Of the whole content, in hex.
    pub blake3: String,
    /// Of the whole content, in hex.
    pub sha256: String,
}

/// The chain from a submission to the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The submission.
    pub build: BuildId,
    /// Its task, and the task's name as the template has it.
    pub task: TaskId,
    /// The name that the template gives the task, as `qemu.debian`.
    pub task_name: String,
    /// The try that made the image, under which fencing number.
    pub attempt: AttemptId,
    /// The fencing number.
    pub epoch: Epoch,
    /// Who made it.
    pub agent: AgentId,
    /// The agent's name for people.
    pub agent_name: String,
    /// The version of its program.
    pub kiln: String,
    /// The digest of the template's directory, where the submission carried one.
    pub bundle: Option<String>,
    /// The digest of the task's plan.
    pub plan: Option<String>,
    /// What else went in: the template's files, links among them as `NAME -> TARGET`, and the answers of data
    /// sources, as `data.TYPE.NAME`. A template of more than 256 files has only the digest of its bundle.
    pub inputs: Vec<InputDigest>,
    /// What the guest began with: installation media, disk images, firmware.
    pub media: Vec<InputDigest>,
    /// Tools that took part, and their versions, as `qemu-system-x86_64` → `9.2.0`.
    pub tools: BTreeMap<String, String>,
    /// When the attempt began and when its artifact was complete, by the agent's clock, in milliseconds since the
    /// Unix epoch.
    pub began_ms: u64,
    /// When its artifact was complete.
    pub ended_ms: u64,
}

/// Something that went in, and what it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDigest {
    /// A path or an address, without secrets: no user, password or query.
    pub name: String,
    /// As `sha256:…`; `None` when nobody read all of it (`iso_skip_cache`), or when it holds a secret that the digest would
    /// help to guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Bytes; `None` when they are unknown, or mean nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many zeros.
    Hole(u64),
    /// The chunk at this place of [`ImageManifest::chunks`].
    Chunk(u32),
}

/// A chunk, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkEntry {
    /// Its name.
    pub id: ChunkId,
    /// Its bytes.
    pub length: u32,
    /// Its pack, as a place in [`ManifestHead::packs`].
    pub pack: u32,
    /// Where in the pack.
    pub offset: u32,
    /// How many bytes there.
    pub stored: u32,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageManifest {
    /// What it is.
    pub head: ManifestHead,
    /// The content of each file, in the order of the head.
    pub pieces: Vec<Vec<Piece>>,
    /// Every chunk once.
    pub chunks: Vec<ChunkEntry>,
}

/// Whether a path of an image can be written below any directory without leaving it.
pub fn safe_path(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.len() <= 1024 && !path.contains(['\\', '\0']) && path.split('/').all(part)
}

impl ImageManifest {
    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.head.files.iter().map(|file| file.size).sum()
    }

    /// As it is sent and stored.
    pub fn encode(&self) -> Vec<u8> {
        let head = serde_json::to_vec(&self.head).expect("our types have only string keys");
        let piece = |piece: &Piece| match piece {
            Piece::Hole(bytes) => bytes << 1,
            Piece::Chunk(place) => u64::from(*place) << 1 | 1,
        };
        let file = |pieces: &Vec<Piece>| generated::Pieces { pieces: pieces.iter().map(piece).collect() };
        seal(&generated::Manifest {
            head: head.into(),
            chunk_ids: column(self.chunks.iter().map(|c| c.id)).into(),
            lengths: self.chunks.iter().map(|c| c.length).collect(),
            packs: self.chunks.iter().map(|c| c.pack).collect(),
            offsets: self.chunks.iter().map(|c| c.offset).collect(),
            stored: self.chunks.iter().map(|c| c.stored).collect(),
            files: self.pieces.iter().map(file).collect(),
        })
    }

    /// Reads what [`ImageManifest::encode`] wrote.
    ///
    /// # Errors
    /// When it is damaged, too new, or contradicts itself.
    pub fn decode(record: &[u8]) -> Result<Self, ImageFormatError> {
        let message: generated::Manifest = open(WHAT, record)?;
        let head: ManifestHead = serde_json::from_slice(&message.head).map_err(ImageFormatError::Head)?;
        let chunks = chunks(&message)?;
        let piece = |piece: &u64| match (piece & 1, piece >> 1) {
            (0, bytes) => Piece::Hole(bytes),
            // Beyond 32 bits it is no place at all, which the check says.
            (_, place) => Piece::Chunk(u32::try_from(place).unwrap_or(u32::MAX)),
        };
        let pieces = message.files.iter().map(|file| file.pieces.iter().map(piece).collect()).collect();
        let manifest = Self { head, pieces, chunks };
        manifest.check().map_err(|why| contradiction(WHAT, why))?;
        Ok(manifest)
    }

    /// Whether all its parts fit together.
    fn check(&self) -> Result<(), String> {
        let head = &self.head;
        if head.files.len() != self.pieces.len() {
            return Err(format!("{} files have {} contents", head.files.len(), self.pieces.len()));
        }
        let paths: BTreeSet<&str> = head.files.iter().map(|file| file.path.as_str()).collect();
        if paths.len() != head.files.len() {
            return Err("two files have the same path".into());
        }
        if let Some(path) = paths.iter().find(|path| !safe_path(path)) {
            return Err(format!("{path:?} leads out of the image"));
        }
        let sound = |c: &&ChunkEntry| {
            c.length > 0 && c.length <= CHUNK_LIMIT && c.stored > 0 && (c.pack as usize) < head.packs.len()
        };
        if !self.chunks.iter().all(|c| sound(&c)) {
            return Err("a chunk has no place or no length".into());
        }
        for (file, pieces) in head.files.iter().zip(&self.pieces) {
            let mut size = 0_u64;
            for piece in pieces {
                let bytes = match piece {
                    Piece::Hole(bytes) => Some(*bytes),
                    Piece::Chunk(place) => {
                        self.chunks.get(*place as usize).map(|chunk| u64::from(chunk.length))
                    }
                };
                let bytes = bytes.ok_or_else(|| format!("{} names an unknown chunk", file.path))?;
                size = size.checked_add(bytes).ok_or_else(|| format!("{} is too large", file.path))?;
            }
            if size != file.size {
                return Err(format!("the pieces of {} have {size} bytes, not {}", file.path, file.size));
            }
        }
        Ok(())
    }
}

fn chunks(message: &generated::Manifest) -> Result<Vec<ChunkEntry>, ImageFormatError> {
    let count = message.lengths.len();
    let alike = [message.packs.len(), message.offsets.len(), message.stored.len()] == [count; 3];
    if !alike || message.chunk_ids.len() != count * 32 {
        return Err(contradiction(WHAT, "its columns are not of the same length"));
    }
    let chunk = |(place, id): (usize, ChunkId)| ChunkEntry {
        id,
        length: message.lengths[place],
        pack: message.packs[place],
        offset: message.offsets[place],
        stored: message.stored[place],
    };
    Ok(ids(&message.chunk_ids).enumerate().map(chunk).collect())
}
