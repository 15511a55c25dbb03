//! The laws of images: nothing is published twice, nothing by the stale, nothing changes once it is visible.

use std::collections::BTreeSet;

use crate::state::FarmState;

fn require(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

/// A task has published at most one image, and the farm knows which as long as it knows the task.
pub fn a_task_publishes_at_most_once(state: &FarmState) -> Result<(), String> {
    let mut tasks = BTreeSet::new();
    for image in state.images.by_id.values() {
        require(tasks.insert(image.task), || format!("task {} has published twice", image.task))?;
        let known = state.images.by_task.get(&image.task);
        require(known.is_none_or(|known| known == image), || {
            format!("task {} names another image", image.task)
        })?;
        require(known.is_some() || !state.tasks.contains_key(&image.task), || {
            format!("task {} doesn't know what it has published", image.task)
        })?;
    }
    let orphan = state.images.by_task.keys().find(|task| !state.tasks.contains_key(task));
    require(orphan.is_none(), || format!("{orphan:?} is remembered after it was forgotten"))
}

/// No version of a name is given twice.
pub fn versions_are_distinct(state: &FarmState) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for image in state.images.by_id.values() {
        let (name, version) = (&image.name, image.version);
        require(seen.insert((name, version)), || format!("{name}:{version} is there twice"))?;
        let last = state.images.versions.get(name).copied().unwrap_or_default();
        require(version >= 1 && version <= last, || format!("{name}:{version} lies beyond version {last}"))?;
    }
    Ok(())
}

/// Whoever publishes holds the lease, under its present number.
pub fn only_the_holder_publishes(before: &FarmState, after: &FarmState) -> Result<(), String> {
    for image in after.images.by_id.values().filter(|image| !before.images.by_id.contains_key(&image.id)) {
        let lease = before.tasks.get(&image.task).and_then(|task| task.lease());
        require(lease.is_some_and(|l| (l.attempt, l.epoch) == (image.attempt, image.epoch)), || {
            format!("image {} was published under epoch {} without its lease", image.id, image.epoch)
        })?;
        require(!before.images.by_task.contains_key(&image.task), || {
            format!("task {} had published before", image.task)
        })?;
    }
    Ok(())
}

/// What is visible stays as it is until it is deleted; versions and counts only grow.
pub fn images_never_change(before: &FarmState, after: &FarmState) -> Result<(), String> {
    let (before, after) = (&before.images, &after.images);
    for (id, image) in &before.by_id {
        let now = after.by_id.get(id);
        require(now.is_none_or(|now| now == image), || format!("image {id} changed"))?;
    }
    for (name, version) in &before.versions {
        require(after.versions.get(name) >= Some(version), || format!("the versions of {name} went back"))?;
    }
    let grew = after.publications >= before.publications && after.collections >= before.collections;
    require(grew, || "a count of images or collections went back".into())
}

/// Packs are condemned and images published only by turns.
pub fn condemning_and_publishing_exclude_each_other(
    before: &FarmState,
    after: &FarmState,
) -> Result<(), String> {
    let (before, after) = (&before.images, &after.images);
    let published = after.by_id.len() > before.by_id.len();
    require(!published || after.publications > before.publications, || "an image was not counted".into())?;
    let moved = after.doomed != before.doomed;
    require(!moved || after.collections > before.collections, || "a collection was not counted".into())?;
    require(!(published && moved), || "an image was published while packs were condemned".into())
}
