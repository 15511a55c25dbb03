//! What lies in an attempt's directory, and what becomes of it. Whole lives are told in `tests/farm`.

use std::os::unix::fs::PermissionsExt;

use kiln_plan::id::{AttemptId, BuildId, Epoch, TaskId};
use uuid::Uuid;

use super::*;
use crate::test_plan;

fn order() -> Order {
    let task = TaskId::new(Uuid::from_u128(0x0190_163d_8694_739b_aea5_966c_26f8_ad90));
    let attempt = AttemptKey { task, attempt: AttemptId::new(Uuid::from_u128(2)), epoch: Epoch(3) };
    let build = BuildId::new(Uuid::from_u128(1));
    Order { build, attempt, first_sequence: 7, plan: test_plan::plan("null") }
}

#[derive(Debug)]
struct NoBundles;

#[async_trait::async_trait]
impl Bundles for NoBundles {
    async fn fetch(&self, _attempt: AttemptKey) -> Result<Vec<u8>, kiln_proto::Problem> {
        Err(kiln_proto::Problem::new(kiln_proto::Code::NotFound, "there is none"))
    }
}

fn hosts(run_dir: &std::path::Path) -> Arc<Hosts> {
    let (run_dir, cache_dir) = (run_dir.to_owned(), run_dir.join("cache"));
    Hosts::find(
        Settings {
            program: "/bin/false".into(),
            run_dir,
            cache_dir,
            cache_limit: 0,
            isolation: Isolation::default(),
        },
        Arc::new(NoBundles),
        None,
    )
    .unwrap()
}

fn prepared(run_dir: &std::path::Path) -> Place {
    let place = Place::of(run_dir, order().attempt);
    hosts(run_dir).prepare(&place, order(), None).unwrap();
    place
}

#[test]
fn a_prepared_attempt_is_private_and_its_order_read_once() {
    let run_dir = tempfile::tempdir().unwrap();
    let place = prepared(run_dir.path());
    assert_eq!(place.directory(), run_dir.path().join("attempts/966c26f8ad90-3"));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.directory()), 0o700);
    assert_eq!(mode(&place.directory().join("order.json")), 0o600);
    assert_eq!(place.take_order().unwrap().plan, order().plan);
    assert!(place.take_order().is_err());
    assert!(!place.directory().join("order.json").exists());
    assert!(hosts(run_dir.path()).prepare(&place, order(), None).is_err(), "one attempt, one directory");
}

#[test]
fn attempts_from_before_are_found_and_what_is_none_is_removed() {
    let run_dir = tempfile::tempdir().unwrap();
    assert_eq!(hosts(run_dir.path()).count(), 0);
    let place = prepared(run_dir.path());
    let junk = run_dir.path().join("attempts/half-made");
    std::fs::create_dir(&junk).unwrap();
    let newer = run_dir.path().join("attempts/newer");
    std::fs::create_dir(&newer).unwrap();
    std::fs::write(newer.join("about.json"), r#"{"format": 2}"#).unwrap();
    let hands = HostedHands(hosts(run_dir.path()));
    assert_eq!(hands.found(), [order().attempt]);
    assert_eq!((place.directory().exists(), junk.exists(), newer.exists()), (true, false, true));
}

#[test]
fn an_outcome_is_there_as_a_whole_or_not_at_all() {
    let run_dir = tempfile::tempdir().unwrap();
    let place = prepared(run_dir.path());
    assert_eq!(place.outcome().unwrap(), None);
    std::fs::write(place.directory().join("outcome.json.new"), r#"{"format": 1, "outc"#).unwrap();
    assert_eq!(place.outcome().unwrap(), None);
    place.write_outcome(&TaskOutcome::Cancelled).unwrap();
    assert_eq!(place.outcome().unwrap(), Some(TaskOutcome::Cancelled));
}

#[tokio::test]
async fn what_the_farm_was_told_of_the_end_is_told_again_and_nothing_is_published_twice() {
    let run_dir = tempfile::tempdir().unwrap();
    let place = prepared(run_dir.path());
    place.write_outcome(&TaskOutcome::Succeeded { artifacts: Vec::new() }).unwrap();
    let host = || Host::new(order().attempt, place.clone(), run_dir.path().to_owned());
    let failed = TaskOutcome::Failed { failure: Failure::new(Fault::Farm, "the store is full") };
    assert_eq!(host().told(async || failed.clone()).await, failed);
    assert_eq!(host().told(async || panic!("published twice")).await, failed, "by the next daemon");
    assert!(matches!(place.outcome().unwrap(), Some(TaskOutcome::Succeeded { .. })), "of the process");
}

#[test]
fn what_went_in_reaches_whoever_publishes() {
    let run_dir = tempfile::tempdir().unwrap();
    let place = Place::of(run_dir.path(), order().attempt);
    let mut files = BundleFiles::default();
    let contents = b"x".to_vec().into();
    files.add("a.sh", kiln_proto::bundle::Entry::File { contents, executable: true }).unwrap();
    hosts(run_dir.path()).prepare(&place, order(), Some(files)).unwrap();
    let inputs = place.about().unwrap().inputs;
    assert_eq!(inputs.iter().map(|i| (&*i.name, i.size)).collect::<Vec<_>>(), [("a.sh", Some(1))]);
    assert_eq!(place.media().unwrap(), [], "an older kiln noted none");
    let iso = || kiln_component::Origin { name: "a.iso".into(), digest: None, size: Some(2) };
    place.write_media(vec![iso()]).unwrap();
    let media = place.media().unwrap();
    assert_eq!(media.iter().map(|m| (&*m.name, m.size)).collect::<Vec<_>>(), [("a.iso", Some(2))]);
    std::fs::write(place.directory().join("media.json"), "{}").unwrap();
    assert!(matches!(place.media(), Err(PlaceError::Damaged { .. })));
}

#[test]
fn the_longest_run_directory_leaves_room_for_sockets() {
    let run_dir = format!("/{}", "r".repeat(place::RUN_DIR_LIMIT - 1));
    let mut key = order().attempt;
    key.epoch = Epoch(u64::MAX);
    let place = Place::of(std::path::Path::new(&run_dir), key);
    assert!(std::os::unix::net::SocketAddr::from_pathname(place.socket()).is_ok());
    assert_eq!(place.socket().as_os_str().len(), 107);
}
