//! A genuine OpenSSH server on the loopback, with a login by key for the user that runs the tests.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait;

/// The server, until it is dropped.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    directory: PathBuf,
    /// Where it listens on the loopback.
    pub port: u16,
}

impl Sshd {
    /// Starts one whose files lie in `directory`, which must exist.
    ///
    /// # Panics
    /// When OpenSSH isn't installed, or the server doesn't come up.
    pub fn start(directory: &Path) -> Self {
        for name in ["host_key", "user_key"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(directory.join(name))
                .status();
            assert!(made.expect("ssh-keygen is missing; ./test.sh installs it").success());
        }
        std::fs::copy(directory.join("user_key.pub"), directory.join("authorized_keys")).expect("a copy");
        let port = free_port();
        let at = directory.display();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host_key\nPidFile none\nStrictModes no\n\
             AuthorizedKeysFile {at}/authorized_keys\nUsePAM no\nPasswordAuthentication no\nLogLevel VERBOSE\n\
             PermitRootLogin yes\nAllowTcpForwarding yes\n"
        );
        std::fs::write(directory.join("sshd_config"), config).expect("the place is ours");
        // Debian's server wants this directory even where it is of no use to it.
        let _ = std::fs::create_dir_all("/run/sshd");
        let log = std::fs::File::create(directory.join("log")).expect("the place is ours");
        let mut child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(directory.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sshd is missing; ./test.sh installs it");
        wait::until("sshd to listen", Duration::from_secs(20), || {
            let ended = child.try_wait().ok().flatten();
            assert!(ended.is_none(), "sshd ended: {}", read(directory, "log"));
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { child, directory: directory.to_owned(), port }
    }

    /// The key that opens it.
    pub fn key_file(&self) -> PathBuf {
        self.directory.join("user_key")
    }

    /// What it wrote about its visitors.
    pub fn log(&self) -> String {
        read(&self.directory, "log")
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).unwrap_or_default()
}

/// A port of the loopback that nobody has now.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}
