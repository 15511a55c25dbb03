//! Who may take part, and who may do what.
//!
//! ```text
//!   connection ─► Arrival (certificate) ─┐
//!   `authorization: Bearer …` ───────────┼─► Caller ─► rights: one table, deny by default ─► services
//!   `x-kiln-caller` of a coordinator ────┘     │                     │
//!                                              └──────► audit ◄──────┘
//!
//!   founding ─► farm key (file, never in the state) ─► seals ─► the authority's key (in the ledger), plans, bundles
//!   token ─► signing request ─► authority ─► certificate
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use kiln_model::FarmState;
use tokio::sync::watch;

pub mod audit;
pub mod authority;
pub mod caller;
pub mod farm_key;
pub mod founding;
pub(crate) mod layer;
pub mod rights;
pub(crate) mod stream;
pub(crate) mod tokens;
pub(crate) mod vault;

pub use audit::AuditError;
pub use authority::AuthorityError;
pub use caller::Caller;
pub use farm_key::{FarmKeyError, OpenSealedError, Sealer};
pub use founding::{FoundError, Founded, Place, announce};
pub use rights::Need;

use audit::Audit;
use authority::Authority;

/// What a coordinator has to do with identities.
#[derive(Debug)]
pub(crate) struct Identity {
    /// `None` in a farm of one, which keeps nothing.
    sealer: Option<Sealer>,
    audit: Audit,
    /// The opened authority, with the sealed key that it was opened from.
    authority: Mutex<Option<(String, Arc<Authority>)>>,
    /// How many revocations were seen.
    revocations: watch::Sender<u64>,
}

impl Identity {
    pub(crate) fn new(sealer: Option<Sealer>, audit: Audit) -> Self {
        Self { sealer, audit, authority: Mutex::default(), revocations: watch::Sender::new(0) }
    }

    /// The farm's keys, if this coordinator has them.
    pub(crate) const fn sealer(&self) -> Option<&Sealer> {
        self.sealer.as_ref()
    }

    pub(crate) const fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The authority, ready to sign.
    ///
    /// # Errors
    /// When the farm has none, or its key can't be unsealed.
    pub(crate) fn authority(&self, farm: &FarmState) -> Result<Arc<Authority>, AuthorityError> {
        let record = farm.identities().authority().ok_or(AuthorityError::NotFounded)?;
        let mut opened = self.authority.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((sealed, authority)) = &*opened
            && *sealed == record.sealed_key
        {
            return Ok(Arc::clone(authority));
        }
        let sealer = self.sealer.as_ref().ok_or(AuthorityError::NoFarmKey)?;
        let authority = Arc::new(Authority::open(record, sealer)?);
        *opened = Some((record.sealed_key.clone(), Arc::clone(&authority)));
        Ok(authority)
    }

    /// Tells streams how often somebody was turned away, in case it was whoever they are for.
    pub(crate) fn saw(&self, revocations: u64) {
        self.revocations.send_if_modified(|seen| std::mem::replace(seen, revocations) != revocations);
    }

    pub(crate) fn revocations(&self) -> watch::Receiver<u64> {
        self.revocations.subscribe()
    }
}
