//! One attempt to reach a guest, and the connection that a good one yields.
//!
//! ```text
//!   address ─► dial (direct, proxy, or bastion: the same steps there first) ─► first words ─► key exchange ─► login
//!      │            │ 15 s                                                       │ seconds       └──── 60 s ────┘
//!      └────────────┴──────── each failure is an AttemptError of its own kind ───┴──────────────────────┘
//! ```
//!
//! Host keys aren't verified, as in Packer: the guest made them minutes ago, and nobody has seen them yet. What a
//! template sends to a guest over a network that others can change is as safe as that network.

use std::borrow::Cow;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kiln_component::Reporter;
use russh::SshId;
use russh::client::{self, Handle};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::agent::AgentSocket;
use super::auth::{Credentials, Outcome, Sources};
use super::proxy::{self, ProxyError};
use super::tunnel::RemoteTunnels;
use super::wire::{Silence, Stream, Wire};
use crate::communicator::config::{Bastion, Proxy, Route, SshConfig, Upkeep};
use crate::communicator::guest::{Address, Guest, NoAddress};
use crate::communicator::keys::KeyPair;

pub(super) use super::events::Events;

/// What is needed to reach a guest, again and again.
#[derive(Clone, Debug)]
pub struct Target {
    /// The options.
    pub config: Arc<SshConfig>,
    /// The temporary key, if one was made.
    pub key: Option<KeyPair>,
    /// This machine's ssh-agent.
    pub agent: AgentSocket,
    /// Where the guest is.
    pub guest: Arc<dyn Guest>,
    /// Whom to ask what a bastion asks, and to tell what is out of the ordinary.
    pub reporter: Reporter,
}

/// How long the parts of one attempt may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// To connect.
    pub(crate) dial: Duration,
    /// To hear the first word.
    pub(crate) banner: Duration,
    /// Until, while nothing is heard, another connection is made beside the silent one.
    pub(crate) call_again: Duration,
    /// From there to the login; generous, since a guest without hardware acceleration computes for long.
    pub(crate) handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { dial: seconds(15), banner: seconds(20), call_again: seconds(1), handshake: seconds(60) }
    }
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
#[allow(private_interfaces, reason = "the causes are read as text alone")]
pub enum AttemptError {
    /// The builder doesn't know where the guest is.
    #[error(transparent)]
    Address(NoAddress),
    /// No connection.
    #[error("cannot connect to {to}")]
    Dial {
        /// Where to.
        to: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No connection through the proxy.
    #[error("cannot connect to {to} through the proxy")]
    Proxy {
        /// Where to.
        to: String,
        /// Why.
        #[source]
        source: ProxyError,
    },
    /// The bastion let us in but doesn't lead to the guest.
    #[error("the bastion cannot connect to {to}")]
    Through {
        /// Where to.
        to: String,
        /// Why.
        #[source]
        source: Box<russh::Error>,
    },
    /// The bastion itself.
    #[error("the bastion")]
    Bastion(#[source] Box<AttemptError>),
    /// Something accepted the connection, but no SSH server spoke.
    #[error("TCP connected to {to}, but no SSH banner came: {silence}")]
    NoBanner {
        /// Where.
        to: String,
        /// How it kept silent.
        silence: Silence,
    },
    /// An SSH server spoke, but no encrypted connection came of it.
    #[error("{to} answers as {greeting:?}, but the key exchange failed")]
    Handshake {
        /// Where.
        to: String,
        /// What it said first.
        greeting: String,
        /// Why.
        #[source]
        source: Box<russh::Error>,
    },
    /// An SSH server spoke, but was not done in time.
    #[error("{to} answers as {greeting:?}, but did not let us in within {} s", limit.as_secs())]
    Slow {
        /// Where.
        to: String,
        /// What it said first.
        greeting: String,
        /// The time it had.
        limit: Duration,
    },
    /// The login was refused.
    #[error("authentication failed as {user:?}; tried: {}{}", list(tried), also(details))]
    Login {
        /// Who.
        user: String,
        /// With what.
        tried: Vec<String>,
        /// What else there is to know.
        details: Vec<String>,
    },
    /// A tunnel could not be set up.
    #[error("cannot set up the tunnel of port {port}")]
    Tunnel {
        /// The port that was to be listened on.
        port: u16,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "nothing that the server takes".to_owned() } else { words.join(", ") }
}

fn also(details: &[String]) -> String {
    details.iter().map(|d| format!("; {d}")).collect()
}

impl AttemptError {
    /// Whether the login was refused: the one kind that counts as a handshake attempt.
    pub fn is_login(&self) -> bool {
        match self {
            Self::Login { .. } => true,
            Self::Bastion(inner) => inner.is_login(),
            _ => false,
        }
    }

    /// Whether something connected and then kept silent.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::NoBanner { silence: Silence::Quiet(_), .. })
    }

    /// The kind, for a summary of many.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "the guest had no address",
            Self::Dial { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
                "connection refused"
            }
            Self::Dial { .. } => "no connection",
            Self::Proxy { .. } => "no connection through the proxy",
            Self::Bastion(_) => "the bastion was out of reach",
            Self::Through { .. } => "no connection through the bastion",
            Self::NoBanner { silence: Silence::Quiet(_), .. } => "connected, but silent",
            Self::NoBanner { .. } => "connected, but hung up at once",
            Self::Handshake { .. } => "key exchange failed",
            Self::Slow { .. } => "key exchange or login too slow",
            Self::Login { .. } => "login refused",
            Self::Tunnel { .. } => "tunnel refused",
        }
    }

    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address(_) => "the guest may not have booted, or has no network; look at its screen",
            Self::Login { .. } => {
                "the guest runs, but doesn't know this user, key or password; check what its installer or \
                 cloud-init was given"
            }
            Self::Bastion(_) | Self::Through { .. } => "check the ssh_bastion_* options",
            Self::Proxy { .. } => "check the ssh_proxy_* options",
            Self::Handshake { .. } => {
                "guest and Kiln may share no algorithm; see ssh_ciphers and ssh_key_exchange_algorithms"
            }
            Self::Tunnel { .. } => "check ssh_local_tunnels and ssh_remote_tunnels",
            _ => {
                "the guest may still be booting or installing, or runs no SSH server; look at its screen, and raise ssh_timeout if it was about to finish"
            }
        }
    }
}

/// A connection to a guest, logged in. It stays open as long as it or one of its channels is there.
pub(super) struct Connection {
    pub(super) handle: Handle<Events>,
    pub(super) address: Address,
    /// Whether the guest may use this machine's ssh-agent.
    pub(super) agent_forwarded: bool,
    /// The bastion, which must stay as long.
    _bastion: Option<Handle<Events>>,
}

/// The way to one server.
enum Hop<'a> {
    Direct(&'a Address),
    Proxy(&'a Proxy, &'a Address),
    Through(&'a Handle<Events>, &'a Address),
}

impl Target {
    /// Tries once.
    pub(super) async fn attempt(&self, limits: Limits) -> Result<Connection, AttemptError> {
        let address = self.guest.address().await.map_err(AttemptError::Address)?;
        let agent_forwarded = self.config.session.forward_agent && self.agent.is_reachable().await;
        let bastion = match &self.config.route {
            Route::Bastion(b) => {
                Some(self.bastion(b, limits).await.map_err(|e| AttemptError::Bastion(Box::new(e)))?)
            }
            _ => None,
        };
        let hop = match (&self.config.route, &bastion) {
            (_, Some(handle)) => Hop::Through(handle, &address),
            (Route::Proxy(proxy), _) => Hop::Proxy(proxy, &address),
            _ => Hop::Direct(&address),
        };
        let credentials = Credentials::gather(Sources {
            login: &self.config.login,
            temporary: self.key.as_ref(),
            agent: &self.agent,
            agent_forwarded,
            reporter: &self.reporter,
        })
        .await;
        let tunnels = RemoteTunnels::new(&self.config.tunnels);
        let events = Events::new(tunnels.clone(), agent_forwarded.then(|| self.agent.clone()));
        let handle = self.enter(&hop, &credentials, &events, limits).await?;
        tunnels.open(&handle, limits.handshake).await?;
        Ok(Connection { handle, address, agent_forwarded, _bastion: bastion })
    }

    async fn bastion(&self, bastion: &Bastion, limits: Limits) -> Result<Handle<Events>, AttemptError> {
        let address = Address::new(&bastion.host, bastion.port);
        let credentials = Credentials::gather(Sources {
            login: &bastion.login,
            temporary: None,
            agent: &self.agent,
            agent_forwarded: false,
            reporter: &self.reporter,
        })
        .await;
        let limits = match bastion.login.interactive {
            // A person types.
            true => Limits { handshake: Duration::from_mins(10), ..limits },
            false => limits,
        };
        let events = Events::new(RemoteTunnels::default(), None);
        self.enter(&Hop::Direct(&address), &credentials, &events, limits).await
    }

    /// Connects and logs in. A server that hangs up after some wrong keys is called again for the others.
    async fn enter(
        &self,
        hop: &Hop<'_>,
        credentials: &Credentials,
        events: &Events,
        limits: Limits,
    ) -> Result<Handle<Events>, AttemptError> {
        let (mut next, mut tried) = (0, Vec::new());
        loop {
            let notice = Notice::default();
            let wire = self.hear(hop, limits).await?;
            let greeting = wire.greeting();
            let config = Arc::new(client_config(&self.config));
            let begun = tried.len();
            let work = async {
                let mut handle = client::connect_stream(config, wire, events.noting(&notice)).await?;
                let outcome = credentials.log_in(&mut handle, next, &mut tried).await;
                Ok::<_, russh::Error>((handle, outcome))
            };
            let to = hop.to();
            match timeout(limits.handshake, work).await {
                Err(_) => return Err(AttemptError::Slow { to, greeting, limit: limits.handshake }),
                Ok(Err(source)) => {
                    return Err(AttemptError::Handshake { to, greeting, source: Box::new(source) });
                }
                Ok(Ok((handle, Outcome::Accepted))) => return Ok(handle),
                // Only after at least one more was tried, or a server that always hangs up is called for ever.
                Ok(Ok((_, Outcome::HungUp { .. }))) if tried.is_empty() => {
                    let source = Box::new(russh::Error::HUP);
                    return Err(AttemptError::Handshake { to, greeting, source });
                }
                Ok(Ok((_, Outcome::HungUp { next: n })))
                    if credentials.has_more(n) && tried.len() > begun =>
                {
                    next = n;
                }
                Ok(Ok(_)) => {
                    let details = credentials.missing.iter().cloned().chain(notice.take()).collect();
                    return Err(AttemptError::Login { user: credentials.user().to_owned(), tried, details });
                }
            }
        }
    }

    /// Calls, and calls again beside it for as long as nobody answers: QEMU's user network accepts for a guest whose
    /// network isn't up yet, and delivers such a call late or never.
    async fn hear(&self, hop: &Hop<'_>, limits: Limits) -> Result<Wire, AttemptError> {
        let again = matches!(hop, Hop::Direct(_));
        let mut calls = FuturesUnordered::from_iter([self.call(hop, limits)]);
        loop {
            tokio::select! {
                biased;
                // Of the calls made first, the first to be silent for too long ends the attempt.
                Some(answer) = calls.next() => match answer {
                    Err(error) if !error.is_silence() && !calls.is_empty() => {}
                    answer => return answer,
                },
                () = sleep(limits.call_again), if again => calls.push(self.call(hop, limits)),
            }
        }
    }

    async fn call(&self, hop: &Hop<'_>, limits: Limits) -> Result<Wire, AttemptError> {
        let stream = timeout(limits.dial, hop.open()).await.unwrap_or_else(|_| {
            let source = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            Err(AttemptError::Dial { to: hop.to(), source })
        })?;
        let wire = Wire::greeted(stream, limits.banner, self.config.upkeep.io_timeout).await;
        wire.map_err(|silence| AttemptError::NoBanner { to: hop.to(), silence })
    }
}

impl Hop<'_> {
    fn to(&self) -> String {
        let (Self::Direct(to) | Self::Proxy(_, to) | Self::Through(_, to)) = self;
        to.to_string()
    }

    async fn open(&self) -> Result<Stream, AttemptError> {
        match self {
            Self::Direct(to) => {
                let failed = |source| AttemptError::Dial { to: to.to_string(), source };
                let stream = TcpStream::connect((to.host.as_str(), to.port)).await.map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                Ok(Box::new(stream))
            }
            Self::Proxy(proxy, to) => {
                let stream = proxy::connect(proxy, (&to.host, to.port)).await;
                let stream = stream.map_err(|source| AttemptError::Proxy { to: to.to_string(), source })?;
                Ok(Box::new(stream))
            }
            Self::Through(handle, to) => {
                let channel =
                    handle.channel_open_direct_tcpip(&to.host, u32::from(to.port), "127.0.0.1", 0).await;
                let channel =
                    channel.map_err(|e| AttemptError::Through { to: to.to_string(), source: Box::new(e) })?;
                Ok(Box::new(channel.into_stream()))
            }
        }
    }
}

impl Connection {
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }
}

/// How long a guest may leave probes unanswered before the connection counts as dead. Long, because a guest may
/// stand still for a checkpoint or starve on a loaded machine, and a lost connection costs the whole build.
const SILENCE_LIMIT: Duration = Duration::from_mins(3);

fn client_config(config: &SshConfig) -> client::Config {
    let Upkeep { keep_alive, .. } = config.upkeep;
    let probes = keep_alive.map_or(0, |every| SILENCE_LIMIT.as_millis().div_ceil(every.as_millis().max(1)));
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-Kiln_", env!("CARGO_PKG_VERSION")))),
        preferred: config.algorithms.preferred(),
        keepalive_interval: keep_alive,
        keepalive_max: usize::try_from(probes).unwrap_or(usize::MAX).max(3),
        ..client::Config::default()
    }
}

/// The server's last words on a connection, if it had any.
#[derive(Clone, Debug, Default)]
pub(super) struct Notice(Arc<Mutex<Option<String>>>);

impl Notice {
    pub(super) fn leave(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
