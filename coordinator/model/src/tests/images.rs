//! Images: visible once, by the holder, and never while the packs they need are condemned.

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{Epoch, ImageId, PackId};
use proptest::prelude::*;
use uuid::Uuid;

use super::farm::{Farm, agent, attempt, build, needs, new_task, offers, succeeded, task};
use crate::image::{ImageAction, NewImage, Publisher, is_name};
use crate::{Action, Outcome};

const fn image(n: u128) -> ImageId {
    ImageId::new(Uuid::from_u128(0x1000 + n))
}

const fn pack(n: u128) -> PackId {
    PackId::new(Uuid::from_u128(0x2000 + n))
}

fn new(n: u128, name: &str, version: u64) -> NewImage {
    let manifest = Fingerprint::of_bytes(&n.to_le_bytes());
    NewImage { id: image(n), name: name.into(), version, size: 10, files: 1, manifest }
}

fn publish(t: u128, a: u128, epoch: u64, image: NewImage, collections: u64) -> Action {
    let by = Publisher {
        agent: agent(a),
        task: task(t),
        attempt: attempt(u128::from(epoch)),
        epoch: Epoch(epoch),
    };
    Action::Image(ImageAction::Publish { by, image, collections })
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(refusal) => refusal.to_string(),
        Outcome::Published { image } => format!("published {image}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn an_image_is_published_at_most_once_per_task() {
    let mut farm = Farm::with_one_running();
    let first = farm.must(publish(1, 1, 1, new(1, "debian", 1), 0));
    assert_eq!(first, Outcome::Published { image: image(1) });
    let again = farm.must(publish(1, 1, 1, new(2, "debian", 2), 0));
    assert_eq!(again, Outcome::Published { image: image(1) }, "asked again, it is the same one");
    assert_eq!(farm.state.images().visible().len(), 1);
    farm.must(Action::Image(ImageAction::Delete { image: image(1) }));
    let again = farm.must(publish(1, 1, 1, new(3, "debian", 2), 0));
    assert_eq!(again, Outcome::Published { image: image(1) }, "even if it was deleted");
    assert!(farm.state.images().visible().is_empty());
}

#[test]
fn the_stale_publish_nothing() {
    let mut farm = Farm::with_one_running();
    farm.now += 30_000;
    farm.expire(1, 1);
    let expired = farm.apply(publish(1, 1, 1, new(1, "debian", 1), 0));
    assert!(told(&expired).ends_with("has run out"), "{}", told(&expired));
    farm.assign(1, 2);
    let stale = farm.apply(publish(1, 1, 1, new(1, "debian", 1), 0));
    assert!(told(&stale).contains("epoch 1 of task"), "{}", told(&stale));
    farm.must(publish(1, 2, 2, new(2, "debian", 1), 0));
    farm.report(1, 2, 2, succeeded());
    let late = farm.apply(publish(1, 2, 2, new(3, "debian", 2), 0));
    assert!(late.refusal().is_some(), "a task that is finished publishes nothing");
}

#[test]
fn versions_of_a_name_grow_and_are_never_used_again() {
    let mut farm = Farm { now: 1, ..Farm::default() };
    farm.connect(1, offers(9, &["builder/null"]));
    farm.submit(1, 0, (1..=3).map(|t| new_task(t, needs("builder/null"))).collect());
    for t in 1..=3 {
        farm.assign(t, 1);
    }
    farm.must(publish(1, 1, 1, new(1, "debian", 1), 0));
    let taken = farm.apply(publish(2, 1, 1, new(2, "debian", 1), 0));
    assert_eq!(told(&taken), "the next version of debian is 2, not 1");
    farm.must(publish(2, 1, 1, new(2, "debian", 2), 0));
    farm.must(Action::Image(ImageAction::Delete { image: image(2) }));
    assert_eq!(farm.state.images().next_version("debian"), 3);
    farm.must(publish(3, 1, 1, new(3, "debian", 3), 0));
    let find = |text: &str| farm.state.images().find(text).map(|found| found.version);
    let found =
        (find("debian"), find("debian:1"), find("debian:2"), find("other"), find(&image(1).to_string()));
    assert_eq!(found, (Some(3), Some(1), None, None, Some(1)));
}

#[test]
fn a_collection_between_look_and_publication_refuses_it() {
    let mut farm = Farm::with_one_running();
    let condemn = |publications| Action::Image(ImageAction::Condemn { packs: vec![pack(1)], publications });
    farm.must(condemn(0));
    let refused = farm.apply(publish(1, 1, 1, new(1, "debian", 1), 0));
    assert_eq!(told(&refused), "packs were deleted meanwhile; look again whether all are there");
    farm.must(publish(1, 1, 1, new(1, "debian", 1), 1));
    let refused = farm.apply(condemn(0));
    assert_eq!(told(&refused), "images were published meanwhile; look again what they need");
    farm.must(condemn(1));
    assert!(farm.state.images().doomed().contains(&pack(1)));
    farm.must(Action::Image(ImageAction::Forget { packs: vec![pack(1)] }));
    assert!(farm.state.images().doomed().is_empty());
}

#[test]
fn a_forgotten_build_leaves_its_images() {
    let mut farm = Farm::with_one_running();
    farm.must(publish(1, 1, 1, new(1, "debian", 1), 0));
    farm.report(1, 1, 1, succeeded());
    farm.must(Action::ForgetBuild { build: build(1) });
    assert!(farm.state.images().find("debian").is_some());
}

#[test]
fn names_are_plain() {
    for (name, good) in [
        ("debian", true),
        ("qemu.debian-12_x", true),
        ("team/debian", true),
        ("", false),
        ("a b", false),
        ("-a", false),
        ("a/", false),
        ("a/../b", false),
        ("a:1", false),
        ("ä", false),
    ] {
        assert_eq!(is_name(name), good, "{name:?}");
    }
}

/// A store beside the farm: which packs lie in it, and who has looked at what.
#[derive(Debug, Default)]
struct World {
    farm: Farm,
    packs: Vec<PackId>,
    needs: Vec<(ImageId, Vec<PackId>)>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Publishers and collectors look at one moment and ask at another; no visible image ever lacks a pack.
    #[test]
    fn whatever_is_interleaved_no_visible_image_lacks_a_pack(
        steps in prop::collection::vec((0..5_u8, 0..6_usize), 1..80),
    ) {
        let mut world = World { farm: Farm { now: 1, ..Farm::default() }, ..World::default() };
        world.farm.connect(1, offers(99, &["builder/null"]));
        world.farm.submit(1, 0, (0..40).map(|t| new_task(t, needs("builder/null"))).collect());
        (0..40).for_each(|t| drop(world.farm.assign(t, 1)));
        let mut next = 0_u128;
        let mut looked: Vec<(u64, Vec<PackId>)> = Vec::new();
        let mut marked: Vec<(u64, Vec<PackId>)> = Vec::new();
        for (step, choice) in steps {
            next += 1;
            let images = world.farm.state.images().clone();
            match step {
                0 => world.packs.push(pack(next)),
                1 => {
                    let there = world.packs.iter().filter(|p| !images.doomed().contains(p));
                    looked.push((images.collections(), there.copied().skip(choice).take(2).collect()));
                }
                2 if !looked.is_empty() => {
                    let (collections, packs) = looked.remove(choice % looked.len());
                    let action = publish(next % 40, 1, 1, new(next, "n", images.next_version("n")), collections);
                    if world.farm.apply(action) == (Outcome::Published { image: image(next) }) {
                        world.needs.push((image(next), packs));
                    }
                }
                3 => {
                    let needed: Vec<PackId> = world.needs.iter().flat_map(|(_, packs)| packs.clone()).collect();
                    let free = world.packs.iter().copied().filter(|p| !needed.contains(p)).collect();
                    marked.push((images.publications(), free));
                }
                _ if !marked.is_empty() => {
                    let (publications, packs) = marked.remove(choice % marked.len());
                    let condemn = ImageAction::Condemn { packs: packs.clone(), publications };
                    if world.farm.apply(Action::Image(condemn)) == Outcome::Done {
                        world.packs.retain(|p| !packs.contains(p));
                        world.farm.must(Action::Image(ImageAction::Forget { packs }));
                    }
                }
                _ => {}
            }
            for (id, packs) in &world.needs {
                prop_assert!(packs.iter().all(|p| world.packs.contains(p)), "{id} lacks a pack");
            }
        }
    }
}
