//! Both stores behave alike.

use super::*;

#[tokio::test]
async fn a_plan_is_kept_by_its_content_until_it_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = Storage::Directory(directory.path().to_owned());
    for storage in [Storage::Memory, on_disk] {
        let store = open(&storage).unwrap();
        let fingerprint = store.put(Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(fingerprint, Fingerprint::of_bytes(b"{}"));
        assert_eq!(store.put(Bytes::from_static(b"{}")).await.unwrap(), fingerprint, "twice is once");
        assert_eq!(store.get(fingerprint).await.unwrap().as_deref(), Some(&b"{}"[..]));
        store.remove(fingerprint).await.unwrap();
        store.remove(fingerprint).await.unwrap();
        assert_eq!(store.get(fingerprint).await.unwrap(), None);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn plans_on_disk_are_private() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let store = open(&Storage::Directory(directory.path().to_owned())).unwrap();
    store.put(Bytes::from_static(b"secret")).await.unwrap();
    let plans = directory.path().join("plans");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files: Vec<_> =
        std::fs::read_dir(&plans).unwrap().map(|entry| mode(&entry.unwrap().path())).collect();
    assert_eq!((mode(&plans), files), (0o700, vec![0o600]));
}
