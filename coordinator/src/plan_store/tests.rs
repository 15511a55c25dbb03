//! Plans are kept alike in every store.

use super::*;
use crate::store::{Store, StoreSettings};

#[tokio::test]
async fn a_plan_is_kept_by_its_content_until_it_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = StoreSettings::Directory(directory.path().to_owned());
    for settings in [StoreSettings::Memory, on_disk] {
        let plans = PlanStore::new(Store::open(&settings).unwrap());
        let fingerprint = plans.put(Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(fingerprint, Fingerprint::of_bytes(b"{}"));
        assert_eq!(plans.put(Bytes::from_static(b"{}")).await.unwrap(), fingerprint, "twice is once");
        assert_eq!(plans.get(fingerprint).await.unwrap().as_deref(), Some(&b"{}"[..]));
        plans.remove(fingerprint).await.unwrap();
        plans.remove(fingerprint).await.unwrap();
        assert_eq!(plans.get(fingerprint).await.unwrap(), None);
    }
}
