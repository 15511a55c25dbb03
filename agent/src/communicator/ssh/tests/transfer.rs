//! Files in and out, by both methods.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use kiln_component::{Communicator, CommunicatorError};
use kiln_lang::Value;
use kiln_plan::fault::chain;

use crate::communicator::ssh::{Ssh, Target};
use crate::communicator::testing::sshd::{Sshd, connect};
use crate::communicator::testing::{bounded, mode, noise, ssh_config, write};
use crate::test_voice;

const METHODS: [&str; 2] = ["scp", "sftp"];

async fn by(sshd: &Sshd, method: &str) -> Ssh {
    connect(&sshd.target(ssh_config([("ssh_file_transfer_method", Value::from(method))]))).await
}

#[tokio::test]
async fn bytes_and_files_arrive_with_their_modes() {
    let sshd = Sshd::start().await;
    for method in METHODS {
        let ssh = by(&sshd, method).await;
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name).display().to_string();
        bounded(ssh.upload_bytes(b"hello", &place("plain"), 0o640)).await.unwrap();
        assert_eq!(fs::read(place("plain")).unwrap(), b"hello");
        assert_eq!(mode(place("plain")), 0o640, "{method}");
        bounded(ssh.upload_bytes(b"", &place("it's a (strange) name;$x"), 0o600)).await.unwrap_or(());
        bounded(ssh.upload_bytes(b"x", &place("a b'c"), 0o755)).await.unwrap();
        assert_eq!(fs::read(place("a b'c")).unwrap(), b"x", "{method}");
        bounded(ssh.upload_bytes(b"replaced", &place("plain"), 0o600)).await.unwrap();
        assert_eq!(fs::read(place("plain")).unwrap(), b"replaced", "{method}");
        write(dir.path().join("source"), "abc", 0o751);
        bounded(ssh.upload(&dir.path().join("source"), &place("copy"))).await.unwrap();
        assert_eq!(
            (fs::read(place("copy")).unwrap(), mode(place("copy"))),
            (b"abc".to_vec(), 0o751),
            "{method}"
        );
        fs::create_dir(place("dir")).unwrap();
        bounded(ssh.upload(&dir.path().join("source"), &format!("{}/", place("dir")))).await.unwrap();
        assert_eq!(fs::read(place("dir/source")).unwrap(), b"abc", "{method}");
    }
}

#[tokio::test]
async fn a_large_file_goes_there_and_back_quickly() {
    let sshd = Sshd::start().await;
    for method in METHODS {
        let ssh = by(&sshd, method).await;
        let dir = tempfile::tempdir().unwrap();
        let content = noise(96 << 20);
        fs::write(dir.path().join("a"), &content).unwrap();
        let began = Instant::now();
        bounded(ssh.upload(&dir.path().join("a"), dir.path().join("b").to_str().unwrap())).await.unwrap();
        let up = began.elapsed();
        bounded(ssh.download(dir.path().join("b").to_str().unwrap(), &dir.path().join("c"))).await.unwrap();
        let down = began.elapsed() - up;
        assert!(fs::read(dir.path().join("c")).unwrap() == content, "{method}");
        println!("{method}: 96 MiB up in {up:?}, down in {down:?}");
    }
}

fn tree(root: &Path) {
    write(root.join("b/inner"), "inner", 0o600);
    write(root.join("a.sh"), "#!", 0o755);
    write(root.join("empty"), "", 0o644);
    fs::create_dir(root.join("nothing")).unwrap();
    symlink("b", root.join("link")).unwrap();
}

fn check_tree(root: &Path, method: &str) {
    assert_eq!(fs::read_to_string(root.join("b/inner")).unwrap(), "inner", "{method}");
    assert_eq!(fs::read_to_string(root.join("link/inner")).unwrap(), "inner", "{method}: links are followed");
    assert_eq!((mode(root.join("b/inner")), mode(root.join("a.sh"))), (0o600, 0o755), "{method}");
    assert!(root.join("nothing").is_dir() && root.join("empty").is_file(), "{method}");
}

#[tokio::test]
async fn directories_land_where_scp_would_put_them() {
    let sshd = Sshd::start().await;
    for method in METHODS {
        let ssh = by(&sshd, method).await;
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("src");
        tree(&source);
        let to = |name: &str| dir.path().join(name).display().to_string();
        fs::create_dir(to("there")).unwrap();
        bounded(ssh.upload_dir(&source, &to("there"), false)).await.unwrap();
        check_tree(&dir.path().join("there/src"), method);
        bounded(ssh.upload_dir(&source, &to("new"), false)).await.unwrap();
        check_tree(&dir.path().join("new"), method);
        fs::create_dir(to("into")).unwrap();
        bounded(ssh.upload_dir(&source, &to("into"), true)).await.unwrap();
        check_tree(&dir.path().join("into"), method);
        bounded(ssh.upload_dir(&source, &to("made/on the way"), true)).await.unwrap();
        check_tree(&dir.path().join("made/on the way"), method);
    }
}

#[tokio::test]
async fn directories_and_globs_come_back() {
    let sshd = Sshd::start().await;
    for method in METHODS {
        let ssh = by(&sshd, method).await;
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("src");
        tree(&source);
        let to = |name: &str| dir.path().join(name);
        for (from, place) in [(source.display().to_string(), "x"), (format!("{}/", source.display()), "y")] {
            bounded(ssh.download_dir(&from, &to(place))).await.unwrap();
            check_tree(&to(place).join("src"), method);
        }
        bounded(ssh.download_dir(&format!("{}/[ae]*", source.display()), &to("z"))).await.unwrap();
        let mut names: Vec<_> = fs::read_dir(to("z")).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.sh", "empty"], "{method}");
    }
}

#[tokio::test]
async fn thousands_of_small_files_take_seconds() {
    let sshd = Sshd::start().await;
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("many");
    for i in 0..20 {
        fs::create_dir_all(source.join(i.to_string())).unwrap();
        for j in 0..100 {
            fs::write(source.join(format!("{i}/{j}")), format!("{i} {j}")).unwrap();
        }
    }
    for method in METHODS {
        let ssh = by(&sshd, method).await;
        let to = dir.path().join(method);
        let began = Instant::now();
        bounded(ssh.upload_dir(&source, to.to_str().unwrap(), false)).await.unwrap();
        let up = began.elapsed();
        bounded(ssh.download_dir(to.to_str().unwrap(), &dir.path().join("back"))).await.unwrap();
        println!("{method}: 2,000 files up in {up:?}, down in {:?}", began.elapsed() - up);
        assert_eq!(fs::read_to_string(to.join("19/42")).unwrap(), "19 42");
        assert_eq!(fs::read_to_string(dir.path().join("back").join(method).join("0/99")).unwrap(), "0 99");
        assert!(began.elapsed() < Duration::from_secs(45), "{method}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn refusals_tell_the_path_and_the_reason() {
    let sshd = Sshd::start().await;
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("file"), "x", 0o644);
    let inside = dir.path().join("file/inside").display().to_string();
    for method in METHODS {
        let ssh = by(&sshd, method).await;
        let cases = [
            bounded(ssh.upload_bytes(b"x", "/nonexistent/dir/file", 0o644)).await,
            bounded(ssh.upload_bytes(b"x", &inside, 0o644)).await,
            bounded(ssh.download("/nonexistent", &dir.path().join("copy"))).await,
            bounded(ssh.download_dir("/nonexistent", &dir.path().join("copies"))).await,
            bounded(ssh.upload_bytes(b"x", dir.path().to_str().unwrap(), 0o644)).await,
        ];
        for outcome in cases {
            let error = outcome.unwrap_err();
            assert!(matches!(error, CommunicatorError::Refused { .. }), "{method}: {error:?}");
            let text = chain(&error);
            assert!(text.starts_with("cannot ") && text.contains(" the guest"), "{method}: {text}");
        }
        let error = bounded(ssh.upload(Path::new("/nonexistent/local"), "/tmp/x")).await.unwrap_err();
        assert!(matches!(error, CommunicatorError::Local { .. }), "{method}: {error:?}");
    }
}

#[tokio::test]
async fn a_guest_without_scp_gets_files_by_sftp_and_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let sshd =
        Sshd::with(&format!("Subsystem sftp internal-sftp\nSetEnv PATH={}", dir.path().display())).await;
    let (reporter, heard) = test_voice::listened_to();
    let ssh = connect(&Target { reporter, ..sshd.target(ssh_config([])) }).await;
    for name in ["a", "b"] {
        let to = dir.path().join(name);
        bounded(ssh.upload_bytes(b"x", to.to_str().unwrap(), 0o644)).await.unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"x");
    }
    bounded(ssh.upload(&dir.path().join("a"), dir.path().join("c").to_str().unwrap())).await.unwrap();
    assert_eq!(heard.words(), ["The guest has no scp; files go by sftp instead"]);
}

#[tokio::test]
async fn a_guest_without_sftp_gets_files_by_scp() {
    // Either the subsystem is unknown, or its program is missing.
    for lines in ["", "Subsystem sftp /nonexistent/sftp-server"] {
        let sshd = Sshd::with(lines).await;
        let (reporter, heard) = test_voice::listened_to();
        let config = ssh_config([("ssh_file_transfer_method", Value::from("sftp"))]);
        let ssh = connect(&Target { reporter, ..sshd.target(config) }).await;
        let to = sshd.path().join("file");
        bounded(ssh.upload_bytes(b"x", to.to_str().unwrap(), 0o644)).await.unwrap();
        assert_eq!(heard.words(), ["The guest has no sftp; files go by scp instead"]);
    }
}

#[tokio::test]
async fn a_guest_with_neither_says_what_to_install() {
    let sshd = Sshd::with("SetEnv PATH=/nonexistent").await;
    let error = bounded(sshd.connect().await.upload_bytes(b"x", "/tmp/x", 0o644)).await.unwrap_err();
    assert!(chain(&error).contains("neither scp nor an sftp server"), "{}", chain(&error));
}

#[tokio::test]
async fn a_dropped_transfer_ends_in_the_guest_as_well() {
    let sshd = Sshd::start().await;
    let ssh = sshd.connect().await;
    let endless = sshd.path().join("endless");
    fs::File::create(&endless).unwrap().set_len(1 << 40).unwrap();
    let transfer = ssh.download(endless.to_str().unwrap(), Path::new("/dev/null"));
    assert!(tokio::time::timeout(Duration::from_millis(500), transfer).await.is_err());
    let mark = endless.display().to_string();
    let seen = || {
        let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let lines = processes.filter_map(|p| fs::read(p.path().join("cmdline")).ok());
        lines
            .map(|l| String::from_utf8_lossy(&l).replace('\0', " "))
            .any(|l| l.contains("scp -f") && l.contains(&mark))
    };
    crate::communicator::testing::until("scp is gone", async || !seen()).await;
}
