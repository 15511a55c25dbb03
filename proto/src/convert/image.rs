//! Images on the wire.

use kiln_plan::id::{Epoch, PackId};

use super::{ConvertError, id};
use crate::image::{Claim, FinishedPack, Found, Grant, ImageRecord, PackFacts, PackIndex, Published};
use crate::v1;
use crate::{Code, Problem};

impl From<Claim> for v1::AttemptClaim {
    fn from(claim: Claim) -> Self {
        Self {
            agent: claim.agent.to_string(),
            task: claim.task.to_string(),
            attempt: claim.attempt.to_string(),
            epoch: claim.epoch.0,
        }
    }
}

impl TryFrom<Option<v1::AttemptClaim>> for Claim {
    type Error = ConvertError;

    fn try_from(claim: Option<v1::AttemptClaim>) -> Result<Self, Self::Error> {
        let claim =
            claim.ok_or(ConvertError::Missing { message: "a request for an image", field: "claim" })?;
        Ok(Self {
            agent: id("agent", &claim.agent)?,
            task: id("task", &claim.task)?,
            attempt: id("attempt", &claim.attempt)?,
            epoch: Epoch(claim.epoch),
        })
    }
}

impl From<PackFacts> for v1::PackFacts {
    fn from(facts: PackFacts) -> Self {
        Self { pack: facts.pack.to_string(), size: facts.size, sha256: facts.sha256.to_vec().into() }
    }
}

impl TryFrom<v1::PackFacts> for PackFacts {
    type Error = Problem;

    fn try_from(facts: v1::PackFacts) -> Result<Self, Self::Error> {
        let sha256 = <[u8; 32]>::try_from(&*facts.sha256);
        Ok(Self {
            pack: id("pack", &facts.pack)?,
            size: facts.size,
            sha256: sha256.map_err(|_| Problem::new(Code::Invalid, "a SHA-256 has 32 bytes"))?,
        })
    }
}

impl From<&FinishedPack> for v1::FinishedPack {
    fn from(pack: &FinishedPack) -> Self {
        Self { facts: Some(pack.facts.into()), index: pack.index.encode().into() }
    }
}

impl TryFrom<v1::FinishedPack> for FinishedPack {
    type Error = Problem;

    fn try_from(pack: v1::FinishedPack) -> Result<Self, Self::Error> {
        let facts: PackFacts = pack.facts.unwrap_or_default().try_into()?;
        let index =
            PackIndex::decode(&pack.index).map_err(|error| Problem::from_error(Code::Invalid, &error))?;
        if index.pack != facts.pack {
            return Err(Problem::new(Code::Invalid, "the index belongs to another pack"));
        }
        Ok(Self { facts, index })
    }
}

impl From<Grant> for v1::Grant {
    fn from(grant: Grant) -> Self {
        let header = |(name, value)| v1::GrantHeader { name, value };
        Self {
            pack: grant.pack.to_string(),
            url: grant.url,
            headers: grant.headers.into_iter().map(header).collect(),
        }
    }
}

impl TryFrom<v1::Grant> for Grant {
    type Error = ConvertError;

    fn try_from(grant: v1::Grant) -> Result<Self, Self::Error> {
        Ok(Self {
            pack: id("pack", &grant.pack)?,
            url: grant.url,
            headers: grant.headers.into_iter().map(|header| (header.name, header.value)).collect(),
        })
    }
}

impl From<Vec<Found>> for v1::FindChunksReply {
    fn from(found: Vec<Found>) -> Self {
        let mut packs: Vec<PackId> = found.iter().map(|f| f.pack).collect();
        packs.sort_unstable();
        packs.dedup();
        let chunk = |found: &Found| v1::FoundChunk {
            position: u32::try_from(found.position).unwrap_or(u32::MAX),
            pack: packs
                .binary_search(&found.pack)
                .ok()
                .and_then(|p| u32::try_from(p).ok())
                .unwrap_or(u32::MAX),
            offset: found.offset,
            stored: found.stored,
        };
        Self {
            found: found.iter().map(chunk).collect(),
            packs: packs.iter().map(PackId::to_string).collect(),
        }
    }
}

impl TryFrom<v1::FindChunksReply> for Vec<Found> {
    type Error = Problem;

    fn try_from(reply: v1::FindChunksReply) -> Result<Self, Self::Error> {
        let packs = packs(&reply.packs)?;
        let chunk = |found: v1::FoundChunk| {
            let pack = packs.get(found.pack as usize);
            let unknown = || Problem::new(Code::Invalid, "a chunk was found in a pack that is not named");
            Ok(Found {
                position: found.position as usize,
                pack: *pack.ok_or_else(unknown)?,
                offset: found.offset,
                stored: found.stored,
            })
        };
        reply.found.into_iter().map(chunk).collect()
    }
}

/// Reads a list of packs.
///
/// # Errors
/// When one is no identifier.
pub fn packs(texts: &[String]) -> Result<Vec<PackId>, ConvertError> {
    texts.iter().map(|text| id("pack", text)).collect()
}

impl From<ImageRecord> for v1::ImageRecord {
    fn from(record: ImageRecord) -> Self {
        Self {
            image: record.image.to_string(),
            name: record.name,
            version: record.version,
            published_ms: record.published_ms,
            size: record.size,
            files: record.files,
            build: record.build.to_string(),
            project: record.project,
            task: record.task.to_string(),
            digest: record.digest,
        }
    }
}

impl TryFrom<v1::ImageRecord> for ImageRecord {
    type Error = ConvertError;

    fn try_from(record: v1::ImageRecord) -> Result<Self, Self::Error> {
        Ok(Self {
            image: id("image", &record.image)?,
            name: record.name,
            version: record.version,
            published_ms: record.published_ms,
            size: record.size,
            files: record.files,
            build: id("build", &record.build)?,
            project: record.project,
            task: id("task", &record.task)?,
            digest: record.digest,
        })
    }
}

impl From<Published> for v1::PublishReply {
    fn from(published: Published) -> Self {
        match published {
            Published::Visible(image) => Self { image: Some(image.into()), gone: Vec::new() },
            Published::Gone(packs) => {
                Self { image: None, gone: packs.iter().map(PackId::to_string).collect() }
            }
        }
    }
}

impl TryFrom<v1::PublishReply> for Published {
    type Error = ConvertError;

    fn try_from(reply: v1::PublishReply) -> Result<Self, Self::Error> {
        match reply.image {
            Some(image) => Ok(Self::Visible(image.try_into()?)),
            None => Ok(Self::Gone(packs(&reply.gone)?)),
        }
    }
}
