//! Waiting for guests of every kind: late, silent, hostile, gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kiln_component::{Step, TaskContext};
use kiln_lang::Value;
use kiln_plan::{Failure, Fault};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;
use crate::communicator::guest::NoAddress;
use crate::communicator::testing::passwords::{Ask, PASSWORD, Passwords};
use crate::communicator::testing::sshd::Sshd;
use crate::communicator::testing::{bounded, run, ssh_config};
use crate::test_task::{self, TestTask};

/// A hasty pace, to see in a second what takes a minute.
fn hasty() -> Pace {
    let ms = Duration::from_millis;
    Pace {
        first: ms(20),
        longest: ms(50),
        after_refusal: ms(50),
        refusal_counts_for: ms(100),
        banner: ms(200),
        longest_banner: ms(300),
    }
}

fn step<'a>(
    guest: impl Guest + 'static,
    given: impl IntoIterator<Item = (&'a str, Value)>,
) -> (Connect, TestTask) {
    let config = CommunicatorConfig::Ssh(Box::new(ssh_config(given)));
    let connect = Connect {
        pace: hasty(),
        agent: AgentSocket::default(),
        ..Connect::new(config, None, Arc::new(guest))
    };
    (connect, test_task::task())
}

async fn failure(connect: &Connect, cx: &TaskContext) -> Failure {
    bounded(connect.run(cx)).await.map(|_| ()).expect_err("it should have failed")
}

#[tokio::test]
async fn a_guest_that_comes_up_late_is_found_soon_after() {
    let mut sshd = Sshd::stopped("Subsystem sftp internal-sftp");
    let (mut connect, task) = step(sshd.address(), []);
    connect.key = Some(sshd.key.clone());
    connect.pace = Pace::default();
    let cx = task.cx.clone();
    let waiting = tokio::spawn(async move {
        let done = connect.run(&cx).await.unwrap();
        (done, Instant::now(), cx)
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!waiting.is_finished());
    sshd.launch().await;
    let up = Instant::now();
    let (done, found, cx) = bounded(waiting).await.unwrap();
    assert!(found - up < Duration::from_secs(4), "{:?}", found - up);
    let Connected { communicator, generated, address } = done.output;
    assert_eq!(bounded(run(&*communicator, "echo hi")).await.out, "hi\n");
    assert_eq!(address, Some(sshd.address()));
    assert_eq!(generated.text("Host").as_deref(), Some("127.0.0.1"));
    assert_eq!(generated.text("Port"), Some(sshd.port.to_string()));
    assert_eq!(generated.text("ConnType").as_deref(), Some("ssh"));
    assert_eq!(generated.text("SSHPublicKey").as_deref(), Some(sshd.key.public_line()));
    assert!(generated.values["SSHPrivateKey"].sensitive);
    let said = task.heard.words();
    let expected = [
        "Using SSH communicator to connect: 127.0.0.1",
        "Waiting for SSH to become available...",
        "Connected to SSH!",
    ];
    assert_eq!(said, expected);
    done.undo.unwrap().undo(&cx, Ending::Succeeded).await;
    assert!(communicator.start("true").await.is_err(), "undo hangs up");
}

/// As QEMU's user network does while the guest's own isn't up yet.
#[tokio::test]
async fn a_call_that_is_never_delivered_holds_nothing_up() {
    let sshd = Sshd::start().await;
    let network = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = network.local_addr().unwrap().port();
    let to = sshd.port;
    tokio::spawn(async move {
        let _lost = network.accept().await.unwrap();
        while let Ok((mut call, _)) = network.accept().await {
            let mut answer = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut call, &mut answer).await });
        }
    });
    let (mut connect, task) = step(Address::new("127.0.0.1", port), []);
    connect.key = Some(sshd.key.clone());
    let for_ever = Duration::from_hours(1);
    connect.pace = Pace { banner: for_ever, longest_banner: for_ever, ..Pace::default() };
    let done = bounded(connect.run(&task.cx)).await.unwrap();
    assert_eq!(bounded(run(&*done.output.communicator, "echo hi")).await.out, "hi\n");
}

#[tokio::test]
async fn a_timeout_tells_what_was_met() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let (connect, task) = step(Address::new("127.0.0.1", port), [("ssh_timeout", Value::from("900ms"))]);
    let failure = failure(&connect, &task.cx).await;
    assert_eq!(failure.fault, Fault::Guest);
    let expected = format!(
        "Timeout waiting for SSH after 0.900s: TCP connected to 127.0.0.1:{port}, but no SSH banner came: it said \
         nothing for 0 s"
    );
    assert_eq!(failure.message, expected);
    assert!(failure.hint.unwrap().contains("look at its screen"));
    assert_eq!(failure.evidence.len(), 1);
    assert!(
        failure.evidence[0].starts_with("second 0 to 0: connected, but silent "),
        "{:?}",
        failure.evidence
    );
}

#[tokio::test]
async fn each_kind_of_obstacle_is_named() {
    let closed = crate::communicator::testing::sshd::free_port();
    let hanging_up = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs_up = hanging_up.local_addr().unwrap().port();
    tokio::spawn(async move { while hanging_up.accept().await.is_ok() {} });
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web_port = web.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = web.accept().await {
            let _ =
                tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let cases = [
        (closed, "Connection refused"),
        (hangs_up, "it hung up at once"),
        (web_port, "answers as \"HTTP/1.1 400 Bad Request\", but the key exchange failed"),
    ];
    for (port, expected) in cases {
        let (connect, task) = step(Address::new("127.0.0.1", port), [("ssh_timeout", Value::from("500ms"))]);
        let message = failure(&connect, &task.cx).await.message;
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn refused_logins_are_counted_at_packers_pace() {
    let server = Passwords::start(Ask::Password).await;
    let given = [("ssh_handshake_attempts", Value::from(5)), ("ssh_password", Value::from("wrong"))];
    let (connect, task) = step(server.address.clone(), given);
    let began = Instant::now();
    let failure = failure(&connect, &task.cx).await;
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    let refused = server.refused.load(std::sync::atomic::Ordering::Relaxed);
    assert!(refused >= 5, "tried more often than counted: {refused}");
    assert!(failure.message.contains("logins over SSH: authentication failed as"), "{}", failure.message);
    assert!(failure.message.ends_with("tried: password"), "{}", failure.message);
    assert!(failure.hint.unwrap().contains("cloud-init"));
}

#[tokio::test]
async fn one_allowed_attempt_is_one_attempt() {
    let server = Passwords::start(Ask::Password).await;
    let given = [("ssh_handshake_attempts", Value::from(1)), ("ssh_password", Value::from("wrong"))];
    let (connect, task) = step(server.address.clone(), given);
    failure(&connect, &task.cx).await;
    assert_eq!(server.refused.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[derive(Debug)]
struct Fading(Arc<Notify>);

#[async_trait]
impl Guest for Fading {
    async fn address(&self) -> Result<Address, NoAddress> {
        Err(NoAddress("no lease".to_owned()))
    }

    async fn gone(&self) -> String {
        self.0.notified().await;
        "QEMU exited with code 1".to_owned()
    }
}

#[tokio::test]
async fn a_guest_that_goes_away_ends_the_wait_at_once() {
    let notify = Arc::new(Notify::new());
    let (connect, task) = step(Fading(notify.clone()), []);
    let cx = task.cx.clone();
    let waiting = tokio::spawn(async move { connect.run(&cx).await.map(|_| ()).unwrap_err() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    notify.notify_one();
    let failure = bounded(waiting).await.unwrap();
    assert!(failure.message.contains("QEMU exited with code 1"), "{}", failure.message);
    assert!(failure.message.ends_with("the guest has no address yet: no lease"), "{}", failure.message);
    assert_eq!(task.heard.words(), ["Waiting for SSH to become available..."], "no address, no name to show");
}

#[tokio::test]
async fn cancellation_ends_the_wait_at_once() {
    let (connect, task) = step(Fading(Arc::default()), []);
    let cancel = task.cx.cancel.clone();
    let cx = task.cx.clone();
    let waiting = tokio::spawn(async move { connect.run(&cx).await.map(|_| ()).unwrap_err() });
    tokio::time::sleep(Duration::from_millis(100)).await;
    cancel.cancel();
    assert!(bounded(waiting).await.unwrap().cancelled);
}

#[tokio::test]
async fn a_pause_before_connecting_connects_twice() {
    let server = Passwords::start(Ask::Password).await;
    let given = [("pause_before_connecting", Value::from("300ms")), ("ssh_password", Value::from(PASSWORD))];
    let (connect, task) = step(server.address.clone(), given);
    let began = Instant::now();
    let done = bounded(connect.run(&task.cx)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(task.heard.words().iter().filter(|l| *l == "Connected to SSH!").count(), 2);
    assert!(task.heard.words().contains(&"Pausing 0.300s before connecting anew...".to_owned()));
    assert_eq!(done.output.generated.text("Password").as_deref(), Some(PASSWORD));
    assert!(done.output.generated.values["Password"].sensitive);
}

#[tokio::test]
async fn without_a_communicator_nothing_is_waited_for_and_nothing_told() {
    let task = test_task::task();
    let connect = Connect::new(CommunicatorConfig::None, None, Arc::new(Fading(Arc::default())));
    let done = bounded(connect.run(&task.cx)).await.unwrap();
    assert_eq!(done.output.generated, GeneratedData::default());
    assert!(done.output.address.is_none() && task.heard.words().is_empty());
}
