//! A farm is founded once, an attempt that broke off is taken up again, and certificates are renewed in time.

use kiln_lang::Diagnostics;

use super::*;
use crate::admission::{Asked, Evaluated};

/// Nothing is submitted here.
#[derive(Debug)]
struct Nothing;

impl Evaluator for Nothing {
    fn evaluate(&self, _asked: &Asked<'_>) -> Evaluated {
        Evaluated { plans: Vec::new(), diagnostics: Diagnostics::new(), questions: Vec::new() }
    }
}

fn settings(directory: &Path) -> Settings {
    Settings { storage: Storage::Directory(directory.to_owned()), ..Settings::farm_of_one() }
}

async fn found(directory: &Path) -> Result<(Handle, Founded), FoundError> {
    Coordinator::found(settings(directory), Arc::new(Nothing), &["farm.example".to_owned()]).await
}

#[tokio::test]
async fn a_directory_belongs_to_one_farm() {
    let directory = tempfile::tempdir().unwrap();
    let (handle, founded) = found(directory.path()).await.unwrap();
    assert_eq!(founded.operator.trust(), Trust::Pinned(founded.authority));
    handle.shut_down(Duration::from_secs(5)).await;
    let again = found(directory.path()).await.unwrap_err();
    assert!(matches!(again, FoundError::AlreadyFounded { .. }), "{again}");
    let memory = Coordinator::found(Settings::farm_of_one(), Arc::new(Nothing), &[]).await.unwrap_err();
    assert!(matches!(memory, FoundError::NoDirectory), "{memory}");
}

#[tokio::test]
async fn founding_that_broke_off_is_taken_up_again() {
    let directory = tempfile::tempdir().unwrap();
    let (handle, first) = found(directory.path()).await.unwrap();
    handle.shut_down(Duration::from_secs(5)).await;
    // As if the machine had stopped just before the end.
    std::fs::remove_file(Place::new(directory.path()).certificate()).unwrap();
    let (handle, second) = found(directory.path()).await.unwrap();
    assert_eq!(first.authority, second.authority, "the farm keeps its authority");
    assert_ne!(first.operator, second.operator);
    handle.shut_down(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_coordinator_renews_its_own_certificate_when_a_third_of_its_life_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let (handle, _) = found(directory.path()).await.unwrap();
    let (coordinator, place) = (&handle.coordinator, Place::new(directory.path()));
    let fresh = place.credentials().unwrap();
    assert!(!coordinator.renew_own(&place, &fresh).unwrap());
    for days in [21, 29, 45] {
        let then = coordinator.clock.now().0 - days * 24 * 3_600_000;
        let authority = coordinator.ledger.read(|farm| coordinator.identity.authority(farm)).unwrap();
        let key = PrivateKey::generate().unwrap();
        let life = coordinator.settings.certificates.coordinator;
        let subject = Subject { peer: Peer::Coordinator(1), names: vec!["farm.example".to_owned()], life };
        let old = certify(&authority, &key, &subject, kiln_model::Timestamp(then)).unwrap();
        place.settle(&key, &old.chain, authority.pem()).unwrap();
        let credentials = place.credentials().unwrap();
        let before = credentials.expires().unwrap();
        assert!(coordinator.renew_own(&place, &credentials).unwrap(), "{days} days old");
        assert!(credentials.expires().unwrap() > before, "what is running shows the new one");
        assert_eq!(place.credentials().unwrap().expires(), credentials.expires(), "and so does the disk");
        assert_eq!((credentials.peer(), credentials.names()), (fresh.peer(), fresh.names()));
    }
}
