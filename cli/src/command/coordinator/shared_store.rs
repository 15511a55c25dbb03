//! All coordinators of a farm have one object store, and no two farms share one. Settings can say otherwise by mistake;
//! each coordinator looks before it takes part.

use std::time::Duration;

use kiln_coordinator::identity::Place;
use kiln_coordinator::store::Owner;
use kiln_coordinator::{Store, StoreSettings};
use kiln_plan::fault::chain;
use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::token::Token;
use kiln_proto::transport::Trust;

/// A store that doesn't answer keeps no coordinator from starting; it is waited for this long.
const LOOK: Duration = Duration::from_secs(10);

/// Looks whether a farm can be founded on a store: it has no other. A place that has a farm already is for others to refuse.
pub(super) async fn may_found(settings: &StoreSettings, place: &Place) -> Result<Store, String> {
    let store = Store::open(settings).map_err(|error| chain(&error))?;
    if place.is_settled() {
        return Ok(store);
    }
    match store.owner().await.map_err(|error| chain(&error))? {
        Owner::Nobody => Ok(store),
        Owner::Farm(_) | Owner::Unknown => Err(format!(
            "the object store {} belongs to another farm; give this one a bucket, a prefix or a directory of its own",
            store.place()
        )),
    }
}

/// Looks whether the store is that of the farm that a token is for.
pub(super) async fn may_join(settings: &StoreSettings, token: &Token) -> Result<(), String> {
    let Trust::Pinned(farm) = token.trust() else { return Ok(()) };
    let store = Store::open(settings).map_err(|error| chain(&error))?;
    let owner = store.owner().await.map_err(|error| chain(&error))?;
    if owner == Owner::Farm(farm) { Ok(()) } else { Err(other(&store)) }
}

/// Looks whether the store is still the farm's. The first coordinator marks one that nobody has: a farm may get a new one.
pub(super) async fn may_start(settings: &StoreSettings, place: &Place, number: u64) -> Result<(), String> {
    let Some(farm) = place.farm() else { return Ok(()) };
    let store = Store::open(settings).map_err(|error| chain(&error))?;
    match tokio::time::timeout(LOOK, look(&store, farm, number)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(other(&store)),
        Ok(Err(error)) => {
            tracing::warn!(error = chain(&error), "whether the object store is the farm's can't be told now");
            Ok(())
        }
        Err(_) => {
            tracing::warn!(store = store.place(), "the object store does not answer");
            Ok(())
        }
    }
}

async fn look(
    store: &Store,
    farm: Fingerprint,
    number: u64,
) -> Result<bool, kiln_coordinator::store::StoreError> {
    match store.owner().await? {
        Owner::Farm(owner) => Ok(owner == farm),
        Owner::Nobody if number == 1 => store.mark(farm).await.map(|()| true),
        Owner::Nobody | Owner::Unknown => Ok(false),
    }
}

fn other(store: &Store) -> String {
    format!(
        "the object store {} is not the farm's; all coordinators need the same one (objects, s3, gcs or azure in the settings)",
        store.place()
    )
}
