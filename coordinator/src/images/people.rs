//! What people ask about images.

use futures::StreamExt;
use kiln_model::{Action, Image, ImageAction, Role};
use kiln_plan::id::PackId;
use kiln_proto::image::{Grant, ImageRecord};
use kiln_proto::{Bytes, Code, Problem};

use super::publish::record;
use super::{CALLS, at_once, index, links, manifest, needs, pack_key};
use crate::Coordinator;
use crate::identity::caller::Caller;
use crate::store::Access;

/// The image that somebody means who has a role in its project.
fn find(coordinator: &Coordinator, (caller, role): (&Caller, Role), text: &str) -> Result<Image, Problem> {
    let image = coordinator.ledger.read(|farm| farm.images().find(text).cloned());
    let image = image.ok_or_else(|| {
        let told = format!("there is no image {text:?}; `kiln images list` shows what there is");
        Problem::new(Code::NotFound, told)
    })?;
    caller.may_in(role, &image.project)?;
    Ok(image)
}

/// All images that the caller may see, or those of a name, by name and version.
pub(crate) fn list(coordinator: &Coordinator, caller: &Caller, name: &str) -> Vec<ImageRecord> {
    let mut images: Vec<ImageRecord> = coordinator.ledger.read(|farm| {
        let images = farm.images().visible().values();
        let wanted = images.filter(|image| name.is_empty() || image.name == name);
        wanted.filter(|image| caller.may_in(Role::Viewer, &image.project).is_ok()).map(record).collect()
    });
    images.sort_by(|a, b| a.name.cmp(&b.name).then(a.version.cmp(&b.version)));
    images
}

/// An image with its manifest.
///
/// # Errors
/// When there is none, or its manifest can't be read.
pub(crate) async fn show(
    coordinator: &Coordinator,
    caller: &Caller,
    text: &str,
) -> Result<(ImageRecord, Bytes), Problem> {
    let image = find(coordinator, (caller, Role::Viewer), text)?;
    let (bytes, _) = manifest(coordinator, &image).await?;
    Ok((record(&image), bytes))
}

/// Links to read packs of an image, and of no other.
///
/// # Errors
/// When there is no such image, it needs no such pack, or no link can be made.
pub(crate) async fn grant_pull(
    coordinator: &Coordinator,
    caller: &Caller,
    text: &str,
    packs: Vec<PackId>,
) -> Result<Vec<Grant>, Problem> {
    at_once(packs.len())?;
    let image = find(coordinator, (caller, Role::Viewer), text)?;
    let needed = needs(coordinator, &image).await?;
    if let Some(foreign) = packs.iter().find(|pack| !needed.contains(pack)) {
        let told = format!("image {} has nothing in pack {foreign}", image.id);
        return Err(Problem::new(Code::Invalid, told));
    }
    links(coordinator, packs.into_iter().map(|pack| (pack, Access::Read)).collect()).await
}

/// Whether all that an image needs is in the store. Bytes are not read; whoever pulls it checks each chunk.
///
/// # Errors
/// When there is no such image, or the store doesn't answer.
pub(crate) async fn verify(
    coordinator: &Coordinator,
    caller: &Caller,
    text: &str,
) -> Result<(u32, Vec<String>), Problem> {
    let image = find(coordinator, (caller, Role::Builder), text)?;
    let manifest = match manifest(coordinator, &image).await {
        Ok((_, manifest)) => manifest,
        Err(problem) if problem.code == Code::Internal => return Ok((0, vec![problem.message])),
        Err(problem) => return Err(problem),
    };
    let mut ends = vec![0_u64; manifest.head.packs.len()];
    for chunk in &manifest.chunks {
        let end = &mut ends[chunk.pack as usize];
        *end = (*end).max(u64::from(chunk.offset) + u64::from(chunk.stored));
    }
    let sizes: Vec<Option<u64>> = {
        let index = index(coordinator).await?;
        let size = |pack: &PackId| index.as_ref().and_then(|index| index.size(*pack));
        manifest.head.packs.iter().map(size).collect()
    };
    let store = &coordinator.images.store;
    let packs = manifest.head.packs.iter().zip(ends).zip(sizes);
    let check = |((pack, end), size): ((&PackId, u64), Option<u64>)| {
        let (key, pack) = (pack_key(*pack), *pack);
        async move {
            match store.head(&key).await {
                Ok(None) => Some(format!("pack {pack} is not in the object store")),
                Ok(Some(facts)) if facts.size < end || size.is_some_and(|size| size != facts.size) => {
                    Some(format!("pack {pack} has {} bytes, not what was sent", facts.size))
                }
                Ok(Some(_)) => None,
                Err(error) => Some(kiln_plan::fault::chain(&error)),
            }
        }
    };
    let checked = futures::stream::iter(packs.map(check)).buffered(CALLS).collect::<Vec<_>>().await;
    let count = u32::try_from(checked.len()).unwrap_or(u32::MAX);
    Ok((count, checked.into_iter().flatten().collect()))
}

/// Takes an image away. Its bytes go with a later collection, as far as no other image needs them.
///
/// # Errors
/// When there is none, or the ledger doesn't answer.
pub(crate) async fn delete(
    coordinator: &Coordinator,
    caller: &Caller,
    text: &str,
) -> Result<ImageRecord, Problem> {
    let image = find(coordinator, (caller, Role::Operator), text)?;
    let outcome = coordinator.ledger.propose(Action::Image(ImageAction::Delete { image: image.id })).await?;
    match outcome.refusal() {
        Some(refusal) => Err(Problem::from_error(Code::NotFound, refusal)),
        None => Ok(record(&image)),
    }
}
