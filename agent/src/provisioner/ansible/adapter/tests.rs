//! The clients of OpenSSH against the server, over a communicator that takes this machine for the guest.

use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use async_trait::async_trait;
use kiln_component::GeneratedData;
use kiln_component::communicator::RemoteCommand;
use kiln_component::{CommunicatorError, Exit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::*;
use crate::test_task::{self, TestTask};

/// Takes this machine for the guest.
#[derive(Debug)]
struct Here;

fn refused(operation: &str, error: &std::io::Error) -> CommunicatorError {
    CommunicatorError::Refused { operation: operation.to_owned(), reason: error.to_string() }
}

async fn copy_all(from: &Path, to: &str) -> Result<(), CommunicatorError> {
    let done = Command::new("cp").arg("-rT").arg(from).arg(to).output().await.unwrap();
    let reason = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.success() { Ok(()) } else { Err(refused("copy", &std::io::Error::other(reason))) }
}

#[async_trait]
impl Communicator for Here {
    async fn start(&self, command: &str) -> Result<RemoteCommand, CommunicatorError> {
        if command == "unreachable" {
            let source = "no route".into();
            return Err(CommunicatorError::Unreachable { operation: "start a command".to_owned(), source });
        }
        let mut child = Command::new("sh")
            .args(["-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut tell, exit) = tokio::sync::oneshot::channel();
        let vanishes = command == "vanish";
        tokio::spawn(async move {
            tokio::select! {
                ended = child.wait() => {
                    let code = ended.unwrap().code().unwrap_or(-1);
                    let _ = tell.send(if vanishes { Exit::Disconnected } else { Exit::Code(code) });
                }
                () = tell.closed() => child.kill().await.unwrap(),
            }
        });
        Ok(RemoteCommand {
            stdin: Some(Box::new(stdin.unwrap())),
            stdout: Box::new(stdout.unwrap()),
            stderr: Box::new(stderr.unwrap()),
            exit,
        })
    }

    async fn upload_bytes(&self, content: &[u8], to: &str, _: u32) -> Result<(), CommunicatorError> {
        std::fs::write(to, content).map_err(|e| refused("write", &e))
    }

    async fn upload(&self, from: &Path, to: &str) -> Result<(), CommunicatorError> {
        std::fs::copy(from, to).map(|_| ()).map_err(|e| refused("write", &e))
    }

    async fn upload_dir(&self, from: &Path, to: &str, contents_only: bool) -> Result<(), CommunicatorError> {
        let into = !contents_only && Path::new(to).is_dir();
        let to = if into { format!("{to}/{}", from.file_name().unwrap().display()) } else { to.to_owned() };
        copy_all(from, &to).await
    }

    async fn download(&self, from: &str, to: &Path) -> Result<(), CommunicatorError> {
        std::fs::copy(from, to).map(|_| ()).map_err(|e| refused("read", &e))
    }

    async fn download_dir(&self, from: &str, to: &Path) -> Result<(), CommunicatorError> {
        let name = Path::new(from).file_name().unwrap();
        copy_all(Path::new(from), to.join(name).to_str().unwrap()).await
    }

    async fn close(&self) {}
}

/// A server, with what its options point to.
struct Server {
    task: TestTask,
    adapter: Adapter,
}

async fn start(task: &TestTask, change: impl FnOnce(&mut AdapterOptions)) -> Result<Adapter, Failure> {
    let generated = GeneratedData::default();
    let cx = ProvisionContext { task: &task.cx, communicator: Arc::new(Here), generated: &generated };
    let mut options = AdapterOptions {
        user: "ada".to_owned(),
        local_port: 0,
        rsa: false,
        host_key_file: None,
        authorized_key_file: None,
        sftp_command: "/usr/lib/sftp-server -e".to_owned(),
        directory: task.cx.scratch.clone(),
    };
    change(&mut options);
    Adapter::start(&cx, options).await
}

impl Server {
    async fn start() -> Self {
        let task = test_task::task();
        let adapter = start(&task, |_| ()).await.unwrap();
        Self { task, adapter }
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "IdentitiesOnly=yes",
        ];
        for option in options {
            command.args(["-o", option]);
        }
        command.args(["-F", "/dev/null", "-i"]).arg(self.adapter.private_key().unwrap());
        command.args(["-o", &format!("Port={}", self.adapter.port())]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn ssh(&self, arguments: &[&str], command: &str) -> Output {
        finish(self.client("ssh").args(arguments).args(["ada@127.0.0.1", command])).await
    }

    fn at(&self, name: &str) -> PathBuf {
        self.task.cx.working_dir.join(name)
    }
}

async fn finish(command: &mut Command) -> Output {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, command.output())
        .await
        .expect("it ends in time")
        .expect("openssh-client is installed")
}

fn told(output: &Output) -> (String, String, Option<i32>) {
    let text = |t: &[u8]| String::from_utf8_lossy(t).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[tokio::test]
async fn commands_run_in_the_guest_with_their_streams_and_codes() {
    let server = Server::start().await;
    let cases = [
        ("echo out; echo err >&2; exit 3", "out\n", "err\n", 3),
        ("true", "", "", 0),
        // As ssh does when the connection breaks, which Ansible calls unreachable.
        ("vanish", "", "", 255),
    ];
    for (command, out, err, code) in cases {
        let (o, e, c) = told(&server.ssh(&[], command).await);
        let e = if command == "vanish" { String::new() } else { e };
        assert_eq!((o.as_str(), e.as_str(), c), (out, err, Some(code)), "{command}");
    }
    let (_, e, c) = told(&server.ssh(&[], "unreachable").await);
    assert_eq!(
        (e.trim(), c),
        ("cannot reach the guest while trying to start a command: no route", Some(255))
    );
    // Terminals and variables are granted and ignored.
    let (o, _, c) = told(&server.ssh(&["-tt", "-o", "SetEnv=A=b"], "test -t 0 || echo \"no$A\"").await);
    assert_eq!((o.trim(), c), ("no", Some(0)));
}

#[tokio::test]
async fn large_input_and_output_go_through() {
    let server = Server::start().await;
    let mut child =
        server.client("ssh").args(["ada@127.0.0.1", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let content: Vec<u8> = (0..20_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let sent = content.clone();
    let feeding = tokio::spawn(async move { stdin.write_all(&sent).await });
    let mut back = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), stdout.read_to_end(&mut back)).await.unwrap().unwrap();
    feeding.await.unwrap().unwrap();
    assert!(back == content);
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn many_commands_share_one_connection_as_ansible_has_it() {
    let server = Server::start().await;
    let control = server.at("control");
    let path = format!("ControlPath={}", control.display());
    let mut master = server.client("ssh");
    let mut master =
        master.args(["-o", "ControlMaster=yes", "-o", &path, "-N", "ada@127.0.0.1"]).spawn().unwrap();
    let waited = async {
        while !control.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waited).await.unwrap();
    let many = (0..5).map(|i| {
        let (server, path) = (&server, &path);
        async move { told(&server.ssh(&["-o", path], &format!("sleep 0.3; echo {i}")).await).0 }
    });
    assert_eq!(futures::future::join_all(many).await.concat(), "0\n1\n2\n3\n4\n");
    master.kill().await.unwrap();
}

#[tokio::test]
async fn scp_carries_files_and_directories_both_ways() {
    let server = Server::start().await;
    let scp = async |legacy: bool, arguments: &[&str]| {
        let mut command = server.client("scp");
        if legacy {
            command.arg("-O");
        }
        told(&finish(command.args(arguments)).await)
    };
    for legacy in [true, false] {
        let at = |name: &str| server.at(&format!("{name}-{legacy}")).display().to_string();
        let remote = |path: &str| format!("ada@127.0.0.1:{path}");
        std::fs::create_dir_all(at("tree") + "/inner").unwrap();
        std::fs::write(at("tree") + "/inner/a b", "text").unwrap();
        std::fs::write(at("one"), "one").unwrap();
        std::fs::set_permissions(at("one"), PermissionsExt::from_mode(0o750)).unwrap();
        std::fs::create_dir(at("dir")).unwrap();
        let good = (String::new(), String::new(), Some(0));
        assert_eq!(scp(legacy, &[&at("one"), &remote(&at("two"))]).await, good);
        assert_eq!(std::fs::read(at("two")).unwrap(), b"one");
        assert_eq!(std::fs::metadata(at("two")).unwrap().permissions().mode() & 0o777, 0o750);
        assert_eq!(scp(legacy, &[&at("one"), &remote(&at("dir"))]).await, good);
        assert_eq!(std::fs::read(format!("{}/one-{legacy}", at("dir"))).unwrap(), b"one");
        assert_eq!(scp(legacy, &["-r", &at("tree"), &remote(&at("copy"))]).await, good);
        assert_eq!(std::fs::read(at("copy") + "/inner/a b").unwrap(), b"text");
        assert_eq!(scp(legacy, &[&remote(&at("one")), &at("back")]).await, good);
        assert_eq!(std::fs::read(at("back")).unwrap(), b"one");
        assert_eq!(scp(legacy, &["-r", &remote(&at("tree")), &at("trees")]).await, good);
        assert_eq!(std::fs::read(at("trees") + "/inner/a b").unwrap(), b"text");
        let (_, error, code) = scp(legacy, &[&remote("/nonexistent/x"), &at("x")]).await;
        assert!(code == Some(1) && error.contains("No such file"), "{legacy} {code:?}: {error}");
        let (_, error, code) = scp(legacy, &[&at("one"), &remote("/nonexistent/x")]).await;
        assert!(code != Some(0) && !error.is_empty(), "{legacy}: {error}");
    }
    let left = std::fs::read_dir(&server.task.cx.scratch).unwrap().count();
    assert_eq!(left, 1, "nothing but the key is left behind");
}

#[tokio::test]
async fn sftp_speaks_with_the_guests_own_server() {
    let server = Server::start().await;
    std::fs::write(server.at("a"), "text").unwrap();
    let batch = format!("put {} {}\n", server.at("a").display(), server.at("b").display());
    std::fs::write(server.at("batch"), batch).unwrap();
    let mut command = server.client("sftp");
    let (_, error, code) =
        told(&finish(command.arg("-b").arg(server.at("batch")).arg("ada@127.0.0.1")).await);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(std::fs::read(server.at("b")).unwrap(), b"text");
}

#[tokio::test]
async fn only_the_one_user_with_the_one_key_comes_in() {
    let server = Server::start().await;
    let mut eve = server.client("ssh");
    let (_, error, code) = told(&finish(eve.args(["eve@127.0.0.1", "true"])).await);
    assert!(code == Some(255) && error.contains("Permission denied (publickey)"), "{error}");
    let other = KeyPair::generate(KeyKind::Ed25519, "").unwrap();
    other.write_private(&server.at("other")).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    ssh.args(["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-i"]).arg(server.at("other"));
    ssh.args(["-p", &server.adapter.port().to_string(), "ada@127.0.0.1", "true"]);
    assert_eq!(finish(&mut ssh).await.status.code(), Some(255));
    let tunnel = server.ssh(&["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1"], "true").await;
    assert_eq!(tunnel.status.code(), Some(255), "ports are not forwarded");
    assert_ne!(server.ssh(&[], "").await.status.code(), Some(0), "there is no shell");
}

#[tokio::test]
async fn keys_of_the_template_are_used() {
    let task = test_task::task();
    let dir = task.cx.working_dir.clone();
    let (host, user) =
        (KeyPair::generate(KeyKind::Ed25519, "").unwrap(), KeyPair::generate(KeyKind::Ed25519, "").unwrap());
    host.write_private(&dir.join("host")).unwrap();
    user.write_private(&dir.join("user")).unwrap();
    std::fs::write(dir.join("user.pub"), user.public_line()).unwrap();
    let adapter = start(&task, |o| {
        o.host_key_file = Some(dir.join("host"));
        o.authorized_key_file = Some(dir.join("user.pub"));
    })
    .await
    .unwrap();
    assert!(adapter.private_key().is_none());
    let known = format!("[127.0.0.1]:{} {}", adapter.port(), host.public_line());
    std::fs::write(dir.join("known"), known).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "/dev/null", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"]);
    ssh.arg("-o").arg(format!("UserKnownHostsFile={}", dir.join("known").display()));
    ssh.arg("-i").arg(dir.join("user")).args(["-p", &adapter.port().to_string(), "ada@127.0.0.1", "echo in"]);
    assert_eq!(told(&finish(&mut ssh).await).0, "in\n");
    let error = start(&task, |o| o.authorized_key_file = Some(dir.join("missing"))).await.unwrap_err();
    assert!(error.message.starts_with("ssh_authorized_key_file is invalid: "), "{}", error.message);
    let error = start(&task, |o| o.host_key_file = Some(dir.join("user.pub"))).await.unwrap_err();
    assert!(error.message.starts_with("ssh_host_key_file is invalid: "), "{}", error.message);
    assert_eq!(error.fault, Fault::Template);
}

#[tokio::test]
async fn a_port_that_is_taken_is_passed_over() {
    let task = test_task::task();
    let first = start(&task, |_| ()).await.unwrap();
    let port = first.port();
    let options = |o: &mut AdapterOptions| {
        o.local_port = port;
        o.directory = o.directory.join("second");
        std::fs::create_dir(&o.directory).unwrap();
    };
    let second = start(&task, options).await.unwrap();
    assert!(second.port() > port && second.port() < port + PORTS);
}

#[tokio::test]
async fn stopping_ends_the_sessions_and_their_commands() {
    let server = Server::start().await;
    let mark = server.at("pid");
    let command = format!("echo $$ > {}; exec sleep 300", mark.display());
    let mut client = server.client("ssh").args(["ada@127.0.0.1", &command]).spawn().unwrap();
    let waited = async {
        loop {
            match std::fs::read_to_string(&mark) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let pid = tokio::time::timeout(Duration::from_secs(30), waited).await.unwrap();
    let port = server.adapter.port();
    server.adapter.stop().await;
    assert!(!tokio::time::timeout(Duration::from_secs(30), client.wait()).await.unwrap().unwrap().success());
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
    let gone = async {
        while Path::new(&format!("/proc/{pid}")).exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the command ends with its session");
}
