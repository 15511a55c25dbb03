//! Streams learn that somebody was revoked; old tokens are forgotten; after the farm key was rotated, the authority is
//! sealed with the new one.

use futures::future::{self, Ready};
use kiln_model::{Action, IdentityAction};

use crate::Coordinator;
use crate::identity::authority::Authority;
use crate::ledger::ProposeError;

pub(super) fn see(coordinator: &Coordinator) -> Ready<Result<usize, ProposeError>> {
    coordinator.identity.saw(coordinator.ledger.read(|farm| farm.identities().revocations()));
    future::ready(Ok(0))
}

pub(super) async fn tidy(coordinator: &Coordinator) -> Result<usize, ProposeError> {
    let now = coordinator.clock.now();
    let (old, authority) = coordinator.ledger.read(|farm| {
        let identities = farm.identities();
        (identities.has_forgettable(now), identities.authority().cloned())
    });
    let mut actions = Vec::new();
    if old {
        actions.push(Action::Identity(IdentityAction::Forget));
    }
    if let (Some(record), Some(sealer)) = (authority, coordinator.identity.sealer()) {
        match Authority::resealed(&record, sealer) {
            Ok(Some(sealed_key)) => {
                actions.push(Action::Identity(IdentityAction::ResealAuthority { sealed_key }));
            }
            Ok(None) => {}
            Err(error) => {
                let error = kiln_plan::fault::chain(&error);
                tracing::error!(error, "the authority can't be opened with this coordinator's farm keys");
            }
        }
    }
    super::propose(coordinator, actions).await
}
