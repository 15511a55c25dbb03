//! What a daemon tells the supervisor that started it, as systemd has it: a datagram to the socket that `NOTIFY_SOCKET`
//! names. Without one nothing is told. <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The supervisor.
#[derive(Debug)]
pub struct Supervisor(Option<SocketAddr>);

impl Supervisor {
    /// The one that the environment names.
    pub fn of_this_process() -> Self {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        Self::named(name.as_ref().map(|name| name.as_bytes()).unwrap_or_default())
    }

    fn named(name: &[u8]) -> Self {
        let address = match name {
            [] => None,
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name).ok(),
            path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)).ok(),
        };
        Self(address)
    }

    /// Tells it; lines of `NAME=value`. A supervisor that doesn't listen does without.
    pub fn tell(&self, words: &str) {
        let Some(address) = &self.0 else { return };
        let send = || UnixDatagram::unbound()?.send_to_addr(words.as_bytes(), address);
        if let Err(error) = send() {
            tracing::debug!(%error, "the supervisor was not told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_at_sockets_of_both_kinds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let name = format!("kiln-notify-{}", std::process::id());
        let hidden =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes()).unwrap()).unwrap();
        let cases =
            [(path.as_os_str().as_bytes().to_vec(), socket), (format!("@{name}").into_bytes(), hidden)];
        for (name, socket) in cases {
            Supervisor::named(&name).tell("READY=1");
            let mut heard = [0; 64];
            let length = socket.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1");
        }
        Supervisor::named(b"").tell("READY=1");
    }
}
