//! The SSH server on this machine that Ansible believes to be the guest. Whatever way leads to the guest
//! (a forwarded port, a bastion, another communicator), Ansible only ever sees this server.
//!
//! ```text
//!   ansible ─► ssh, scp, sftp ─► 127.0.0.1:port ─┬─ exec ────────────► Communicator::start, streams and code
//!                                                ├─ exec scp -t/-f ──► carried by us: upload, download (in `scp`)
//!                                                └─ subsystem sftp ──► the guest's sftp server, streams
//! ```
//!
//! One user with one key is let in, from this machine. Terminals and environment variables are granted and
//! ignored, as in Packer; all else is refused. The server ends with the value, and its sessions with it.

mod exec;
mod scp;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kiln_component::{Communicator, ProvisionContext};
use kiln_plan::fault::chain;
use kiln_plan::{Failure, Fault};
use russh::keys::PublicKey;
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, MethodKind, MethodSet, Pty};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::communicator::keys::{KeyError, KeyKind, KeyPair};

/// How many ports are tried from `local_port` on (Packer's number).
const PORTS: u16 = 10;

/// How long the sessions may take to end with the server.
const END_LIMIT: Duration = Duration::from_secs(5);

/// What the server is to be like.
#[derive(Clone, Debug)]
pub struct AdapterOptions {
    /// Who is let in.
    pub user: String,
    /// The first port to try; 0 for any that is free.
    pub local_port: u16,
    /// Whether keys that are made are RSA (2048 bits) instead of ECDSA (P-384).
    pub rsa: bool,
    /// The server's private key; one is made when none is given.
    pub host_key_file: Option<PathBuf>,
    /// The public key that is let in; a pair is made when none is given.
    pub authorized_key_file: Option<PathBuf>,
    /// How the guest's SFTP server is started.
    pub sftp_command: String,
    /// A private directory for what is on its way, and for the key that is made.
    pub directory: PathBuf,
}

/// The running server.
#[derive(Debug)]
pub struct Adapter {
    port: u16,
    private_key: Option<PathBuf>,
    stop: CancellationToken,
    sessions: TaskTracker,
}

impl Adapter {
    /// Starts the server on the loopback interface.
    ///
    /// # Errors
    /// With fault `Template` when a key file is of no use, `Machine` when no port is free.
    pub async fn start(cx: &ProvisionContext<'_>, options: AdapterOptions) -> Result<Self, Failure> {
        let kind = if options.rsa { KeyKind::Rsa(2048) } else { KeyKind::EcdsaP384 };
        let host_key = match &options.host_key_file {
            Some(file) => KeyPair::from_files(file, None).map_err(|e| bad("ssh_host_key_file", &e))?,
            None => generate(kind).await?,
        };
        let (user_key, private_key) = match &options.authorized_key_file {
            Some(file) => (read_public(file)?, None),
            None => {
                let pair = generate(kind).await?;
                let path = options.directory.join("adapter-key");
                pair.write_private(&path).map_err(|error| {
                    Failure::new(Fault::Machine, format!("cannot write {}: {error}", path.display()))
                })?;
                (pair.private().public_key().clone(), Some(path))
            }
        };
        let listener = listen(options.local_port).await?;
        let port = listener.local_addr().map_or(options.local_port, |a| a.port());
        let shared = Arc::new(Shared {
            communicator: cx.communicator.clone(),
            user: options.user,
            user_key,
            sftp_command: options.sftp_command,
            directory: options.directory,
            config: server_config(&host_key),
            stop: cx.task.cancel.child_token(),
            sessions: TaskTracker::new(),
        });
        let (stop, sessions) = (shared.stop.clone(), shared.sessions.clone());
        sessions.spawn(accept(listener, shared));
        sessions.close();
        Ok(Self { port, private_key, stop, sessions })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The key that is let in, if one was made.
    pub fn private_key(&self) -> Option<&Path> {
        self.private_key.as_deref()
    }

    /// Ends the server and its sessions.
    pub async fn stop(self) {
        self.stop.cancel();
        // A session that doesn't end in time ends with its sockets.
        let _ = tokio::time::timeout(END_LIMIT, self.sessions.wait()).await;
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What all sessions share.
struct Shared {
    communicator: Arc<dyn Communicator>,
    user: String,
    user_key: PublicKey,
    sftp_command: String,
    directory: PathBuf,
    config: Arc<Config>,
    stop: CancellationToken,
    sessions: TaskTracker,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("user", &self.user).finish_non_exhaustive()
    }
}

async fn generate(kind: KeyKind) -> Result<KeyPair, Failure> {
    let made = tokio::task::spawn_blocking(move || KeyPair::generate(kind, "")).await;
    match made {
        Ok(Ok(pair)) => Ok(pair),
        Ok(Err(error)) => Err(Failure::from_error(Fault::Machine, &error)),
        Err(error) => Err(Failure::from_error(Fault::Machine, &error)),
    }
}

fn bad(option: &str, error: &KeyError) -> Failure {
    Failure::new(Fault::Template, format!("{option} is invalid: {}", chain(error)))
}

fn read_public(file: &Path) -> Result<PublicKey, Failure> {
    russh::keys::load_public_key(file).map_err(|error| {
        let message = format!("ssh_authorized_key_file is invalid: {}: {}", file.display(), chain(&error));
        Failure::new(Fault::Template, message)
            .hint("name the public half of the key that Ansible logs in with")
    })
}

async fn listen(first: u16) -> Result<TcpListener, Failure> {
    let last = if first == 0 { 0 } else { first.saturating_add(PORTS - 1) };
    let mut reason = None;
    for port in first..=last {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => reason = Some(error),
        }
    }
    let reason = reason.map_or_else(String::new, |e| format!(": {e}"));
    let message = format!("cannot listen for Ansible on any port from {first} to {last}{reason}");
    Err(Failure::new(Fault::Machine, message).hint("leave local_port out to have a free port chosen"))
}

fn server_config(host_key: &KeyPair) -> Arc<Config> {
    Arc::new(Config {
        keys: vec![(**host_key.private()).clone()],
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        // Nobody but this machine's users can reach it, and an agent may offer many keys first.
        auth_rejection_time: Duration::from_millis(10),
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: 100,
        // Ansible holds connections open between its tasks.
        inactivity_timeout: None,
        nodelay: true,
        ..Config::default()
    })
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let work = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    shared.sessions.spawn(serve(stream, shared.clone()));
                }
                Err(error) => {
                    // Too many open files, for one; it passes.
                    tracing::debug!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    shared.stop.run_until_cancelled(work).await;
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // Only speed depends on it.
    let _ = stream.set_nodelay(true);
    let session = Door { shared: shared.clone(), open: HashMap::new() };
    let work = async {
        let running = russh::server::run_stream(shared.config.clone(), stream, session).await?;
        let handle = running.handle();
        tokio::select! {
            ended = running => ended,
            () = shared.stop.cancelled() => {
                let reason = "the provisioner has ended".to_owned();
                // The client may be gone.
                let _ = handle.disconnect(russh::Disconnect::ByApplication, reason, String::new()).await;
                Ok(())
            }
        }
    };
    if let Err(error) = work.await {
        tracing::debug!(%error, "a connection of Ansible ended");
    }
}

/// One connection: who comes in, and what it may ask for.
struct Door {
    shared: Arc<Shared>,
    /// Channels that nothing has been asked of yet.
    open: HashMap<ChannelId, Channel<Msg>>,
}

/// What a channel was opened for.
enum Request {
    /// To run a command.
    Exec(String),
    /// To carry files.
    Sftp,
}

/// Packer's default names Debian's place alone; the other usual ones are looked at when nothing is there.
fn sftp_command(given: &str) -> String {
    const DEFAULT: &str = "/usr/lib/sftp-server -e";
    const PLACES: &str = "/usr/lib/sftp-server /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server \
                          /usr/libexec/sftp-server /usr/lib/ssh/sftp-server /usr/lib64/ssh/sftp-server";
    match given {
        DEFAULT => {
            let search = format!("for s in {PLACES}; do test -x $s && exec $s -e; done; exit 127");
            format!("sh -c '{search}'")
        }
        given => given.to_owned(),
    }
}

impl Door {
    fn begin(&mut self, id: ChannelId, request: Request, session: &mut Session) -> Result<(), russh::Error> {
        let Some(channel) = self.open.remove(&id) else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let shared = self.shared.clone();
        let stop = shared.stop.clone();
        let work = async move {
            match request {
                Request::Sftp => {
                    let command = sftp_command(&shared.sftp_command);
                    exec::forward(&*shared.communicator, channel, &command).await;
                }
                Request::Exec(command) => match scp::Call::parse(&command) {
                    Some(call) => scp::carry(&*shared.communicator, channel, &call, &shared.directory).await,
                    None => exec::forward(&*shared.communicator, channel, &command).await,
                },
            }
        };
        // On its own: a handler that waits would stop the connection.
        self.shared.sessions.spawn(async move { stop.run_until_cancelled(work).await });
        Ok(())
    }

    fn knows(&self, user: &str, key: &PublicKey) -> Auth {
        let same = user == self.shared.user && key.key_data() == self.shared.user_key.key_data();
        if same { Auth::Accept } else { Auth::reject() }
    }
}

impl Handler for Door {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(self.knows(user, offer.public_key))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        Ok(self.knows(user, key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        self.open.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let command = String::from_utf8_lossy(command).into_owned();
        self.begin(id, Request::Exec(command), session)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match name {
            "sftp" => self.begin(id, Request::Sftp, session),
            _ => session.channel_failure(id),
        }
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        session.channel_failure(id)
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(id)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        _: &str,
        _: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(id)
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), russh::Error> {
        self.open.remove(&id);
        Ok(())
    }
}
