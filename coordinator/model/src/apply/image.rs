//! Images become visible, go, and their packs after them.

use kiln_plan::id::{ImageId, PackId};

use super::Applied;
use crate::build::DEFAULT_PROJECT;
use crate::image::{CONDEMN_LIMIT, Image, ImageAction, ImageRefusal, NewImage, Publisher, is_name};
use crate::outcome::{Outcome, Refusal};
use crate::state::FarmState;
use crate::task::Standing;

pub(super) fn image(state: &mut FarmState, action: &ImageAction) -> Applied {
    match action {
        ImageAction::Publish { by, image, collections } => publish(state, *by, image, *collections),
        ImageAction::Delete { image } => delete(state, *image),
        ImageAction::Condemn { packs, publications } => condemn(state, packs, *publications),
        ImageAction::Forget { packs } => Ok(forget(state, packs)),
    }
}

/// At most once per task, and only by the holder of its lease. Published by the same task before, it stays what it is.
fn publish(state: &mut FarmState, by: Publisher, new: &NewImage, collections: u64) -> Applied {
    let task = state.tasks.get(&by.task).ok_or(Refusal::UnknownTask(by.task))?;
    match task.standing(by.agent, by.attempt, by.epoch) {
        Standing::Held => {}
        Standing::Expired => return Err(ImageRefusal::LeaseExpired(by.task).into()),
        Standing::Stale => {
            return Err(Refusal::StaleEpoch { task: by.task, given: by.epoch, current: task.epoch });
        }
    }
    let images = &mut state.images;
    if let Some(before) = images.by_task.get(&by.task) {
        return Ok(Outcome::Published { image: before.id });
    }
    if collections != images.collections {
        return Err(ImageRefusal::Collected.into());
    }
    if images.by_id.contains_key(&new.id) {
        return Err(ImageRefusal::Duplicate(new.id).into());
    }
    if !is_name(&new.name) {
        return Err(ImageRefusal::Name(new.name.clone()).into());
    }
    let next = images.next_version(&new.name);
    if new.version != next {
        return Err(ImageRefusal::Version { name: new.name.clone(), given: new.version, next }.into());
    }
    let project = state.builds.get(&task.build).map(|build| build.origin.project.clone());
    let project = project.unwrap_or_else(|| DEFAULT_PROJECT.to_owned());
    let image = Image {
        id: new.id,
        name: new.name.clone(),
        version: next,
        published: state.now,
        size: new.size,
        files: new.files,
        project,
        build: task.build,
        task: by.task,
        attempt: by.attempt,
        epoch: by.epoch,
        manifest: new.manifest,
    };
    images.versions.insert(image.name.clone(), next);
    images.by_task.insert(by.task, image.clone());
    images.by_id.insert(image.id, image);
    images.publications += 1;
    Ok(Outcome::Published { image: new.id })
}

fn delete(state: &mut FarmState, id: ImageId) -> Applied {
    state.images.by_id.remove(&id).ok_or(ImageRefusal::Unknown(id))?;
    Ok(Outcome::Done)
}

fn condemn(state: &mut FarmState, packs: &[PackId], publications: u64) -> Applied {
    let images = &mut state.images;
    if packs.len() > CONDEMN_LIMIT {
        return Err(ImageRefusal::TooMany(packs.len()).into());
    }
    if publications != images.publications {
        return Err(ImageRefusal::Published.into());
    }
    images.doomed.extend(packs);
    images.collections += 1;
    Ok(Outcome::Done)
}

fn forget(state: &mut FarmState, packs: &[PackId]) -> Outcome {
    let images = &mut state.images;
    for pack in packs {
        images.doomed.remove(pack);
    }
    images.collections += 1;
    Outcome::Done
}
