//! Stores that fail, hang, lose and lie; attempts that are too late; collectors that come between.

use std::time::Duration;

use kiln_agent::image::{PublishError, PullError, publish};
use kiln_coordinator::StoreSettings;
use kiln_plan::event::TaskOutcome;
use kiln_plan::id::Epoch;
use kiln_plan::{Failure, Fault as Blame};
use kiln_proto::v1;
use tokio_util::sync::CancellationToken;

use crate::farm::{Farm, Fault, noise, reporter};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_for_a_while_is_borne_with() {
    for fault in [Fault::Fails, Fault::Hangs, Fault::Loses, Fault::Forbids] {
        let mut farm = Farm::in_memory().await;
        let disk = noise(1 << 20, 1);
        farm.write("disk", &disk);
        *farm.faults.next.lock().unwrap() = vec![fault; 3];
        let held = farm.take(1).await.remove(0);
        farm.publish(&held, "a", &["disk"]).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(farm.faults.puts.lock().unwrap().len(), 4, "{fault:?}");
        farm.pull("a", Some("back")).await.unwrap();
        assert!(farm.read("back/disk") == disk, "{fault:?}");
        assert_eq!(
            farm.handle.store().list("packs").await.unwrap().len(),
            1,
            "{fault:?}: nothing lies there twice"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_goes_on_failing_fails_the_attempt_by_the_farms_fault() {
    for (fault, told) in [
        (Fault::Fails, "answered 500 Internal Server Error"),
        (Fault::Loses, "took a pack and doesn't have it"),
        (Fault::Forbids, "403 Forbidden: Request has expired"),
    ] {
        let mut farm = Farm::in_memory().await;
        farm.write("disk", &noise(1 << 20, 1));
        *farm.faults.always.lock().unwrap() = Some(fault);
        let held = farm.take(1).await.remove(0);
        let error = farm.publish(&held, "a", &["disk"]).await.unwrap_err();
        let failure = Failure::from(error);
        assert_eq!(failure.fault, Blame::Farm);
        assert!(failure.message.contains("in 4 tries") && failure.message.contains(told), "{failure}");
        assert!(!failure.message.contains("signature"), "links are not told: {failure}");
        assert_eq!(farm.visible().await, "", "nothing is half visible");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stale_publish_nothing() {
    let mut farm = Farm::in_memory().await;
    farm.write("disk", &noise(100_000, 1));
    let old = farm.take(1).await.remove(0);
    let failure = Failure::new(Blame::Farm, "it broke");
    old.voice.finish(TaskOutcome::Failed { failure });
    let new = farm.next().await;
    assert_eq!((new.order.attempt.task, new.order.attempt.epoch), (old.order.attempt.task, Epoch(2)));
    let error = farm.publish(&old, "a", &["disk"]).await.unwrap_err();
    assert!(matches!(error, PublishError::Stale(_)), "{error}");
    assert!(error.to_string().contains("is stale, the current one is 2"), "{error}");
    assert_eq!(farm.visible().await, "");
    let (image, _) = farm.publish(&new, "a", &["disk"]).await.unwrap();
    assert_eq!(image.version, 1);
    assert!(farm.publish(&old, "a", &["disk"]).await.is_err(), "still not");
    assert_eq!(farm.visible().await, "a:1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_without_grace_harms_no_image() {
    let mut farm = Farm::in_memory().await;
    let disk = noise(4 << 20, 1);
    farm.write("disk", &disk);
    let mut held = farm.take(4).await;
    farm.publish(&held.remove(0), "a", &["disk"]).await.unwrap();
    // Its chunks are found by the next, and collected before that is visible.
    let delete = v1::DeleteImageRequest { image: "a".into() };
    farm.service().await.delete_image(delete).await.unwrap();
    for task in &held {
        *farm.faults.next.lock().unwrap() = vec![Fault::Fails; 1];
        let collecting = async {
            for _ in 0..10 {
                farm.collect().await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let (published, ()) = tokio::join!(farm.publish(task, "b", &["disk"]), collecting);
        match published {
            Ok((image, _)) => {
                let version = format!("b:{}", image.version);
                farm.pull(&version, None).await.unwrap_or_else(|error| panic!("{version}: {error}"));
            }
            Err(error) => assert!(matches!(error, PublishError::Gone), "{error}"),
        }
    }
    farm.collect().await;
    for image in farm.visible().await.split_whitespace() {
        farm.pull(image, None).await.unwrap_or_else(|error| panic!("{image}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_publication_ends_at_once() {
    let mut farm = Farm::in_memory().await;
    farm.write("disk", &noise(1 << 20, 1));
    *farm.faults.always.lock().unwrap() = Some(Fault::Hangs);
    let held = farm.take(1).await.remove(0);
    let publication = farm.publication(&held, "a", &["disk"]);
    let (channel, cancel) = (farm.handle.connect().await.unwrap(), CancellationToken::new());
    let stop = async {
        while farm.faults.puts.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        cancel.cancel();
    };
    let reporter = reporter();
    let work = publish(channel, &farm.transfer, &publication, &reporter, &cancel);
    let (error, ()) =
        tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(work, stop) }).await.unwrap();
    let failure = Failure::from(error.unwrap_err());
    assert!(failure.cancelled, "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_damaged_or_lost_later_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let mut farm = Farm::start(StoreSettings::Directory(store.clone())).await;
    farm.write("disk", &noise(1 << 20, 1));
    let held = farm.take(1).await.remove(0);
    farm.publish(&held, "a", &["disk"]).await.unwrap();
    let packs = std::fs::read_dir(store.join("packs")).unwrap();
    let pack = packs.map(|entry| entry.unwrap().path()).next().unwrap();
    let whole = std::fs::read(&pack).unwrap();

    let mut damaged = whole.clone();
    damaged[500_000] ^= 1;
    std::fs::write(&pack, &damaged).unwrap();
    let error = farm.pull("a", Some("back")).await.unwrap_err();
    assert!(matches!(error, PullError::Damaged { .. }), "{error}");
    assert!(!farm.place().join("back/disk").exists(), "nothing is there under its name");

    let verify = || async {
        let request = v1::VerifyImageRequest { image: "a".into() };
        farm.service().await.verify_image(request).await.unwrap().into_inner().problems.join("; ")
    };
    std::fs::write(&pack, &whole[..1_000]).unwrap();
    assert!(verify().await.ends_with("has 1000 bytes, not what was sent"), "{}", verify().await);
    std::fs::remove_file(&pack).unwrap();
    assert!(verify().await.ends_with("is not in the object store"), "{}", verify().await);
    std::fs::write(&pack, &whole).unwrap();
    assert_eq!(verify().await, "");
    farm.pull("a", Some("back")).await.expect("what is mended goes on");
    let manifests = std::fs::read_dir(store.join("images")).unwrap();
    let manifest = manifests.map(|entry| entry.unwrap().path()).next().unwrap();
    std::fs::write(&manifest, b"x").unwrap();
    assert!(verify().await.ends_with("was changed in the object store"), "{}", verify().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_asked_for_by_the_holder_only() {
    let mut farm = Farm::in_memory().await;
    let held = farm.take(1).await.remove(0);
    let key = held.order.attempt;
    let claim = |epoch: u64, agent: u128| v1::AttemptClaim {
        agent: uuid::Uuid::from_u128(agent).to_string(),
        task: key.task.to_string(),
        attempt: key.attempt.to_string(),
        epoch,
    };
    let pack =
        v1::PackFacts { pack: uuid::Uuid::from_u128(9).to_string(), size: 10, sha256: vec![0; 32].into() };
    for (claim, code) in [
        (claim(1, 1), tonic::Code::Ok),
        (claim(2, 1), tonic::Code::Aborted),
        (claim(1, 2), tonic::Code::Aborted),
    ] {
        let request = v1::GrantPacksRequest { claim: Some(claim), packs: vec![pack.clone()] };
        let got = farm.service().await.grant_packs(request).await.err().map_or(tonic::Code::Ok, |s| s.code());
        assert_eq!(got, code);
    }
    let large = v1::PackFacts { size: 1 << 40, ..pack };
    let request = v1::GrantPacksRequest { claim: Some(claim(1, 1)), packs: vec![large] };
    let status = farm.service().await.grant_packs(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
}
