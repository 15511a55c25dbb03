//! How images come and go when everything obeys.

use std::os::unix::fs::MetadataExt;

use kiln_coordinator::StoreSettings;
use kiln_proto::v1;

use crate::farm::{Farm, noise};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_is_pulled_bit_for_bit() {
    let directory = tempfile::tempdir().unwrap();
    for store in [StoreSettings::Memory, StoreSettings::Directory(directory.path().join("store"))] {
        let mut farm = Farm::start(store).await;
        let disk = [noise(3_000_000, 1), vec![0; 20 << 20], noise(500_000, 2), vec![0; 3 << 20]].concat();
        farm.write("out/disk", &disk);
        farm.write("out/deep/empty", b"");
        farm.write("out/text", b"words");
        let held = farm.take(1).await.remove(0);
        let files = ["out/disk", "out/deep/empty", "out/text"];
        let (image, sent) = farm.publish(&held, "debian", &files).await.unwrap();
        assert_eq!((image.name.as_str(), image.version, image.files), ("debian", 1, 3));
        assert_eq!(image.size, disk.len() as u64 + 5);
        assert!(sent.new >= 3_500_000 && sent.new < 3_800_000, "zeros are not sent: {sent:?}");

        let pulled = farm.pull("debian", Some("back")).await.unwrap();
        for file in files {
            assert_eq!(farm.read(&format!("back/{file}")), farm.read(file), "{file}");
        }
        let blocks = farm.place().join("back/out/disk").metadata().unwrap().blocks();
        assert!(blocks * 512 < 5 << 20, "holes stay holes: {blocks} blocks");
        let head = &pulled.manifest.head;
        assert_eq!((head.version, head.provenance.agent_name.as_str()), (1, "a1"), "the farm's word counts");
        assert_eq!(head.provenance.task_name, "null.t0");
        assert!(head.provenance.plan.as_ref().unwrap().starts_with("sha256:"));
        assert_eq!(head.provenance.tools["qemu"], "9");
        farm.pull(&image.image.to_string(), None).await.expect("it can be checked without a directory");
        let again = farm.pull("debian:1", Some("back")).await.unwrap();
        assert_eq!(again.received, 0, "what is there is not brought again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_image_sends_what_changed() {
    let mut farm = Farm::in_memory().await;
    let old = noise(20 << 20, 1);
    let mut new = old.clone();
    for place in (0..10).map(|n| n * (2 << 20) + 4_096) {
        new[place..place + 4_096].copy_from_slice(&noise(4_096, place as u64));
    }
    farm.write("disk", &old);
    let mut held = farm.take(3).await;
    farm.publish(&held.remove(0), "nightly", &["disk"]).await.unwrap();
    farm.write("disk", &new);
    let (image, sent) = farm.publish(&held.remove(0), "nightly", &["disk"]).await.unwrap();
    assert_eq!(image.version, 2);
    assert!(sent.sent * 100 < sent.size * 15, "{sent:?}");
    let (_, sent) = farm.publish(&held.remove(0), "other", &["disk"]).await.unwrap();
    assert_eq!((sent.sent, sent.packs), (0, 0), "the same bytes under another name cost nothing");
    farm.pull("nightly:2", Some("back")).await.unwrap();
    assert!(farm.read("back/disk") == new);
    farm.pull("nightly:1", Some("first")).await.unwrap();
    assert!(farm.read("first/disk") == old);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_twice_is_publishing_once() {
    let mut farm = Farm::in_memory().await;
    farm.write("disk", &noise(100_000, 1));
    let held = farm.take(1).await.remove(0);
    let both = tokio::join!(farm.publish(&held, "a", &["disk"]), farm.publish(&held, "a", &["disk"]));
    let (first, second) = (both.0.unwrap().0, both.1.unwrap().0);
    assert_eq!(first, second);
    assert_eq!(farm.visible().await, "a:1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_images_leave_what_others_need() {
    let mut farm = Farm::in_memory().await;
    let (shared, own) = (noise(2 << 20, 1), noise(2 << 20, 2));
    farm.write("a", &[&shared[..], &own].concat());
    farm.write("b", &shared);
    let mut held = farm.take(2).await;
    farm.publish(&held.remove(0), "b", &["b"]).await.unwrap();
    farm.publish(&held.remove(0), "a", &["a"]).await.unwrap();
    assert_eq!(farm.collect().await.packs, 0, "everything is needed");
    let delete = v1::DeleteImageRequest { image: "a".into() };
    farm.service().await.delete_image(delete).await.unwrap();
    assert_eq!(farm.visible().await, "b:1");
    let collected = farm.collect().await;
    assert_eq!((collected.packs, collected.kept_packs), (1, 1));
    assert!(collected.bytes > 1 << 20);
    farm.pull("b", Some("back")).await.unwrap();
    assert_eq!(farm.read("back/b"), shared);
    let error = farm.pull("a", Some("back")).await.unwrap_err();
    assert!(error.to_string().contains("there is no image \"a\""), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_goes_on_where_another_broke_off() {
    let mut farm = Farm::in_memory().await;
    let disk = noise(6 << 20, 1);
    farm.write("disk", &disk);
    let held = farm.take(1).await.remove(0);
    farm.publish(&held, "a", &["disk"]).await.unwrap();
    let mut part = disk.clone();
    part[3 << 20..].fill(0);
    farm.write("back/disk.kiln-part", &part);
    let pulled = farm.pull("a", Some("back")).await.unwrap();
    assert!(pulled.received > 3 << 20 && pulled.received < 4 << 20, "{} bytes", pulled.received);
    assert!(farm.read("back/disk") == disk);
    farm.write("back/disk", b"mine");
    let error = farm.pull("a", Some("back")).await.unwrap_err();
    assert!(error.to_string().contains("is there already and differs"), "{error}");
    assert_eq!(farm.read("back/disk"), b"mine", "nothing is written over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_coordinator_still_knows_the_chunks() {
    use kiln_agent::image::{Transfer, publish};

    let directory = tempfile::tempdir().unwrap();
    let store = || StoreSettings::Directory(directory.path().join("store"));
    let mut farm = Farm::start(store()).await;
    let disk = noise(3 << 20, 1);
    farm.write("disk", &disk);
    let held = farm.take(1).await.remove(0);
    farm.publish(&held, "a", &["disk"]).await.unwrap();
    drop(farm);
    // Another ledger over the same store: the index is all that is left.
    let mut farm = Farm::start(store()).await;
    farm.write("disk", &disk);
    let held = farm.take(1).await.remove(0);
    let publication = farm.publication(&held, "a", &["disk"]);
    let (channel, transfer) =
        (farm.handle.connect().await.unwrap(), Transfer::new(&[], crate::farm::quick()).unwrap());
    let cancel = tokio_util::sync::CancellationToken::new();
    let (_, sent) =
        publish(channel, &transfer, &publication, &crate::farm::reporter(), &cancel).await.unwrap();
    assert_eq!(sent.packs, 0, "nothing is sent again");
}
