//! The ledger with one voter: what is proposed is applied, together where it can be, and survives.

use kiln_model::{NewTask, Offer, Refusal, invariant};
use kiln_plan::Requirements;
use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::id::{AgentId, BuildId, TaskId};
use uuid::Uuid;

use super::*;

fn build(n: u128) -> BuildId {
    BuildId::new(Uuid::from_u128(n))
}

fn submit(n: u128, tasks: u128, name: &str) -> Action {
    let task = |t| NewTask {
        id: TaskId::new(Uuid::from_u128(n * 10_000 + t)),
        name: format!("{name}.{t}"),
        plan: Fingerprint::of_bytes(b"plan"),
        requirements: Requirements::default(),
    };
    Action::Submit {
        build: build(n),
        parallel: None,
        tasks: (0..tasks).map(task).collect(),
        origin: <_>::default(),
        join: false,
    }
}

fn connect(n: u128) -> Action {
    Action::Connect { agent: AgentId::new(Uuid::from_u128(n)), name: "a".into(), offer: Offer::default() }
}

async fn open(storage: &Storage) -> (Ledger, TaskTracker) {
    let tasks = TaskTracker::new();
    let ledger = open_as(storage, &ClusterSettings::alone(), &tasks).await.unwrap();
    (ledger, tasks)
}

async fn open_as(
    storage: &Storage,
    cluster: &ClusterSettings,
    tasks: &TaskTracker,
) -> Result<Ledger, OpenLedgerError> {
    let (dial, clock) = (Arc::new(NoPeers), Clock::start());
    Ledger::open(Surroundings { storage, cluster, dial, clock, tasks }).await
}

#[tokio::test]
async fn a_single_voter_leads_at_once_and_applies_what_is_proposed() {
    let (ledger, _tasks) = open(&Storage::Memory).await;
    assert!(ledger.leads());
    let before = *ledger.changes().borrow();
    assert_eq!(ledger.propose(submit(1, 3, "null")).await, Ok(Outcome::Done));
    assert_eq!(ledger.read(|farm| farm.tasks().len()), 3);
    assert!(*ledger.changes().borrow() > before);
    let again = ledger.propose(submit(1, 3, "null")).await;
    assert_eq!(again, Ok(Outcome::Refused(Refusal::DuplicateBuild(build(1)))));
}

#[tokio::test]
async fn commands_that_are_proposed_together_share_few_entries() {
    let (ledger, _tasks) = open(&Storage::Memory).await;
    let before = *ledger.changes().borrow();
    let outcomes = ledger.propose_all((0..300).map(connect).collect()).await.unwrap();
    assert_eq!(outcomes, vec![Outcome::Done; 300]);
    let entries = *ledger.changes().borrow() - before;
    assert!(entries <= 5, "300 commands took {entries} entries");
}

#[tokio::test]
async fn a_large_batch_is_split_and_a_command_beyond_the_limit_is_refused() {
    let (ledger, _tasks) = open(&Storage::Memory).await;
    let before = *ledger.changes().borrow();
    let long = "x".repeat(40 << 10);
    ledger.propose_all(vec![submit(1, 1, &long), submit(2, 1, &long), submit(3, 1, &long)]).await.unwrap();
    assert!(*ledger.changes().borrow() - before >= 3, "each has an entry of its own");
    let error = ledger.propose(submit(4, 2, &"x".repeat(600 << 10))).await.unwrap_err();
    assert!(matches!(error, ProposeError::TooLarge { .. }), "{error}");
    assert_eq!(ledger.propose(submit(4, 1, "null")).await, Ok(Outcome::Done), "it goes on");
}

#[tokio::test]
async fn what_was_applied_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().join("ledger"));
    let (ledger, tasks) = open(&storage).await;
    ledger.propose_all((1..20).map(|n| submit(n, 5, "null")).collect()).await.unwrap();
    let before = ledger.read(Clone::clone);
    close(ledger, tasks).await;
    let (ledger, tasks) = open(&storage).await;
    assert_eq!(ledger.read(Clone::clone), before);
    assert_eq!(ledger.propose(submit(99, 1, "null")).await, Ok(Outcome::Done));
    close(ledger, tasks).await;
}

#[tokio::test]
async fn a_snapshot_replaces_the_log_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().to_owned());
    let (ledger, tasks) = open(&storage).await;
    for n in 1..8 {
        ledger.propose(submit(n, 2, "null")).await.unwrap();
    }
    ledger.raft.trigger().snapshot().await.unwrap();
    let wait = || ledger.raft.wait(Some(OPENING_LIMIT));
    let index = *ledger.changes().borrow();
    wait().metrics(|m| m.snapshot.is_some_and(|s| s.index >= index), "a snapshot").await.unwrap();
    ledger.raft.trigger().purge_log(index).await.unwrap();
    wait().metrics(|m| m.purged.is_some_and(|p| p.index >= index), "purged").await.unwrap();
    ledger.propose(submit(9, 1, "null")).await.unwrap();
    let before = ledger.read(Clone::clone);
    close(ledger, tasks).await;
    let (ledger, tasks) = open(&storage).await;
    assert_eq!(ledger.read(Clone::clone), before);
    assert_eq!(ledger.read(invariant::check), Ok(()));
    close(ledger, tasks).await;
}

#[tokio::test]
async fn a_ledger_stays_with_the_voter_whose_promises_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().to_owned());
    let (ledger, tasks) = open(&storage).await;
    close(ledger, tasks).await;
    let other = ClusterSettings { id: 2, ..ClusterSettings::alone() };
    let error = open_as(&storage, &other, &TaskTracker::new()).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "this is the ledger of coordinator 1, not of 2; a coordinator keeps its number for good"
    );
}

#[tokio::test]
async fn a_lone_voter_may_move_and_is_its_only_member() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().to_owned());
    let (ledger, tasks) = open(&storage).await;
    close(ledger, tasks).await;
    let moved = ClusterSettings { address: "there:7777".into(), ..ClusterSettings::alone() };
    let tasks = TaskTracker::new();
    let ledger = open_as(&storage, &moved, &tasks).await.unwrap();
    let expected = Member { id: 1, address: "there:7777".into(), votes: true, leads: true, lag: None };
    let members = ledger.members();
    assert_eq!(members.iter().map(|m| Member { lag: None, ..m.clone() }).collect::<Vec<_>>(), [expected]);
    let error = ledger.remove_voter(1).await.unwrap_err();
    assert_eq!(error.to_string(), "coordinator 1 is the only voter; add another before you remove it");
    close(ledger, tasks).await;
}

/// A disk that is full from some moment on.
#[derive(Debug, Default)]
struct Disk {
    bytes: redb::backends::InMemoryBackend,
    full: Arc<std::sync::atomic::AtomicBool>,
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        self.bytes.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.bytes.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.bytes.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.bytes.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        if self.full.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.bytes.write(offset, data)
    }
}

#[tokio::test]
async fn a_ledger_whose_disk_is_full_fails_for_good_and_says_so() {
    let (disk, tasks) = (Disk::default(), TaskTracker::new());
    let full = Arc::clone(&disk.full);
    let (dial, clock) = (Arc::new(NoPeers), Clock::start());
    let cluster = ClusterSettings::alone();
    let around = Surroundings { storage: &Storage::Memory, cluster: &cluster, dial, clock, tasks: &tasks };
    let ledger = Ledger::open_over(Store::over(disk).unwrap(), around).await.unwrap();
    assert_eq!(ledger.propose(submit(1, 1, "null")).await, Ok(Outcome::Done));
    full.store(true, std::sync::atomic::Ordering::Relaxed);
    let failed = tokio::time::timeout(OPENING_LIMIT, async {
        let refused = ledger.propose(submit(2, 1, "null")).await.unwrap_err();
        (refused, ledger.failed().await)
    });
    let (refused, failure) = failed.await.unwrap();
    assert!(matches!(refused, ProposeError::Stopped | ProposeError::Interrupted), "{refused}");
    assert!(failure.to_string().contains("mend its disk and start it again"), "{failure}");
    full.store(false, std::sync::atomic::Ordering::Relaxed);
    assert!(ledger.propose(submit(3, 1, "null")).await.is_err(), "it does not go on as if nothing had been");
    assert!(!ledger.leads());
    assert_eq!(ledger.read(|farm| farm.builds().len()), 1);
}

/// Entries of format 1, as this version and all later ones must read them.
#[test]
fn an_entry_of_format_1_is_read() {
    let body = concat!(
        r#"{"log_id":{"leader_id":{"term":1,"node_id":1},"index":2},"payload":{"Normal":{"commands":[{"#,
        r#""at":1700000000000,"action":{"Cancel":{"build":"0190163d-8694-739b-aea5-966c26f8ad90"}}}]}}}"#
    );
    let record = kiln_proto::rest::seal(1, body.as_bytes().to_vec());
    let entry: types::Entry = codec::decode("log entry", &record).unwrap();
    assert_eq!(codec::encode(&entry), record, "what is written today looks the same");
    let error =
        codec::decode::<types::Entry>("log entry", &kiln_proto::rest::seal(2, body.as_bytes().to_vec()));
    let told = kiln_plan::fault::chain(&error.unwrap_err());
    assert!(told.ends_with("this version reads up to 1; use a newer kiln"), "{told}");
}

/// Waits until the database is free: the proposer holds it until every ledger is dropped.
async fn close(ledger: Ledger, tasks: TaskTracker) {
    ledger.stop().await;
    drop(ledger);
    tasks.close();
    tasks.wait().await;
}
