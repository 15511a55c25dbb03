//! Every way to log in.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kiln_component::Communicator;
use kiln_lang::Value;
use tempfile::TempDir;

use crate::communicator::keys::{KeyKind, KeyPair};
use crate::communicator::ssh::{AgentSocket, Target};
use crate::communicator::testing::passwords::{Ask, PASSWORD, Passwords};
use crate::communicator::testing::sshd::{Sshd, connect, free_port, refusal};
use crate::communicator::testing::{bounded, me, run, ssh_config, until};

fn generate(kind: KeyKind) -> KeyPair {
    KeyPair::generate(kind, "").unwrap()
}

async fn logs_in(target: &Target) {
    let ssh = bounded(connect(target)).await;
    assert_eq!(bounded(run(&ssh, "echo in")).await.out, "in\n");
    ssh.close().await;
}

#[tokio::test]
async fn every_kind_of_temporary_key_lets_us_in() {
    let sshd = Sshd::start().await;
    for kind in
        [KeyKind::Rsa(2048), KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521, KeyKind::Ed25519]
    {
        let key = generate(kind);
        sshd.authorize(key.public_line());
        logs_in(&Target { key: Some(key), ..sshd.target(ssh_config([])) }).await;
    }
}

#[tokio::test]
async fn a_key_file_of_the_template_lets_us_in() {
    let sshd = Sshd::start().await;
    let file = sshd.path().join("id");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"])
        .arg(&file)
        .status();
    assert!(made.expect("ssh-keygen is installed").success());
    sshd.authorize(&std::fs::read_to_string(file.with_extension("pub")).unwrap());
    let config = ssh_config([("ssh_private_key_file", Value::from(file.to_str().unwrap()))]);
    logs_in(&Target { key: None, ..sshd.target(config) }).await;
}

#[tokio::test]
async fn a_certificate_lets_us_in_where_its_key_alone_would_not() {
    for kind in ["ed25519", "rsa"] {
        let dir = tempfile::tempdir().unwrap();
        let (ca, id) = (dir.path().join("ca"), dir.path().join("id"));
        let keygen = |arguments: &[&str]| {
            let done = Command::new("ssh-keygen").args(arguments).stderr(Stdio::null()).status();
            assert!(done.expect("ssh-keygen is installed").success());
        };
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f", ca.to_str().unwrap()]);
        keygen(&["-q", "-t", kind, "-N", "", "-f", id.to_str().unwrap()]);
        let (public, user) = (id.with_extension("pub"), me());
        keygen(&[
            "-q",
            "-s",
            ca.to_str().unwrap(),
            "-I",
            "x",
            "-n",
            &user,
            "-V",
            "+1h",
            public.to_str().unwrap(),
        ]);
        let sshd = Sshd::with(&format!("TrustedUserCAKeys {}", ca.with_extension("pub").display())).await;
        let certificate = dir.path().join("id-cert.pub");
        let config = ssh_config([
            ("ssh_private_key_file", Value::from(id.to_str().unwrap())),
            ("ssh_certificate_file", Value::from(certificate.to_str().unwrap())),
        ]);
        logs_in(&Target { key: None, ..sshd.target(config) }).await;
    }
}

/// An ssh-agent of the system, with keys. Ends with the value.
struct Agent {
    dir: TempDir,
    child: std::process::Child,
}

impl Agent {
    async fn with(keys: &[KeyPair]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let agent = Self { dir, child: child.expect("ssh-agent is installed") };
        until("the agent listens", async || tokio::net::UnixStream::connect(&socket).await.is_ok()).await;
        for (i, key) in keys.iter().enumerate() {
            let file = agent.dir.path().join(format!("key{i}"));
            key.write_private(&file).unwrap();
            let added = Command::new("ssh-add")
                .arg(&file)
                .env("SSH_AUTH_SOCK", &socket)
                .stderr(Stdio::null())
                .status();
            assert!(added.expect("ssh-add is installed").success());
        }
        agent
    }

    fn socket(&self) -> AgentSocket {
        AgentSocket::at(self.dir.path().join("socket"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn the_keys_of_an_agent_let_us_in_and_each_is_tried() {
    let sshd = Sshd::start().await;
    // OpenSSH hangs up after six; the ninth is the right one.
    let mut keys: Vec<KeyPair> = (0..8).map(|_| generate(KeyKind::Ed25519)).collect();
    keys.push(generate(KeyKind::Rsa(2048)));
    sshd.authorize(keys.last().unwrap().public_line());
    let agent = Agent::with(&keys).await;
    let config = ssh_config([("ssh_agent_auth", Value::from(true))]);
    logs_in(&Target { key: None, agent: agent.socket(), ..sshd.target(config) }).await;
}

#[tokio::test]
async fn the_temporary_key_is_tried_after_all_keys_of_the_agent() {
    let sshd = Sshd::start().await;
    let keys: Vec<KeyPair> = (0..8).map(|_| generate(KeyKind::Ed25519)).collect();
    let agent = Agent::with(&keys).await;
    let config = ssh_config([("ssh_agent_auth", Value::from(true))]);
    logs_in(&Target { agent: agent.socket(), ..sshd.target(config) }).await;
}

#[tokio::test]
async fn a_missing_agent_is_told_and_the_other_ways_are_tried() {
    let sshd = Sshd::start().await;
    let config = || ssh_config([("ssh_agent_auth", Value::from(true))]);
    logs_in(&sshd.target(config())).await;
    let text = bounded(refusal(&Target { key: None, ..sshd.target(config()) })).await;
    assert!(text.contains("no ssh-agent is known; SSH_AUTH_SOCK is not set"), "{text}");
}

#[tokio::test]
async fn an_agent_that_keeps_silent_holds_nothing_up_for_long() {
    let sshd = Sshd::start().await;
    let socket = sshd.path().join("silent");
    let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let config = ssh_config([("ssh_agent_auth", Value::from(true))]);
    logs_in(&Target { agent: AgentSocket::at(&socket), ..sshd.target(config) }).await;
}

#[tokio::test]
async fn the_guest_may_use_the_agent_unless_the_template_forbids_it() {
    let sshd = Sshd::start().await;
    let key = generate(KeyKind::Ed25519);
    let agent = Agent::with(std::slice::from_ref(&key)).await;
    let blob = key.public_line().split_whitespace().nth(1).unwrap().to_owned();
    for (forbidden, expected) in [(false, true), (true, false)] {
        let config = ssh_config([("ssh_disable_agent_forwarding", Value::from(forbidden))]);
        let ssh = connect(&Target { agent: agent.socket(), ..sshd.target(config) }).await;
        let ran = bounded(run(&ssh, "ssh-add -L")).await;
        assert_eq!(ran.out.contains(&blob), expected, "{ran:?}");
    }
}

#[tokio::test]
async fn a_server_that_wants_two_keys_gets_two() {
    let sshd = Sshd::with("AuthenticationMethods publickey,publickey").await;
    let first = generate(KeyKind::Ed25519);
    sshd.authorize(first.public_line());
    let mut config = ssh_config([]);
    config.login.key = Some(first);
    logs_in(&sshd.target(config)).await;
}

#[tokio::test]
async fn a_password_lets_us_in_by_any_method() {
    for ask in [Ask::Password, Ask::Questions, Ask::KeyThenPassword] {
        let server = Passwords::start(ask).await;
        let sshd = Sshd::stopped("");
        let mut target = sshd.target(ssh_config([("ssh_password", Value::from(PASSWORD))]));
        target.guest = Arc::new(server.address.clone());
        let ssh = bounded(connect(&target)).await;
        assert_eq!(bounded(run(&ssh, "echoed")).await.out, "echoed", "{ask:?}");
    }
}

#[tokio::test]
async fn a_refused_login_tells_who_and_what_was_tried_but_no_secret() {
    let server = Passwords::start(Ask::Password).await;
    let sshd = Sshd::stopped("");
    let config = ssh_config([("ssh_password", Value::from("hunter2")), ("ssh_username", Value::from("ada"))]);
    let mut target = Target { key: None, ..sshd.target(config) };
    target.guest = Arc::new(server.address.clone());
    let text = bounded(refusal(&target)).await;
    assert_eq!(text, "authentication failed as \"ada\"; tried: password");
    assert_eq!(server.refused.load(Ordering::Relaxed), 1);
    assert!(!format!("{target:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_key_lets_us_in_to_dropbear() {
    let dir = tempfile::tempdir().unwrap();
    let host = dir.path().join("host");
    let made = Command::new("dropbearkey")
        .args(["-t", "ed25519", "-f"])
        .arg(&host)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("dropbearkey of the package dropbear-bin is installed").success());
    // It reads the keys from the home directory alone, which is not a test's to change: any login is refused, but
    // the refusal comes after a whole key exchange and a signature's worth of protocol.
    let port = free_port();
    let child = Command::new("dropbear")
        .args(["-F", "-E", "-p", &format!("127.0.0.1:{port}"), "-P"])
        .arg(dir.path().join("pid"))
        .arg("-r")
        .arg(&host)
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.expect("dropbear of the package dropbear-bin is installed");
    let sshd = Sshd::stopped("");
    let mut target = sshd.target(ssh_config([]));
    target.guest = Arc::new(crate::communicator::Address::new("127.0.0.1", port));
    until("dropbear listens", async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok())
        .await;
    let text = bounded(refusal(&target)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(text.starts_with("authentication failed as"), "{text}");
    assert!(text.contains("temporary key"), "{text}");
}
