//! How a farm begins, and how another coordinator joins it; and what a coordinator keeps of its own identity.
//!
//! ```text
//!   data directory (0700)
//!     farm.key          0600   the farm's keys, the same at every coordinator
//!     coordinator.pem   0600   private key and certificate of this one
//!     authority.pem     0644   the farm's authority, for whoever wants to check
//!     audit/            0700
//!
//!   found:  farm key ─► authority, into the ledger ─► own certificate ─► first operator's token, shown once
//!   join:   token ─► number, certificate, farm key ─► starts, announces itself ─► is brought up to date ─► votes
//! ```

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kiln_model::{Action, IdentityAction, IdentityRefusal, Outcome, Projects, Refusal, Role, TokenUse};
use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::Problem;
use kiln_proto::token::Token;
use kiln_proto::transport::{
    Credentials, CredentialsError, Endpoint, Identity as Shown, KeyError, Peer, PrivateKey, Trust, dial,
};
use kiln_proto::v1;
use kiln_proto::v1::identity_client::IdentityClient;

#[cfg(test)]
mod tests;

use super::authority::{Authority, AuthorityError, Certified, Requested, Subject, fingerprint};
use super::farm_key::{FarmKeyError, Sealer};
use super::tokens;
use crate::ledger::Storage;
use crate::{Coordinator, Evaluator, Handle, ProposeError, Settings, StartError};

/// How long joining may take in all.
const JOIN_LIMIT: Duration = Duration::from_secs(60);

/// How long being brought up to date and voted in may take.
const ANNOUNCE_LIMIT: Duration = Duration::from_secs(90);

/// The name of the first operator's token.
const FIRST_OPERATOR: &str = "first operator";

/// A coordinator's data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(PathBuf);

/// A farm was founded.
#[derive(Debug)]
pub struct Founded {
    /// The first operator's token. The farm keeps only its digest, so this is the time to write it down.
    pub operator: Token,
    /// The SHA-256 of the authority's certificate.
    pub authority: Fingerprint,
}

/// A farm could not be founded, or joined.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// It would not outlive the process.
    #[error("a farm that keeps nothing can't be founded; give it a directory")]
    NoDirectory,
    /// It has been done.
    #[error("{} belongs to a farm already", path.display())]
    AlreadyFounded {
        /// The directory.
        path: PathBuf,
    },
    /// The farm key could not be made or read.
    #[error("failed to prepare the farm key")]
    FarmKey(#[source] FarmKeyError),
    /// A file could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The coordinator did not start.
    #[error("failed to start the coordinator that founds the farm")]
    Start(#[source] StartError),
    /// The authority could not be made, or could not certify.
    #[error("failed to make certificates")]
    Authority(#[source] AuthorityError),
    /// The own key could not be made.
    #[error("failed to make this coordinator's key")]
    Key(#[source] KeyError),
    /// The ledger did not take it.
    #[error("failed to write the farm's authority into the ledger")]
    Propose(#[source] ProposeError),
    /// The ledger refused it.
    #[error("the farm refused")]
    Refused(#[source] Refusal),
    /// What was written can't be used.
    #[error("the certificates can't be used")]
    Credentials(#[source] CredentialsError),
    /// The farm that was asked said no, or was not reached.
    #[error("failed to join the farm")]
    Join(#[source] Problem),
    /// No answer came.
    #[error("the farm did not answer in time")]
    TimedOut,
    /// The farm answered with another authority than the token names.
    #[error("the farm answered with another authority than the token names")]
    OtherAuthority,
}

/// Makes a directory that only its owner can enter; one that is there is left as it is.
pub(crate) fn private_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

impl Place {
    /// The place of a coordinator that keeps its data in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// The farm's keys.
    pub fn farm_key(&self) -> PathBuf {
        self.0.join("farm.key")
    }

    /// This coordinator's private key and certificate.
    pub fn certificate(&self) -> PathBuf {
        self.0.join("coordinator.pem")
    }

    /// The authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.0.join("authority.pem")
    }

    /// The farm that it belongs to: the SHA-256 of the authority's certificate. `None` before it was founded or joined.
    pub fn farm(&self) -> Option<Fingerprint> {
        fingerprint(&std::fs::read_to_string(self.authority()).ok()?)
    }

    /// Where the audit lies.
    pub fn audit(&self) -> PathBuf {
        self.0.join("audit")
    }

    /// The farm's keys, when they are here.
    ///
    /// # Errors
    /// When they can't be read, or others can read them.
    pub fn sealer(&self) -> Result<Option<Sealer>, FarmKeyError> {
        let path = self.farm_key();
        if path.exists() { Sealer::load(&path).map(Some) } else { Ok(None) }
    }

    /// What this coordinator shows and whom it trusts, once it has founded or joined a farm.
    ///
    /// # Errors
    /// When a file is missing or damaged.
    pub fn credentials(&self) -> Result<Credentials, CredentialsError> {
        Credentials::load(&self.certificate(), &self.certificate(), &self.authority())
    }

    /// Whether a farm was founded or joined here.
    pub fn is_settled(&self) -> bool {
        self.certificate().exists()
    }

    /// Writes a file whole or not at all.
    fn write(&self, path: PathBuf, bytes: &[u8], private: bool) -> Result<(), FoundError> {
        let written = || {
            private_directory(&self.0)?;
            let beside = path.with_extension("new");
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, if private { 0o600 } else { 0o644 });
            let mut file = options.open(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)?;
            std::fs::File::open(&self.0)?.sync_all()
        };
        written().map_err(|source| FoundError::Write { path: path.clone(), source })
    }

    /// Makes the farm key, unless an earlier attempt has.
    fn prepare(&self) -> Result<(), FoundError> {
        if self.sealer().map_err(FoundError::FarmKey)?.is_some() {
            return Ok(());
        }
        let sealer = Sealer::generate().map_err(FoundError::FarmKey)?;
        self.write(self.farm_key(), sealer.to_text().as_bytes(), true)
    }

    /// Keeps a certificate with its key.
    fn settle(&self, key: &PrivateKey, chain: &str, authority: &str) -> Result<(), FoundError> {
        self.write(self.authority(), authority.as_bytes(), false)?;
        self.write(self.certificate(), format!("{}{chain}", key.to_pem()).as_bytes(), true)
    }
}

impl Coordinator {
    /// Founds a farm in the directory of `settings`, and returns its first coordinator, running. `names` are those by
    /// which it is reached, for its certificate. An attempt that was broken off is taken up again.
    ///
    /// # Errors
    /// When the directory belongs to a farm, or a file or the ledger can't be written.
    pub async fn found(
        settings: Settings,
        evaluator: Arc<dyn Evaluator>,
        names: &[String],
    ) -> Result<(Handle, Founded), FoundError> {
        let Storage::Directory(directory) = &settings.storage else { return Err(FoundError::NoDirectory) };
        let place = Place::new(directory);
        if place.is_settled() {
            return Err(FoundError::AlreadyFounded { path: directory.clone() });
        }
        place.prepare()?;
        let handle = Self::start(settings, evaluator).await.map_err(FoundError::Start)?;
        let founded = handle.coordinator.begin_farm(&place, names).await?;
        Ok((handle, founded))
    }

    async fn begin_farm(&self, place: &Place, names: &[String]) -> Result<Founded, FoundError> {
        let now = self.clock.now();
        let sealer = self.identity.sealer();
        let sealer = sealer.ok_or(FoundError::Authority(AuthorityError::NoFarmKey))?;
        let (_, authority) = Authority::found(sealer, now).map_err(FoundError::Authority)?;
        match self.change(IdentityAction::FoundFarm { authority }).await {
            Ok(()) | Err(FoundError::Refused(Refusal::Identity(IdentityRefusal::AlreadyFounded))) => {}
            Err(error) => return Err(error),
        }
        let authority = self.ledger.read(|farm| self.identity.authority(farm));
        let authority = authority.map_err(FoundError::Authority)?;
        let key = PrivateKey::generate().map_err(FoundError::Key)?;
        let subject = Subject {
            peer: Peer::Coordinator(kiln_model::identity::FOUNDER),
            names: names.to_vec(),
            life: self.settings.certificates.coordinator,
        };
        let certified = certify(&authority, &key, &subject, now)?;
        let usage = TokenUse::Client { role: Role::Operator, projects: Projects::All };
        let made = tokens::make(FIRST_OPERATOR, usage, None, authority.fingerprint());
        let (operator, token) = made.map_err(FoundError::FarmKey)?;
        self.change(IdentityAction::CreateToken { token }).await?;
        place.settle(&key, &certified.chain, authority.pem())?;
        Ok(Founded { operator, authority: authority.fingerprint() })
    }

    async fn change(&self, action: IdentityAction) -> Result<(), FoundError> {
        match self.ledger.propose(Action::Identity(action)).await.map_err(FoundError::Propose)? {
            Outcome::Refused(refusal) => Err(FoundError::Refused(refusal)),
            _ => Ok(()),
        }
    }

    /// Gives this coordinator a new certificate when two thirds of the old one's life are over.
    ///
    /// # Errors
    /// When it can't be made or kept; the old one stays.
    pub(crate) fn renew_own(&self, place: &Place, credentials: &Credentials) -> Result<bool, FoundError> {
        let now = self.clock.now();
        if !credentials.until_renewal(Duration::from_millis(now.0)).is_zero() {
            return Ok(false);
        }
        let authority = self.ledger.read(|farm| self.identity.authority(farm));
        let authority = authority.map_err(FoundError::Authority)?;
        let key = PrivateKey::generate().map_err(FoundError::Key)?;
        let subject = Subject {
            peer: credentials.peer(),
            names: credentials.names(),
            life: self.settings.certificates.coordinator,
        };
        let certified = certify(&authority, &key, &subject, now)?;
        let pem = key.to_pem();
        let shown = Shown::from_pem(certified.chain.as_bytes(), pem.as_bytes());
        let trust = Trust::from_pem(authority.pem().as_bytes()).map_err(FoundError::Credentials)?;
        place.settle(&key, &certified.chain, authority.pem())?;
        let replaced = shown.and_then(|shown| credentials.replace(shown, trust));
        replaced.map_err(FoundError::Credentials)?;
        Ok(true)
    }
}

fn certify(
    authority: &Authority,
    key: &PrivateKey,
    subject: &Subject,
    now: kiln_model::Timestamp,
) -> Result<Certified, FoundError> {
    let request = key.request().map_err(FoundError::Key)?;
    let requested = Requested::read(&request).map_err(FoundError::Authority)?;
    authority.certify(&requested, subject, now).map_err(FoundError::Authority)
}

/// Tells the farm, through those at `endpoints`, that this coordinator is there and reached at `address`, and asks to be
/// brought up to date and to vote. Does nothing when all of that is so.
///
/// # Errors
/// When no leader could be asked, or it could not be done; asking again helps.
pub async fn announce(
    endpoints: &[Endpoint],
    credentials: &Credentials,
    address: &Endpoint,
) -> Result<(), FoundError> {
    let mut client = IdentityClient::new(dial(endpoints, credentials));
    let request = v1::AnnounceRequest { address: address.to_string() };
    let asked = tokio::time::timeout(ANNOUNCE_LIMIT, client.announce(request));
    let reply = asked.await.map_err(|_| FoundError::TimedOut)?;
    reply.map(drop).map_err(|status| FoundError::Join(status.into()))
}

impl Place {
    /// Joins a farm by a coordinator's token: asks those at `endpoints`, and keeps what they give. `address` is where
    /// this coordinator will be reached. Returns its number; once started under it, it must [`announce`] itself.
    ///
    /// # Errors
    /// When the directory belongs to a farm, the farm refuses, or a file can't be written.
    pub async fn join(
        &self,
        endpoints: &[Endpoint],
        token: &Token,
        address: &str,
    ) -> Result<u64, FoundError> {
        if self.is_settled() {
            return Err(FoundError::AlreadyFounded { path: self.0.clone() });
        }
        let key = PrivateKey::generate().map_err(FoundError::Key)?;
        let request = v1::JoinCoordinatorRequest {
            token: token.reveal(),
            signing_request: key.request().map_err(FoundError::Key)?.into(),
            address: address.to_owned(),
        };
        let credentials = Credentials::anonymous(token.trust()).map_err(FoundError::Credentials)?;
        let mut client = IdentityClient::new(dial(endpoints, &credentials));
        let asked = tokio::time::timeout(JOIN_LIMIT, client.join_coordinator(request));
        let reply = asked.await.map_err(|_| FoundError::TimedOut)?;
        let reply = reply.map_err(|status| FoundError::Join(status.into()))?.into_inner();
        let named = fingerprint(&reply.authority).map(Trust::Pinned);
        if named != Some(token.trust()) {
            return Err(FoundError::OtherAuthority);
        }
        let keys = std::str::from_utf8(&reply.farm_keys).unwrap_or_default();
        Sealer::parse(keys).map_err(FoundError::FarmKey)?;
        self.write(self.farm_key(), keys.as_bytes(), true)?;
        self.settle(&key, &reply.chain, &reply.authority)?;
        self.credentials().map_err(FoundError::Credentials)?;
        Ok(reply.coordinator)
    }
}
