//! Against the real scp, started as a child: no SSH is needed for that.

use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::*;

fn scp(arguments: &[&str], path: &Path) -> Child {
    Command::new("scp")
        .args(arguments)
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("scp of the package openssh-client is installed")
}

async fn sink_of(child: &mut Child, target: Target) -> Result<u64, ScpError> {
    Sink::new(child.stdout.take().unwrap(), child.stdin.take().unwrap()).receive(&target).await
}

#[tokio::test]
async fn what_a_real_sink_receives_is_what_was_sent() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = scp(&["-r", "-t"], dir.path());
    let mut source = Source::start(child.stdout.take().unwrap(), child.stdin.take().unwrap()).await.unwrap();
    let header = |name, size, mode| Header { name, size, mode };
    source.file(header(b"one", 3, 0o640), &mut &b"abc"[..]).await.unwrap();
    source.enter(b"inner dir", 0o755).await.unwrap();
    source.file(header("ü x".as_bytes(), 0, 0o755), &mut &b""[..]).await.unwrap();
    source.leave().await.unwrap();
    source.file(header(b"two", 2, 0o600), &mut &b"xy and more"[..]).await.unwrap();
    source.finish().await.unwrap();
    assert!(child.wait().await.unwrap().success());
    assert_eq!(std::fs::read(dir.path().join("one")).unwrap(), b"abc");
    assert_eq!(std::fs::read(dir.path().join("two")).unwrap(), b"xy");
    assert_eq!(std::fs::read(dir.path().join("inner dir/ü x")).unwrap(), b"");
}

#[tokio::test]
async fn a_refusal_carries_the_words_of_the_other_side() {
    let mut child = scp(&["-d", "-t"], Path::new("/nonexistent/dir"));
    let error = Source::start(child.stdout.take().unwrap(), child.stdin.take().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/dir"), "{error}");
}

#[tokio::test]
async fn a_file_that_shrinks_is_told_to_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = scp(&["-t"], dir.path());
    let mut source = Source::start(child.stdout.take().unwrap(), child.stdin.take().unwrap()).await.unwrap();
    let header = Header { name: b"x", size: 10, mode: 0o644 };
    let error = source.file(header, &mut &b"abc"[..]).await.unwrap_err();
    assert!(matches!(error, ScpError::Local { .. }), "{error}");
    source.finish().await.unwrap();
    assert!(!child.wait().await.unwrap().success(), "the sink knows");
}

#[tokio::test]
async fn a_directory_comes_from_a_real_source_with_its_modes() {
    use std::os::unix::fs::PermissionsExt;
    let from = tempfile::tempdir().unwrap();
    let to = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(from.path().join("d/e")).unwrap();
    std::fs::write(from.path().join("d/e/script"), "x").unwrap();
    std::fs::set_permissions(from.path().join("d/e/script"), PermissionsExt::from_mode(0o4755)).unwrap();
    let mut child = scp(&["-r", "-f"], &from.path().join("d"));
    assert_eq!(sink_of(&mut child, Target::Directory(to.path().to_owned())).await.unwrap(), 1);
    let mode = std::fs::metadata(to.path().join("d/e/script")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755, "the set-user-id bit is dropped");
}

#[tokio::test]
async fn a_missing_file_of_a_real_source_is_a_refusal() {
    let mut child = scp(&["-f"], Path::new("/nonexistent"));
    let error = sink_of(&mut child, Target::File("/dev/null".into())).await.unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[tokio::test]
async fn a_hostile_source_cannot_leave_the_target() {
    let names = ["../evil", "..", ".", "a/b", ""];
    for name in names {
        let dir = tempfile::tempdir().unwrap();
        for letter in ['C', 'D'] {
            let text = format!("{letter}0644 0 {name}\n");
            let sink = Sink::new(text.as_bytes(), tokio::io::sink());
            let error = sink.receive(&Target::Directory(dir.path().to_owned())).await.unwrap_err();
            assert!(matches!(error, ScpError::Name(_)), "{name:?}: {error}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn other_text_than_the_protocol_is_shown_readably() {
    let text = b"Welcome \x1b[31mhome\n";
    let error = Source::start(&text[..], tokio::io::sink()).await.unwrap_err();
    assert!(error.to_string().contains("Welcome \u{fffd}[31mhome"), "{error}");
    let sink = Sink::new(&text[..], tokio::io::sink());
    assert!(matches!(sink.receive(&Target::File("/dev/null".into())).await, Err(ScpError::Garbage(_))));
}
