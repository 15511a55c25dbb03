use std::time::{Duration, Instant};

use super::*;
use crate::process::table::ProcessId;

fn shell(script: &str) -> Program {
    Program::new("/bin/sh").arg("-c").arg(script)
}

async fn run(program: Program) -> (Result<Finished, ProcessError>, Vec<(Stream, String)>) {
    let mut lines = Vec::new();
    let journal = Journal::in_memory();
    let finished =
        program.run(&journal, &CancellationToken::new(), |s, l| lines.push((s, l.to_owned()))).await;
    for left in journal.close().await {
        lines.push((Stream::Stderr, left.to_string()));
    }
    (finished, lines)
}

fn finished(exit: ProcessExit) -> Finished {
    Finished { exit, leaked: false }
}

#[tokio::test]
async fn both_voices_and_the_exit_code_are_told() {
    let (end, mut lines) = run(shell("echo out; echo err >&2; printf 'no newline'; exit 3")).await;
    assert_eq!(end.unwrap(), finished(ProcessExit::Code(3)));
    lines.sort_by_key(|(s, _)| *s == Stream::Stderr);
    let out = |t: &str| (Stream::Stdout, t.to_owned());
    assert_eq!(lines, [out("out"), out("no newline"), (Stream::Stderr, "err".into())]);
}

#[tokio::test]
async fn a_signal_is_no_exit_code() {
    let (end, _) = run(shell("kill -9 $$")).await;
    let exit = end.unwrap().exit;
    assert_eq!((exit, exit.code()), (ProcessExit::Signal(9), 137));
    assert_eq!(exit.to_string(), "signal 9 (SIGKILL)");
}

#[tokio::test]
async fn standard_input_is_fed_and_closed() {
    let big = vec![b'x'; 1 << 20];
    let output = Program::new("cat").stdin(big.clone());
    let output = output.output(&Journal::in_memory(), &CancellationToken::new()).await.unwrap();
    assert_eq!(output.stdout, big);
    // A program that doesn't read its input is no failure.
    let (end, _) = run(shell("exit 0").stdin(big)).await;
    assert_eq!(end.unwrap(), finished(ProcessExit::Code(0)));
}

#[tokio::test]
async fn a_failure_tells_the_programs_last_words() {
    let output = shell("echo one >&2; echo two >&2; exit 4");
    let output = output.output(&Journal::in_memory(), &CancellationToken::new()).await.unwrap();
    let error = output.require_success().unwrap_err();
    assert_eq!(error.to_string(), r#"the program "sh" ended with exit code 4: one; two"#);
}

#[tokio::test]
async fn a_missing_program_says_what_to_install() {
    let (end, _) = run(Program::new("no-such-program").install("the package nothing")).await;
    let text = end.unwrap_err().to_string();
    assert_eq!(text, r#"cannot find the program "no-such-program"; install the package nothing"#);
    let (end, _) = run(shell("true").directory("/no/such/directory")).await;
    assert!(matches!(end, Err(ProcessError::Start { .. })), "{end:?}");
}

#[tokio::test]
async fn cancellation_ends_the_whole_group_politely() {
    let journal = Journal::in_memory();
    let cancel = CancellationToken::new();
    let mut pids = Vec::new();
    let script = "trap 'echo bye; exit 0' TERM; sleep 600 & echo $!; echo $$; while :; do wait; done";
    let result = shell(script)
        .run(&journal, &cancel, |_, line| match line.parse::<i32>() {
            Ok(pid) => {
                pids.push(ProcessId::of(pid).unwrap());
                if pids.len() == 2 {
                    cancel.cancel();
                }
            }
            Err(_) => assert_eq!(line, "bye"),
        })
        .await;
    assert!(matches!(result, Err(ProcessError::Cancelled { .. })), "{result:?}");
    assert_eq!(pids.len(), 2);
    assert!(journal.close().await.is_empty());
    assert!(pids.iter().all(|p| !p.is_alive()));
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed_after_its_grace() {
    let journal = Journal::in_memory();
    let cancel = CancellationToken::new();
    let begun = Instant::now();
    let program =
        shell("trap '' TERM; echo ready; while :; do sleep 600; done").grace(Duration::from_millis(200));
    let result = program.run(&journal, &cancel, |_, _| cancel.cancel()).await;
    assert!(matches!(result, Err(ProcessError::Cancelled { .. })), "{result:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(journal.close().await.is_empty());
}

#[tokio::test]
async fn what_a_program_leaves_behind_is_noticed_and_goes_with_the_attempt() {
    // One holds the output open; the other has closed it and left the process group. The shell ends while they are
    // becoming what they are.
    for script in ["sleep 601 & exit 0", "setsid sleep 602 >/dev/null 2>&1 & exit 0"] {
        let begun = Instant::now();
        let (end, lines) = run(shell(script)).await;
        assert_eq!(end.unwrap(), Finished { exit: ProcessExit::Code(0), leaked: true }, "{script}");
        assert_eq!(lines, [(Stream::Stderr, r#"stopped the process "sh""#.to_owned())], "{script}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{script}");
    }
}

#[tokio::test]
async fn dropping_a_child_kills_its_group() {
    let journal = Journal::in_memory();
    let child = shell("sleep 603 & sleep 604").spawn(&journal).unwrap();
    let process = ProcessId::of(child.pid() as i32).unwrap();
    drop(child);
    journal.close().await;
    assert!(!process.is_alive());
}

#[tokio::test]
async fn a_dropped_child_lives_on_when_everything_is_left() {
    let journal = Journal::in_memory();
    let mut child = shell("read x").piped_stdin().spawn(&journal).unwrap();
    let process = ProcessId::of(child.pid() as i32).unwrap();
    let stdin = child.take_stdin();
    journal.leave_everything();
    drop(child);
    assert!(journal.close().await.is_empty());
    assert!(process.is_alive());
    drop(stdin);
}
