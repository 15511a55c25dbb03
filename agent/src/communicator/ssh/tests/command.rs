//! Commands, and what becomes of them when the connection doesn't hold.

use std::time::{Duration, Instant};

use kiln_component::{Communicator, Exit};
use kiln_lang::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::communicator::ssh::RECONNECT_LIMIT;
use crate::communicator::testing::passwords::{Ask, PASSWORD, Passwords};
use crate::communicator::testing::sshd::{Sshd, connect};
use crate::communicator::testing::{bounded, finish, noise, run, ssh_config, until};

#[tokio::test]
async fn a_command_tells_its_output_its_errors_and_its_code() {
    let sshd = Sshd::start().await;
    let ssh = sshd.connect().await;
    let cases = [
        ("true", "", "", 0),
        ("echo out; echo err >&2; exit 3", "out\n", "err\n", 3),
        ("exit 255", "", "", 255),
        ("printf '%s' \"it's\"", "it's", "", 0),
        // Signals count from 128, whether the shell or the server tells them.
        ("kill -TERM $$", "", "", 143),
        ("kill -KILL $$", "", "", 137),
        ("kill -HUP $$", "", "", 129),
    ];
    for (command, out, err, code) in cases {
        let ran = bounded(run(&ssh, command)).await;
        assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.exit), (out, err, Exit::Code(code)), "{command}");
    }
}

#[tokio::test]
async fn large_streams_flow_in_all_directions_at_once() {
    let sshd = Sshd::start().await;
    let ssh = sshd.connect().await;
    let mut remote = ssh.start("tee /dev/stderr").await.unwrap();
    let content = noise(8 << 20);
    let mut stdin = remote.stdin.take().unwrap();
    let sent = content.clone();
    let feeding = tokio::spawn(async move {
        stdin.write_all(&sent).await.unwrap();
    });
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let both = async {
        let (a, b) = tokio::join!(remote.stdout.read_to_end(&mut out), remote.stderr.read_to_end(&mut err));
        a.and(b).unwrap();
        remote.exit.await.unwrap()
    };
    assert_eq!(bounded(both).await, Exit::Code(0));
    feeding.await.unwrap();
    assert!(out == content && err == content);
}

#[tokio::test]
async fn eight_commands_run_at_a_time_on_one_connection() {
    let sshd = Sshd::start().await;
    let ssh = sshd.connect().await;
    let meeting = tempfile::tempdir().unwrap();
    let many = (0..8).map(|i| {
        let (ssh, place) = (ssh.clone(), meeting.path().display());
        // Each waits for all others: one after the other, none would end.
        let command =
            format!("cd {place}; : >{i}; while [ $(ls | wc -l) -lt 8 ]; do sleep 0.05; done; echo {i}");
        async move { run(&ssh, &command).await.out }
    });
    let outputs = bounded(futures::future::join_all(many)).await;
    assert_eq!(outputs.concat(), "0\n1\n2\n3\n4\n5\n6\n7\n");
}

#[tokio::test]
async fn more_sessions_than_the_server_allows_get_a_second_connection() {
    let sshd = Sshd::with("MaxSessions 2").await;
    let ssh = sshd.connect().await;
    let many = (0..5).map(|_| {
        let ssh = ssh.clone();
        async move { run(&ssh, "sleep 0.5; echo $PPID").await }
    });
    let all = bounded(futures::future::join_all(many)).await;
    assert!(all.iter().all(|r| r.exit == Exit::Code(0)), "{all:?}");
    let mut servers: Vec<_> = all.iter().map(|r| r.out.clone()).collect();
    servers.sort();
    servers.dedup();
    assert!(servers.len() >= 2, "{servers:?}");
}

#[tokio::test]
async fn a_pty_is_given_when_the_template_asks_for_it() {
    let sshd = Sshd::start().await;
    assert_eq!(bounded(run(&sshd.connect().await, "test -t 1")).await.exit, Exit::Code(1));
    let ssh = connect(&sshd.target(ssh_config([("ssh_pty", Value::from(true))]))).await;
    let ran = bounded(run(&ssh, "test -t 1 && stty size && echo $TERM")).await;
    assert_eq!(ran.out.replace('\r', ""), "40 80\nxterm\n");
}

#[tokio::test]
async fn a_connection_that_vanishes_ends_its_command_as_disconnected() {
    let sshd = Sshd::start().await;
    let ssh = sshd.connect().await;
    let ran = bounded(run(&ssh, "echo before; kill -9 $PPID; sleep 60")).await;
    assert_eq!(ran.exit, Exit::Disconnected);
    assert_eq!(ran.exit.code(), 2_300_218);
    let ran = bounded(run(&ssh, "echo after")).await;
    assert_eq!((ran.out.as_str(), ran.exit), ("after\n", Exit::Code(0)), "the next command reconnects");
}

#[tokio::test]
async fn a_command_that_never_tells_its_code_counts_as_disconnected() {
    let server = Passwords::start(Ask::Password).await;
    let config = ssh_config([("ssh_password", Value::from(PASSWORD))]);
    let sshd = Sshd::stopped("");
    let mut target = sshd.target(config);
    target.guest = std::sync::Arc::new(server.address.clone());
    let ssh = connect(&target).await;
    assert_eq!(bounded(run(&ssh, "x")).await.exit, Exit::Code(7));
    assert_eq!(bounded(run(&ssh, "vanish")).await.exit, Exit::Disconnected);
}

#[tokio::test]
async fn a_command_after_a_reboot_waits_for_the_server_to_come_back() {
    let mut sshd = Sshd::start().await;
    let ssh = sshd.connect().await;
    sshd.stop();
    assert_eq!(bounded(run(&ssh, "kill -9 $PPID")).await.exit, Exit::Disconnected);
    let waiting = tokio::spawn({
        let ssh = ssh.clone();
        async move { run(&ssh, "echo back").await }
    });
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished(), "nobody listens yet");
    sshd.launch().await;
    assert_eq!(bounded(waiting).await.unwrap().out, "back\n");
    assert!(began.elapsed() < RECONNECT_LIMIT / 10);
}

#[tokio::test]
async fn a_dropped_command_is_hung_up() {
    let sshd = Sshd::start().await;
    let ssh = sshd.connect().await;
    // Not for a signal, which sshd passes on to some users alone, but for its streams.
    let mut remote = ssh.start("echo $$; exec cat").await.unwrap();
    let mut pid = [0; 16];
    let n = bounded(remote.stdout.read(&mut pid)).await.unwrap();
    let pid = String::from_utf8_lossy(&pid[..n]).trim().to_owned();
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    assert!(process.exists());
    drop(remote);
    until("the command is gone", async || !process.exists()).await;
    assert_eq!(bounded(run(&ssh, "echo on")).await.out, "on\n", "the connection goes on");
}

#[tokio::test]
async fn outputs_may_be_dropped_one_by_one_without_harm_to_the_command() {
    let sshd = Sshd::start().await;
    let ssh = sshd.connect().await;
    let mut remote = ssh.start("head -c 4000000 /dev/zero; echo err >&2; exit 4").await.unwrap();
    remote.stdout = Box::new(tokio::io::empty());
    remote.stdin = None;
    let ran = bounded(finish(remote)).await;
    // A login shell may have words of its own before the command's.
    assert!(ran.err.ends_with("err\n"), "{}", ran.err);
    assert_eq!(ran.exit, Exit::Code(4));
}

#[tokio::test]
async fn writing_to_a_command_on_a_dead_connection_fails_instead_of_hanging() {
    let sshd = Sshd::start().await;
    let ssh = sshd.connect().await;
    let mut remote = ssh.start("echo $PPID; sleep 60").await.unwrap();
    let mut pid = [0; 16];
    let n = bounded(remote.stdout.read(&mut pid)).await.unwrap();
    let pid: i32 = String::from_utf8_lossy(&pid[..n]).trim().parse().unwrap();
    let mut stdin = remote.stdin.take().unwrap();
    let feeding = tokio::spawn(async move { stdin.write_all(&vec![0; 64 << 20]).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    if feeding.is_finished() {
        panic!("the window should be full: {:?}", feeding.await);
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert!(bounded(feeding).await.unwrap().is_err());
}

#[tokio::test]
async fn a_read_write_timeout_gives_up_a_server_that_stands_still() {
    let sshd = Sshd::start().await;
    let config = ssh_config([
        ("ssh_read_write_timeout", Value::from("700ms")),
        ("ssh_keep_alive_interval", Value::from("-1s")),
    ]);
    let ssh = connect(&sshd.target(config)).await;
    assert_eq!(bounded(run(&ssh, "sleep 600")).await.exit, Exit::Disconnected);
}

#[tokio::test]
async fn keepalives_hold_a_silent_connection_under_a_read_write_timeout() {
    let sshd = Sshd::start().await;
    let config = ssh_config([
        ("ssh_read_write_timeout", Value::from("900ms")),
        ("ssh_keep_alive_interval", Value::from("200ms")),
    ]);
    let ssh = connect(&sshd.target(config)).await;
    assert_eq!(bounded(run(&ssh, "sleep 2; echo done")).await.out, "done\n");
}

#[tokio::test]
async fn a_closed_communicator_says_so() {
    let sshd = Sshd::start().await;
    let ssh = sshd.connect().await;
    let running = ssh.start("sleep 60").await.unwrap();
    ssh.close().await;
    assert_eq!(bounded(finish(running)).await.exit, Exit::Disconnected);
    let error = ssh.start("true").await.unwrap_err();
    let text = kiln_plan::fault::chain(&error);
    assert_eq!(text, "cannot reach the guest while trying to start a command: the connection was closed");
}
