//! Bundles that no kiln would send, over the wire.

use kiln_plan::fingerprint::Fingerprint;
use kiln_proto::bundle::{BundleFiles, Entry, LARGEST_BUNDLE};
use kiln_proto::{Bytes, rest, v1};
use tonic::{Code, Status};

use crate::farm::{Farm, bounded};

/// One entry of an archive: its name, kind, where it leads, the size that it claims, and what is there.
fn entry(name: &str, kind: u8, target: &str, size: u64, contents: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, target.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend_from_slice(contents);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

fn file(name: &str) -> Vec<u8> {
    entry(name, b'0', "", 4, b"text")
}

fn link(name: &str, target: &str) -> Vec<u8> {
    entry(name, b'2', target, 0, b"")
}

fn packed(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = entries.concat();
    archive.resize(archive.len() + 1024, 0);
    rest::seal(1, zstd::encode_all(&archive[..], 1).unwrap())
}

async fn put(farm: &Farm, digest: Fingerprint, parts: Vec<Bytes>) -> Result<(), Status> {
    let parts = parts
        .into_iter()
        .enumerate()
        .map(move |(nth, data)| v1::BundlePart { digest: (nth == 0).then(|| digest.to_string()), data });
    bounded(farm.submission(&farm.operator).put_bundle(tokio_stream::iter(parts))).await.map(drop)
}

#[tokio::test]
async fn what_leads_out_of_a_bundle_or_is_too_large_is_refused_and_leaves_nothing() {
    let farm = Farm::found().await;
    let claims = |size| entry("huge", b'0', "", size, b"little");
    let swelling = vec![0; 300 << 20];
    let table = [
        (vec![file("../up")], Code::InvalidArgument, "it leads out of the bundle"),
        (vec![file("a/../../up")], Code::InvalidArgument, "it leads out of the bundle"),
        (vec![file("/etc/passwd")], Code::InvalidArgument, "it leads out of the bundle"),
        (vec![file("./a")], Code::InvalidArgument, "it is not a plain relative name"),
        (vec![link("l", "/etc/passwd")], Code::InvalidArgument, "it leads out of the bundle"),
        (vec![link("l", "../up")], Code::InvalidArgument, "it leads out of the bundle"),
        (vec![link("d/l", "x/../../../up")], Code::InvalidArgument, "it leads out of the bundle"),
        (vec![link("d", "e"), file("d/f")], Code::InvalidArgument, "a file or a link stands where"),
        (vec![file("a"), file("a")], Code::InvalidArgument, "it is there twice"),
        (vec![entry("h", b'1', "a", 0, b"")], Code::InvalidArgument, "neither a file nor a symbolic link"),
        (vec![entry("c", b'3', "", 0, b"")], Code::InvalidArgument, "neither a file nor a symbolic link"),
        (vec![entry("p", b'6', "", 0, b"")], Code::InvalidArgument, "neither a file nor a symbolic link"),
        (vec![claims(LARGEST_BUNDLE + 1)], Code::ResourceExhausted, "the bundle has more than 512 MiB"),
        (vec![claims(LARGEST_BUNDLE - 1)], Code::InvalidArgument, "the bundle"),
        (
            vec![
                entry("a", b'0', "", swelling.len() as u64, &swelling),
                entry("b", b'0', "", swelling.len() as u64, &swelling),
            ],
            Code::ResourceExhausted,
            "the bundle has more than 512 MiB",
        ),
        (vec![file("a")], Code::InvalidArgument, "as it was announced"),
    ];
    let anything = Fingerprint::of_bytes(b"");
    for (entries, code, told) in table {
        let packed = packed(&entries);
        assert!(packed.len() < 1 << 20, "it is small on the wire");
        let status = put(&farm, anything, vec![packed.into()]).await.unwrap_err();
        assert!(status.code() == code && status.message().contains(told), "{told}: {status}");
    }
    for rubbish in
        [&b""[..], b"rubbish", &rest::seal(1, b"no archive".to_vec()), &rest::seal(99, b"".to_vec())]
    {
        let status = put(&farm, anything, vec![rubbish.to_vec().into()]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    assert_eq!(farm.handle.store().list("bundles").await.unwrap(), []);
    let found = v1::FindBundleRequest { digest: anything.to_string() };
    let found = bounded(farm.submission(&farm.operator).find_bundle(found)).await.unwrap();
    assert!(!found.into_inner().found);

    let mut good = BundleFiles::default();
    let contents = Bytes::from_static(b"build {}");
    good.add("t.pkr.hcl", Entry::File { contents, executable: false }).unwrap();
    put(&farm, good.digest(), vec![good.pack().unwrap().into()]).await.unwrap();
}

#[tokio::test]
async fn a_message_has_a_bound_of_its_own() {
    let farm = Farm::found().await;
    let anything = Fingerprint::of_bytes(b"");
    let status = put(&farm, anything, vec![vec![7; 65 << 20].into()]).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    assert_eq!(farm.handle.store().list("bundles").await.unwrap(), []);
}
