//! Whatever is written is read again, and nothing that is damaged is taken for sound.

use kiln_plan::id::{AgentId, AttemptId, BuildId, Epoch, ImageId, PackId, TaskId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn provenance() -> Provenance {
    Provenance {
        build: BuildId::new(Uuid::from_u128(1)),
        task: TaskId::new(Uuid::from_u128(2)),
        task_name: "qemu.debian".into(),
        attempt: AttemptId::new(Uuid::from_u128(3)),
        epoch: Epoch(1),
        agent: AgentId::new(Uuid::from_u128(4)),
        agent_name: "a1".into(),
        kiln: "0.1.0".into(),
        bundle: None,
        plan: None,
        inputs: vec![],
        media: vec![],
        tools: std::collections::BTreeMap::new(),
        began_ms: 1,
        ended_ms: 2,
    }
}

fn manifest(files: Vec<(ImageFile, Vec<Piece>)>, chunks: Vec<ChunkEntry>) -> ImageManifest {
    let (files, pieces) = files.into_iter().unzip();
    let head = ManifestHead {
        image: ImageId::new(Uuid::from_u128(5)),
        name: "debian".into(),
        version: 7,
        created_ms: 1_767_225_600_000,
        chunking: Chunking::default(),
        files,
        packs: vec![PackId::new(Uuid::from_u128(6))],
        provenance: provenance(),
    };
    ImageManifest { head, pieces, chunks }
}

fn chunk(n: u8, length: u32) -> ChunkEntry {
    ChunkEntry { id: ChunkId::of(&[n]), length, pack: 0, offset: u32::from(n) * 100, stored: 100 }
}

fn file(path: &str, size: u64) -> ImageFile {
    ImageFile { path: path.into(), size, ..ImageFile::default() }
}

fn small() -> ImageManifest {
    let pieces = vec![Piece::Chunk(0), Piece::Hole(1 << 40), Piece::Chunk(1), Piece::Chunk(0)];
    let files = vec![(file("output/disk", (1 << 40) + 25), pieces), (file("output/empty", 0), vec![])];
    manifest(files, vec![chunk(0, 10), chunk(1, 5)])
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    let manifest = small();
    assert_eq!(ImageManifest::decode(&manifest.encode()).unwrap(), manifest);
}

#[test]
fn a_manifest_that_contradicts_itself_is_refused() {
    type Spoil = fn(&mut ImageManifest);
    let spoilt: [(Spoil, &str); 8] = [
        (|m| m.head.files[0].size += 1, "the pieces of output/disk have 1099511627801 bytes"),
        (|m| m.head.files[0].path = "../x".into(), "leads out of the image"),
        (|m| m.head.files[0].path = "/etc/passwd".into(), "leads out of the image"),
        (|m| m.head.files[1].path = "output/disk".into(), "two files have the same path"),
        (|m| m.pieces[0][0] = Piece::Chunk(2), "names an unknown chunk"),
        (|m| m.chunks[0].pack = 1, "a chunk has no place"),
        (|m| drop(m.pieces.pop()), "2 files have 1 contents"),
        (|m| m.pieces[0].extend([Piece::Hole(u64::MAX >> 1); 3]), "is too large"),
    ];
    for (spoil, expected) in spoilt {
        let mut manifest = small();
        spoil(&mut manifest);
        let error = ImageManifest::decode(&manifest.encode()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
}

#[test]
fn a_manifest_of_a_later_format_is_refused_with_advice() {
    let error = ImageManifest::decode(&crate::rest::seal(2, Vec::new())).unwrap_err();
    let told = kiln_plan::fault::chain(&error);
    assert!(told.contains("format 2, this version reads up to 1"), "{told}");
}

#[test]
fn long_lists_of_chunks_stay_compact() {
    let chunks: Vec<ChunkEntry> = (0..10_000_u32)
        .map(|n| ChunkEntry {
            id: ChunkId::of(&n.to_le_bytes()),
            length: 60_000 + n % 9_000,
            pack: 0,
            offset: n * 30_000,
            stored: 30_000 + n % 7_000,
        })
        .collect();
    let size = chunks.iter().map(|c| u64::from(c.length)).sum();
    let manifest = manifest(vec![(file("disk", size), (0..10_000).map(Piece::Chunk).collect())], chunks);
    let bytes = manifest.encode().len();
    assert!(bytes < 10_000 * 44, "{bytes} bytes for 10,000 chunks, 32 of each are its name");
}

#[test]
fn a_pack_ends_with_its_index() {
    let chunks = vec![
        PackedChunk { id: ChunkId::of(b"a"), length: 10, stored: 4 },
        PackedChunk { id: ChunkId::of(b"b"), length: 20, stored: 5 },
    ];
    let index = PackIndex { pack: PackId::new(Uuid::from_u128(9)), chunks };
    let mut pack = b"aaaabbbbb".to_vec();
    index.finish(&mut pack);
    assert_eq!(PackIndex::from_end(&pack).unwrap(), index);
    assert_eq!(PackIndex::from_end(&pack[9..]).unwrap(), index, "its end will do");
    assert_eq!(index.places().map(|(place, c)| (place, c.stored)).collect::<Vec<_>>(), [(0, 4), (4, 5)]);
    for end in 0..pack.len() {
        assert!(PackIndex::from_end(&pack[..end]).is_err(), "cut at {end}");
    }
    let all = Index { packs: vec![IndexedPack { index, size: pack.len() as u64, sha256: [3; 32] }] };
    assert_eq!(Index::decode(&all.encode()).unwrap(), all);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = ImageManifest::decode(&bytes);
        let _ = ImageManifest::decode(&crate::rest::seal(1, bytes.clone()));
        let packed = zstd::bulk::compress(&bytes, 1).unwrap();
        let _ = ImageManifest::decode(&crate::rest::seal(1, packed.clone()));
        let _ = Index::decode(&crate::rest::seal(1, packed));
        let _ = PackIndex::from_end(&bytes);
    }

    #[test]
    fn a_damaged_manifest_is_never_read_as_another(at in 0_usize..400, flip in 1_u8..=255) {
        let manifest = small();
        let mut bytes = manifest.encode();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        // The ledger has its digest; what must hold here is only that nothing panics and lengths fit.
        if let Ok(read) = ImageManifest::decode(&bytes) {
            prop_assert_eq!(read.head.files.len(), read.pieces.len());
        }
    }
}
