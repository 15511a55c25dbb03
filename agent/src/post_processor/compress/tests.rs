use std::fs;
use std::path::Path;

use kiln_component::{Journal, Program};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::post_processor::testing::Bench;

/// Runs a real tool and takes what it writes.
async fn tool(directory: &Path, command: &str) -> Vec<u8> {
    let program = Program::new("/bin/sh").arg("-c").arg(command).directory(directory);
    let output = program.output(&Journal::in_memory(), &CancellationToken::new()).await.unwrap();
    output.require_success().unwrap_or_else(|e| panic!("{command}: {e}")).stdout
}

/// Bytes that compress a little: words and noise.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut out = Vec::with_capacity(length + 16);
    while out.len() < length {
        match next() % 3 {
            0 => out.extend(next().to_le_bytes()),
            _ => out.extend(b"all work and no play "),
        }
    }
    out.truncate(length);
    out
}

#[tokio::test]
async fn what_is_compressed_the_real_tools_unpack() {
    let cases = [
        ("d.gz", "gzip -dc d.gz"),
        ("d.bgzf", "gzip -dc < d.bgzf"),
        ("d.xz", "xz -dc d.xz"),
        ("d.lz4", "lz4 -dc d.lz4"),
        ("d.bzip2", "bzip2 -dc < d.bzip2"),
        ("d.zip", "unzip -p d.zip"),
        ("d.tar", "tar -xOf d.tar"),
        ("d.tar.gz", "tar -xOzf d.tar.gz"),
        ("d.tar.xz", "tar -xOJf d.tar.xz"),
        ("d.tar.lz4", "lz4 -dc d.tar.lz4 | tar -xOf -"),
        ("d.tar.bzip2", "bzip2 -dc < d.tar.bzip2 | tar -xOf -"),
        ("plain", "tar -xOzf plain"),
    ];
    // The longest takes the block compressors several rounds; the others have no rounds.
    for length in [0, 1, 1_500_000, 20_000_000] {
        let content = sample(length);
        let blocks = |(output, _): &&(&str, &str)| output.ends_with(".gz") || output.ends_with(".bgzf");
        for (output, command) in cases.iter().filter(|case| length < 2_000_000 || blocks(case)) {
            let bench = Bench::new("compress", &[("output", output)]);
            bench.file("disk.raw", &content);
            let processed = bench.process(&["disk.raw"]).await.unwrap();
            assert_eq!(processed.keep, Keep::DropByDefault);
            assert_eq!(processed.artifact.unwrap().files(), [bench.path(output)]);
            let unpacked = tool(bench.directory(), command).await;
            assert!(unpacked == content, "{output} of {length} bytes: {} came out", unpacked.len());
        }
    }
}

#[tokio::test]
async fn every_level_unpacks_and_nine_is_not_larger_than_one() {
    let content = sample(2_500_000);
    let mut sizes = Vec::new();
    for level in ["1", "6", "9", "12", "0", "-1"] {
        let bench = Bench::new("compress", &[("output", "d.gz"), ("compression_level", level)]);
        bench.file("disk.raw", &content);
        bench.process(&["disk.raw"]).await.unwrap();
        assert!(tool(bench.directory(), "gzip -dc d.gz").await == content, "level {level}");
        sizes.push(fs::metadata(bench.path("d.gz")).unwrap().len());
    }
    assert!(sizes[2] <= sizes[0], "{sizes:?}");
    assert_eq!(sizes[2], sizes[3], "levels above 9 are 9");
    assert_eq!((sizes[1], sizes[1]), (sizes[4], sizes[5]), "0 and -1 leave it open");
}

#[tokio::test]
async fn archives_hold_all_files_and_nothing_that_changes() {
    let bench = Bench::new("compress", &[("output", "out/{{.BuildName}}_{{.BuilderType}}.tar")]);
    bench.file("deep/a", b"1");
    bench.file("b", b"22");
    bench.process(&["deep/a", "b"]).await.unwrap();
    let listing = tool(bench.directory(), "TZ=UTC tar -tvf out/test_file.tar").await;
    let listing = String::from_utf8(listing).unwrap();
    let words: Vec<Vec<&str>> = listing.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(words[0][1..], ["0/0", "1", "1970-01-01", "00:00", "a"]);
    assert_eq!(words[1][1..], ["0/0", "2", "1970-01-01", "00:00", "b"]);

    let bench = Bench::new("compress", &[("output", "out.zip")]);
    bench.file("deep/a", b"1");
    bench.file("b", b"22");
    bench.process(&["deep/a", "b"]).await.unwrap();
    let names = tool(bench.directory(), "unzip -Z1 out.zip").await;
    assert_eq!(String::from_utf8(names).unwrap(), "deep/a\nb\n");
}

#[tokio::test]
async fn several_files_need_an_archive() {
    let bench = Bench::new("compress", &[("output", "d.gz")]);
    bench.file("a", b"1");
    bench.file("b", b"2");
    let failure = bench.process(&["a", "b"]).await.unwrap_err();
    assert!(failure.message.contains("there must be exactly one"), "{failure}");
    assert!(!bench.path("d.gz").exists());
}

#[tokio::test]
async fn a_failure_leaves_no_output() {
    let bench = Bench::new("compress", &[("output", "d.tar.gz")]);
    let failure = bench.process(&["absent"]).await.unwrap_err();
    assert!(failure.message.contains("absent"), "{failure}");
    assert!(!bench.path("d.tar.gz").exists());
}

#[tokio::test]
async fn cancellation_ends_it_and_leaves_no_output() {
    let bench = Bench::new("compress", &[("output", "d.gz")]);
    bench.file("disk.raw", &sample(100_000));
    bench.cx.cancel.cancel();
    assert!(bench.process(&["disk.raw"]).await.unwrap_err().cancelled);
    assert!(!bench.path("d.gz").exists());
}
