//! Against a real QEMU whose guest never starts.

use super::*;
use tokio::process::{Child, Command};

/// A QEMU with a stopped guest and a connection to it.
async fn qemu(extra: &[&str]) -> (tempfile::TempDir, Child, Qmp) {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("qmp");
    let listener = QmpListener::bind(&socket).expect("a socket");
    let child = Command::new("qemu-system-x86_64")
        .args(["-S", "-display", "none", "-machine", "pc,accel=tcg", "-m", "16", "-chardev"])
        .arg(format!("socket,id=kiln,path={}", socket.display()))
        .args(["-mon", "chardev=kiln,mode=control"])
        .args(extra)
        .kill_on_drop(true)
        .spawn()
        .expect("qemu-system-x86_64 starts; install qemu-system-x86");
    let qmp =
        timeout(Duration::from_secs(60), listener.accept()).await.expect("in time").expect("a connection");
    (directory, child, qmp)
}

#[tokio::test]
async fn a_stopped_guest_is_asked_shown_and_ended() {
    let screen = tempfile::tempdir().expect("a directory");
    let vnc = format!("unix:{},password=on", screen.path().join("vnc").display());
    let (directory, mut child, qmp) = qemu(&["-vnc", &vnc]).await;
    let status = qmp.status().await.expect("a status");
    assert_eq!((status.running, status.is_dead()), (false, false));
    qmp.set_vnc_password("sesame").await.expect("a password");
    let picture = directory.path().join("screen.png");
    qmp.screenshot(&picture).await.expect("a screenshot");
    assert!(std::fs::read(&picture).expect("a picture").starts_with(b"\x89PNG"));
    let mut events = qmp.events();
    qmp.run("cont", json!({})).await.expect("the guest starts");
    let resumed = timeout(Duration::from_secs(60), events.recv()).await.expect("in time").expect("an event");
    assert_eq!(resumed.name, "RESUME");
    qmp.quit().await.expect("an end");
    let status = timeout(Duration::from_secs(60), child.wait()).await.expect("in time").expect("an exit");
    assert!(status.success());
    assert!(matches!(qmp.status().await, Err(QmpError::Gone { .. })));
}

#[tokio::test]
async fn what_qemu_refuses_is_told_in_its_words() {
    let (_directory, _child, qmp) = qemu(&[]).await;
    let error = qmp.run("no-such-command", json!({})).await.expect_err("refused").to_string();
    assert!(error.contains("no-such-command") && error.contains("not been found"), "{error}");
    // The connection is still good.
    qmp.status().await.expect("a status");
}

#[tokio::test]
async fn an_abandoned_question_does_not_spoil_the_next() {
    let (_directory, _child, qmp) = qemu(&[]).await;
    for _ in 0..50 {
        let abandoned = timeout(Duration::ZERO, qmp.ask::<Value>("query-version", json!({}))).await;
        drop(abandoned);
        assert_eq!(qmp.status().await.expect("a status").status, "prelaunch");
    }
}
