use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::process::Program;

/// Not a test of its own: what the owner in the test below does until it is killed.
#[test]
fn an_owner_that_is_to_be_killed() {
    let Ok(directory) = std::env::var("KILN_TEST_RUN_DIRECTORY") else { return };
    let directory = PathBuf::from(directory);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let journal = Journal::open(&directory.join("run"), "attempt").unwrap();
        let scratch = crate::scratch::Scratch::make(&directory.join("run/attempt"), &journal).unwrap();
        fs::write(scratch.path().join("overlay"), "x").unwrap();
        let output = journal.intend(Intent::directory(directory.join("output"))).unwrap();
        fs::create_dir_all(directory.join("output/deep")).unwrap();
        let kept = journal.intend(Intent::directory(directory.join("kept"))).unwrap();
        fs::create_dir_all(directory.join("kept")).unwrap();
        kept.clear();
        let script = "trap '' HUP; setsid sleep 611 & echo $!; echo $$; wait";
        let program = Program::new("/bin/sh").arg("-c").arg(script);
        let never = CancellationToken::new();
        program.run(&journal, &never, |_, line| eprintln!("pid {line}")).await.unwrap();
        output.clear();
    });
}

fn owner(directory: &Path) -> (std::process::Child, Vec<ProcessId>) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal::tests::an_owner_that_is_to_be_killed", "--nocapture"])
        .env("KILN_TEST_RUN_DIRECTORY", directory)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stderr.take().unwrap()).lines();
    let pids = lines.map_while(Result::ok).filter_map(|l| l.strip_prefix("pid ")?.parse().ok());
    let processes = pids.take(2).map(|pid| ProcessId::of(pid).unwrap()).collect();
    (owner, processes)
}

#[tokio::test]
async fn what_a_killed_owner_left_is_removed_and_told() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    let (mut owner, processes) = owner(root.path());

    assert_eq!(Journal::recover(&run).await.unwrap(), [], "a living owner's things are not touched");
    assert!(processes.iter().all(|p| p.is_alive()));
    owner.kill().unwrap();
    owner.wait().unwrap();

    let mut told: Vec<_> = Journal::recover(&run).await.unwrap().iter().map(Recovered::to_string).collect();
    told.sort();
    let at = |p: &str| root.path().join(p).display().to_string();
    let expected = [
        format!("removed the directory {}", at("output")),
        format!("removed the directory {}", at("run/attempt")),
        r#"stopped the process "sh""#.to_owned(),
    ];
    assert_eq!(told, expected);
    assert!(processes.iter().all(|p| !p.is_alive()));
    assert!(!root.path().join("output").exists() && !run.join("attempt").exists());
    assert!(root.path().join("kept").exists(), "a cleared intent is nobody's any more");
    assert!(!run.join("attempt.journal").exists());
    assert_eq!(Journal::recover(&run).await.unwrap(), []);
}

#[tokio::test]
async fn a_process_number_that_was_used_again_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let mut stranger = Command::new("sleep").arg("612").spawn().unwrap();
    let pid = i32::try_from(stranger.id()).unwrap();
    let process = ProcessId { started: ProcessId::of(pid).unwrap().started - 1, pid };
    let lines = [
        Line::head(),
        Line::Intended { id: 0, intent: Intent::Process { program: "qemu".into() } },
        Line::Started { id: 0, process },
    ];
    let text: String = lines.iter().map(Line::text).collect();
    fs::write(root.path().join("dead.journal"), text).unwrap();
    assert_eq!(Journal::recover(root.path()).await.unwrap(), []);
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn closing_takes_back_what_was_forgotten() {
    let root = tempfile::tempdir().unwrap();
    let journal = Journal::open(&root.path().join("run"), "a").unwrap();
    let socket = root.path().join("socket");
    fs::write(&socket, "").unwrap();
    let _forgotten = journal.intend(Intent::file(&socket)).unwrap();
    let never_made = journal.intend(Intent::directory(root.path().join("never-made"))).unwrap();
    let told: Vec<_> = journal.close().await.iter().map(Recovered::to_string).collect();
    assert_eq!(told, [format!("removed the file {}", socket.display())]);
    drop(never_made);
    assert_eq!(fs::read_dir(root.path().join("run")).unwrap().count(), 1, "only the gate is left");
}

#[tokio::test]
async fn what_cannot_be_removed_stays_in_the_journal() {
    let root = tempfile::tempdir().unwrap();
    let intent = Intent::directory("/");
    let text = Line::head().text() + &Line::Intended { id: 0, intent }.text();
    fs::write(root.path().join("dead.journal"), text).unwrap();
    let told = Journal::recover(root.path()).await.unwrap();
    assert!(matches!(told[0].outcome, Outcome::Failed(_)), "{told:?}");
    assert!(root.path().join("dead.journal").exists());
}

#[tokio::test]
async fn a_directory_that_is_not_there_has_nothing_to_recover() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(Journal::recover(&root.path().join("none")).await.unwrap(), []);
}
