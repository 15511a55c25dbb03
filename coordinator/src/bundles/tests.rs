use kiln_proto::bundle::Entry;

use super::*;
use crate::store::{Store, StoreSettings};

fn sample() -> BundleFiles {
    let mut files = BundleFiles::default();
    // Incompressible, so that there are several parts.
    let noise: Vec<u8> = (0..40u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    files.add("noise", Entry::File { contents: noise.into(), executable: false }).unwrap();
    files
        .add("t.pkr.hcl", Entry::File { contents: Bytes::from_static(b"build {}"), executable: false })
        .unwrap();
    files
}

async fn keep(bundles: &Bundles, digest: Fingerprint, packed: &[u8]) -> Result<(), BundlesError> {
    let mut incoming = Bundles::begin(digest);
    for part in packed.chunks(1 << 20) {
        incoming.take(part)?;
    }
    bundles.keep(incoming).await
}

#[tokio::test]
async fn a_bundle_is_kept_found_read_and_removed() {
    let bundles = Bundles::new(Store::open(&StoreSettings::Memory).unwrap());
    let files = sample();
    let digest = files.digest();
    assert!(!bundles.has(digest).await.unwrap());
    keep(&bundles, digest, &files.pack().unwrap()).await.unwrap();
    assert!(bundles.has(digest).await.unwrap());
    assert_eq!(bundles.files(digest).await.unwrap().unwrap(), files);
    bundles.remove(digest).await.unwrap();
    assert!(!bundles.has(digest).await.unwrap());
    assert_eq!(bundles.vault.store().list("bundles").await.unwrap(), []);
}

#[tokio::test]
async fn what_is_not_what_it_says_is_refused_and_leaves_nothing() {
    let bundles = Bundles::new(Store::open(&StoreSettings::Memory).unwrap());
    let packed = sample().pack().unwrap();
    let other = Fingerprint::of_bytes(b"another");
    assert!(matches!(
        keep(&bundles, other, &packed).await,
        Err(BundlesError::Refused(BundleError::Digest { .. }))
    ));
    assert!(matches!(keep(&bundles, other, b"rubbish").await, Err(BundlesError::Refused(_))));
    assert_eq!(bundles.vault.store().list("bundles").await.unwrap(), []);
}

#[test]
fn more_bytes_than_a_bundle_may_have_are_not_taken() {
    let mut incoming = Bundles::begin(Fingerprint::of_bytes(b""));
    let mebibyte = vec![7; 1 << 20];
    for _ in 0..LARGEST_BUNDLE >> 20 {
        incoming.take(&mebibyte).unwrap();
    }
    assert!(matches!(incoming.take(&[7]), Err(BundlesError::Refused(BundleError::TooLarge))));
}
