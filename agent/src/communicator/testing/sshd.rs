//! A real OpenSSH server for one test, on a port of its own, for the user who runs the test.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use super::{ssh_config, until};
use crate::communicator::config::SshConfig;
use crate::communicator::guest::Address;
use crate::communicator::keys::{KeyKind, KeyPair};
use crate::communicator::ssh::{AgentSocket, Limits, Ssh, Target};

/// The server. Ends with the value.
pub(crate) struct Sshd {
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
    /// A key that it lets in.
    pub(crate) key: KeyPair,
    child: Option<Child>,
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

const COMMON: &str = "
UsePAM no
SetEnv SHLVL=2
StrictModes no
PidFile none
PermitRootLogin yes
MaxStartups 100
LogLevel ERROR
";

impl Sshd {
    /// With an sftp subsystem.
    pub(crate) async fn start() -> Self {
        Self::with("Subsystem sftp internal-sftp").await
    }

    /// With these lines in its config.
    pub(crate) async fn with(lines: &str) -> Self {
        let mut server = Self::stopped(lines);
        server.launch().await;
        server
    }

    /// Not yet started.
    pub(crate) fn stopped(lines: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let key = KeyPair::generate(KeyKind::EcdsaP256, "").unwrap();
        let host = KeyPair::generate(KeyKind::EcdsaP256, "").unwrap();
        host.write_private(&dir.path().join("host_key")).unwrap();
        fs::write(dir.path().join("authorized_keys"), key.public_line()).unwrap();
        let mut config = String::new();
        writeln!(config, "Port {port}\nListenAddress 127.0.0.1").unwrap();
        writeln!(config, "HostKey {}", dir.path().join("host_key").display()).unwrap();
        writeln!(config, "AuthorizedKeysFile {}", dir.path().join("authorized_keys").display()).unwrap();
        writeln!(config, "{COMMON}{lines}").unwrap();
        fs::write(dir.path().join("sshd_config"), config).unwrap();
        Self { dir, port, key, child: None }
    }

    /// Starts it (again), and waits until it listens.
    pub(crate) async fn launch(&mut self) {
        self.spawn();
        let port = self.port;
        until("sshd listens", async || {
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok()
        })
        .await;
    }

    /// Starts it (again) without waiting.
    pub(crate) fn spawn(&mut self) {
        fs::create_dir_all("/run/sshd").unwrap_or_default();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(self.dir.path().join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.dir.path().join("log")).unwrap())
            .spawn()
            .expect("sshd of the package openssh-server is installed");
        self.child = Some(child);
    }

    /// Stops listening; sessions go on.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Lets in whoever has this key as well.
    pub(crate) fn authorize(&self, line: &str) {
        let path = self.dir.path().join("authorized_keys");
        let all = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{all}{}\n", line.trim_end())).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn address(&self) -> Address {
        Address::new("127.0.0.1", self.port)
    }

    /// How to reach it with its key and these options.
    pub(crate) fn target(&self, config: SshConfig) -> Target {
        let key = Some(self.key.clone());
        let guest = Arc::new(self.address());
        let reporter = crate::test_voice::reporter();
        Target { config: Arc::new(config), key, agent: AgentSocket::default(), guest, reporter }
    }

    /// A connection to it with the usual options.
    pub(crate) async fn connect(&self) -> Ssh {
        connect(&self.target(ssh_config([]))).await
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A connection that must come about.
pub(crate) async fn connect(target: &Target) -> Ssh {
    let connected = Ssh::connect(target, Limits::default()).await;
    connected.unwrap_or_else(|e| panic!("{}", kiln_plan::fault::chain(&e)))
}

/// The words of an attempt that must fail.
pub(crate) async fn refusal(target: &Target) -> String {
    match Ssh::connect(target, Limits::default()).await {
        Ok(_) => panic!("it should have been refused"),
        Err(error) => kiln_plan::fault::chain(&error),
    }
}
