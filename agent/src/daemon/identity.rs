//! Who the agent is to its farm: a certificate, for which it enrols once with a join token, and which it renews as long as
//! it lives.
//!
//! ```text
//!   token ── first start ──► key made, kept ──► enrolled: certificate and authority kept in RUN/identity/
//!                                                   │
//!                 later starts: loaded ◄────────────┤◄──────────────┐
//!                                                   └── at two thirds of its life: renewed, for the same key
//!                                                       (also up to 30 days after its end)
//! ```
//!
//! The token names the authority, so that nobody else is believed at the first contact. It is good for one enrolment;
//! an agent that has a certificate needs it no more.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kiln_plan::id::AgentId;
use kiln_proto::token::{Token, TokenKind};
use kiln_proto::transport::{
    Credentials, CredentialsError, Dialler, Endpoint, Identity, KeyError, Peer, PrivateKey, Trust,
};
use kiln_proto::v1::identity_client::IdentityClient;
use kiln_proto::{Problem, v1};

/// How often it is looked at least whether it is time to renew the certificate: clocks jump.
const LOOK_EVERY: Duration = Duration::from_secs(300);

/// How often at most.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// How long one exchange with the coordinator may take.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);

/// The agent can't show who it is.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It has no certificate and no token.
    #[error(
        "this agent has no certificate in {} and no join token; make one with `kiln farm token create` and put it into \
         KILN_TOKEN, or name its file with -token-file", .0.display()
    )]
    NoToken(PathBuf),
    /// The token is for something else.
    #[error("the token is not one for agents; those begin with kiln_agent_")]
    OtherToken,
    /// A file can't be used.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was being done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The key can't be used.
    #[error("cannot use the agent's key")]
    Key(#[from] KeyError),
    /// The certificates can't be used.
    #[error("cannot use the agent's certificate")]
    Credentials(#[from] CredentialsError),
    /// The certificate is another's.
    #[error("the certificate in {} is no agent's; remove the directory and enrol anew", .0.display())]
    NotAnAgent(PathBuf),
    /// The coordinator refused.
    #[error("the farm did not enrol this agent: {}", .0.message)]
    Refused(Problem),
}

/// Whether the agent of that run directory has a certificate, and needs no token any more.
pub fn is_enrolled(run_dir: &Path) -> bool {
    directory(run_dir).join("chain.pem").exists()
}

/// Where the key and the certificate lie.
fn directory(run_dir: &Path) -> PathBuf {
    run_dir.join("identity")
}

/// The agent's private key.
pub(super) fn key_file(run_dir: &Path) -> PathBuf {
    directory(run_dir).join("key.pem")
}

/// A certificate, the key it is for, and where both lie.
#[derive(Debug)]
pub(super) struct Enrolment {
    directory: PathBuf,
    key: PrivateKey,
    endpoints: Vec<Endpoint>,
    pub(super) agent: AgentId,
    pub(super) dialler: Dialler,
}

impl Enrolment {
    /// The one that lies in `run_dir`, or a new one for `token`.
    pub(super) async fn of(
        run_dir: &Path,
        endpoints: &[Endpoint],
        (name, token): (&str, Option<&Token>),
    ) -> Result<Self, IdentityError> {
        let directory = directory(run_dir);
        let make = DirBuilder::new().recursive(true).mode(0o700).create(&directory);
        make.map_err(file("make", &directory))?;
        let key = key(&key_file(run_dir))?;
        if !directory.join("chain.pem").exists() {
            let token = token.ok_or_else(|| IdentityError::NoToken(directory.clone()))?;
            enrol(&directory, &key, (endpoints, name), token).await?;
        }
        let credentials = Credentials::new(
            identity(&directory, &key)?,
            Trust::from_pem(&read(&directory, "authority.pem")?)?,
        )?;
        let Peer::Agent(agent) = credentials.peer() else { return Err(IdentityError::NotAnAgent(directory)) };
        let dialler = Dialler::new(endpoints, &credentials);
        Ok(Self { directory, key, endpoints: endpoints.to_vec(), agent, dialler })
    }

    /// The certificates of the farm's authorities (DER).
    pub(super) fn authorities(&self) -> Result<Vec<Vec<u8>>, IdentityError> {
        match Trust::from_pem(&read(&self.directory, "authority.pem")?)? {
            Trust::Authorities(all) => Ok(all.iter().map(|certificate| certificate.to_vec()).collect()),
            Trust::Pinned(_) => Ok(Vec::new()),
        }
    }

    /// Renews the certificate whenever it is time. Never ends.
    pub(super) async fn keep_fresh(&self) -> std::convert::Infallible {
        loop {
            if self.dialler.credentials().until_renewal(now()).is_zero() {
                match tokio::time::timeout(EXCHANGE_LIMIT, self.renew()).await {
                    Ok(Ok(())) => {
                        tracing::info!(good_for = ?self.left(), "the agent's certificate was renewed");
                    }
                    Ok(Err(error)) => {
                        let error = kiln_plan::fault::chain(&error);
                        tracing::warn!(error, left = ?self.left(), "the agent's certificate could not be renewed");
                    }
                    Err(_) => {
                        tracing::warn!(left = ?self.left(), "the renewal of the certificate took too long");
                    }
                }
            }
            let pause = self.dialler.credentials().until_next_look(now());
            tokio::time::sleep(pause.clamp(SHORTEST_PAUSE, LOOK_EVERY)).await;
        }
    }

    /// What is left of the certificate's life.
    fn left(&self) -> Duration {
        self.dialler.credentials().left(now())
    }

    async fn renew(&self) -> Result<(), IdentityError> {
        let chain = read(&self.directory, "chain.pem")?;
        let has_ended = self.left().is_zero();
        let channel = if has_ended {
            let trust = Trust::from_pem(&read(&self.directory, "authority.pem")?)?;
            Dialler::new(&self.endpoints, &Credentials::anonymous(trust)?).channel()
        } else {
            self.dialler.channel()
        };
        let ended_chain =
            if has_ended { String::from_utf8_lossy(&chain).into_owned() } else { String::new() };
        let request = v1::RenewRequest { signing_request: self.key.request()?.into(), ended_chain };
        let reply = IdentityClient::new(channel).renew(request).await;
        let reply = reply.map_err(|status| IdentityError::Refused(status.into()))?.into_inner();
        keep(&self.directory, &reply.chain, &reply.authority)?;
        let trust = Trust::from_pem(reply.authority.as_bytes())?;
        Ok(self.dialler.credentials().replace(identity(&self.directory, &self.key)?, trust)?)
    }
}

/// Since the Unix epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Asks for a certificate, trusting only the authority that the token names.
async fn enrol(
    directory: &Path,
    key: &PrivateKey,
    (endpoints, name): (&[Endpoint], &str),
    token: &Token,
) -> Result<(), IdentityError> {
    if token.kind() != TokenKind::Agent {
        return Err(IdentityError::OtherToken);
    }
    let channel = Dialler::new(endpoints, &Credentials::anonymous(token.trust())?).channel();
    let request = v1::EnrolRequest {
        token: token.reveal(),
        signing_request: key.request()?.into(),
        name: name.to_owned(),
    };
    let late = |_| {
        IdentityError::Refused(Problem::new(kiln_proto::Code::Unavailable, "no coordinator answered in time"))
    };
    let reply = tokio::time::timeout(EXCHANGE_LIMIT, IdentityClient::new(channel).enrol(request)).await;
    let reply = reply.map_err(late)?.map_err(|status| IdentityError::Refused(status.into()))?.into_inner();
    tracing::info!(agent = reply.agent, "the agent is enrolled");
    keep(directory, &reply.chain, &reply.authority)
}

fn identity(directory: &Path, key: &PrivateKey) -> Result<Identity, IdentityError> {
    Ok(Identity::from_pem(&read(directory, "chain.pem")?, key.to_pem().as_bytes())?)
}

/// The key in this file; a new one the first time.
fn key(path: &Path) -> Result<PrivateKey, IdentityError> {
    match fs::read_to_string(path) {
        Ok(pem) => Ok(PrivateKey::from_pem(&pem)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = PrivateKey::generate()?;
            write(path, key.to_pem().as_bytes())?;
            Ok(key)
        }
        Err(error) => Err(file("read", path)(error)),
    }
}

/// The authority first: with the chain the agent counts as enrolled.
fn keep(directory: &Path, chain: &str, authority: &str) -> Result<(), IdentityError> {
    write(&directory.join("authority.pem"), authority.as_bytes())?;
    write(&directory.join("chain.pem"), chain.as_bytes())
}

fn read(directory: &Path, name: &str) -> Result<Vec<u8>, IdentityError> {
    let path = directory.join(name);
    fs::read(&path).map_err(file("read", &path))
}

/// Writes a file that nobody else may read, in one piece.
fn write(path: &Path, text: &[u8]) -> Result<(), IdentityError> {
    let new = path.with_extension("new");
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(text)?;
        file.sync_data()?;
        fs::rename(&new, path)
    };
    write().map_err(file("write", path))
}

fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::File { operation, path, source }
}
