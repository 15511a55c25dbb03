//! Memory and a directory behave alike, and links allow what they say and nothing else.

use super::link::LinkQuery;
use super::*;

fn stores() -> (tempfile::TempDir, Vec<Store>) {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = StoreSettings::Directory(directory.path().join("objects"));
    (directory, vec![Store::open(&StoreSettings::Memory).unwrap(), Store::open(&on_disk).unwrap()])
}

#[tokio::test]
async fn an_object_is_there_from_its_put_to_its_delete() {
    let (_directory, stores) = stores();
    for store in stores {
        assert_eq!(store.get("packs/a").await.unwrap(), None);
        assert_eq!(store.head("packs/a").await.unwrap(), None);
        store.put("packs/a", Bytes::from_static(b"0123456789")).await.unwrap();
        store.put("packs/b", Bytes::from_static(b"b")).await.unwrap();
        store.put("plans/c", Bytes::from_static(b"c")).await.unwrap();
        assert_eq!(store.get("packs/a").await.unwrap().as_deref(), Some(&b"0123456789"[..]));
        assert_eq!(store.get_range("packs/a", 2..5).await.unwrap().as_deref(), Some(&b"234"[..]));
        assert_eq!(store.head("packs/a").await.unwrap().unwrap().size, 10);
        let mut keys: Vec<String> = store.list("packs").await.unwrap().into_iter().map(|o| o.key).collect();
        keys.sort();
        assert_eq!(keys, ["packs/a", "packs/b"]);
        store.delete("packs/a").await.unwrap();
        store.delete("packs/a").await.unwrap();
        assert_eq!(store.get("packs/a").await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_is_written_in_pieces_is_there_when_it_is_finished() {
    let (_directory, stores) = stores();
    for store in stores {
        let mut writing = store.write("packs/a").await.unwrap();
        writing.push(Bytes::from(vec![1; 9 << 20])).await.unwrap();
        writing.push(Bytes::from_static(b"end")).await.unwrap();
        assert_eq!(store.head("packs/a").await.unwrap(), None, "not before its end");
        writing.finish().await.unwrap();
        assert_eq!(store.head("packs/a").await.unwrap().unwrap().size, (9 << 20) + 3);
        let mut dropped = store.write("packs/b").await.unwrap();
        dropped.push(Bytes::from_static(b"half")).await.unwrap();
        dropped.abort().await.unwrap();
        assert_eq!(store.list("packs").await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn keys_can_not_leave_the_store() {
    let (_directory, stores) = stores();
    for key in ["", "/", "../x", "packs/../../x", "packs//a", "packs/a b", "packs/\n", "/etc/passwd", "a/./b"]
    {
        for store in &stores {
            let error = store.put(key, Bytes::new()).await.unwrap_err();
            assert!(matches!(error, StoreError::Key(_)), "{key:?}: {error}");
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_of_objects_is_private() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("objects");
    Store::open(&StoreSettings::Directory(path.clone())).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_store_without_an_address_says_so() {
    let store = Store::open(&StoreSettings::Memory).unwrap();
    let error = store.link("packs/a", &Access::Read, Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().starts_with("the object store is memory, which others can't reach"), "{error}");
}

#[test]
fn a_link_allows_what_it_says_and_nothing_else() {
    let links = Links::new("http://farm:1/", &[7; 32]);
    let write = Access::Write { size: 3, sha256: [9; 32] };
    let hour = Duration::from_secs(3_600);
    let url = links.sign("packs/a", &write, hour).url;
    let (path, query) = url.split_once('?').unwrap();
    assert_eq!(path, "http://farm:1/objects/packs/a");
    let check = |method: &str, key: &str, query: &str| links.check(method, key, LinkQuery::parse(query));
    assert_eq!(check("PUT", "packs/a", query), Ok(write.clone()));
    let forged = Err(RefusedLink::Forged);
    assert_eq!(check("GET", "packs/a", query), forged, "it doesn't allow to read");
    assert_eq!(check("PUT", "packs/b", query), forged, "nor another object");
    assert_eq!(check("PUT", "packs/a", &query.replace("size=3", "size=4")), forged);
    assert_eq!(check("PUT", "packs/a", &query.replace("0909", "0908")), forged);
    assert_eq!(check("PUT", "packs/a", "expires=1"), Err(RefusedLink::Incomplete));
    let others = Links::new("http://farm:1", &[8; 32]);
    assert_eq!(others.check("PUT", "packs/a", LinkQuery::parse(query)), forged, "another farm's key");
    let over = links.sign("packs/a", &write, Duration::ZERO).url;
    let (_, query) = over.split_once('?').unwrap();
    assert_eq!(check("PUT", "packs/a", query), Err(RefusedLink::Expired));
    let read = links.sign("packs/a", &Access::Read, hour).url;
    assert_eq!(check("GET", "packs/a", read.split_once('?').unwrap().1), Ok(Access::Read));
}

#[tokio::test]
async fn a_link_to_s3_binds_the_content() {
    let keys = KeyPair { id: "id".into(), secret: kiln_plan::Sensitive::new("secret".to_owned()) };
    let s3 = S3Settings {
        bucket: "images".into(),
        prefix: "farm".into(),
        endpoint: Some("http://127.0.0.1:1".into()),
        keys: Some(keys),
        allow_http: true,
        ..S3Settings::default()
    };
    let store = Store::open(&StoreSettings::S3(s3)).unwrap();
    let write = Access::Write { size: 3, sha256: [0; 32] };
    let link = store.link("packs/a", &write, Duration::from_secs(60)).await.unwrap();
    assert!(link.url.starts_with("http://127.0.0.1:1/images/farm/packs/a?"), "{}", link.url);
    assert!(link.url.contains("X-Amz-SignedHeaders=host%3Bx-amz-checksum-sha256"), "{}", link.url);
    assert_eq!(link.headers[0].0, "x-amz-checksum-sha256");
    assert_eq!(format!("{link:?}"), "Link(…)", "links are secrets while they last");
}
