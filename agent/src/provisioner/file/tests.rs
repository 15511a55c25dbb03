//! Files into and out of a guest for which a real sshd of this machine stands.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kiln_plan::Failure;
use serde_json::{Value as Json, json};

use super::*;
use crate::communicator::testing::{bounded, mode, until};
use crate::provisioner::testing::{Bench, processes_with};
use crate::provisioner::tests::expect_fields;

#[test]
fn the_schema_is_what_is_decoded() {
    expect_fields::<Options>(&schema());
}

async fn run(bench: &Bench, options: Json) -> Result<(), Failure> {
    bounded(bench.run("file", options)).await
}

/// As [`run`], for what is bound by a busy machine's disk.
async fn run_large(bench: &Bench, options: Json) {
    let work = bench.run("file", options);
    let limit = Duration::from_mins(5);
    tokio::time::timeout(limit, work).await.expect("the transfer takes too long").unwrap();
}

#[test]
fn the_check_finds_what_is_wrong() {
    let bench = Bench::alone();
    bench.write("there", "", 0o644);
    let cases = [
        (json!({"source": "there", "destination": "/x"}), ""),
        (json!({"sources": ["there", "."], "destination": "/x"}), ""),
        (json!({"content": "x", "destination": "/x"}), ""),
        (json!({"destination": "/x"}), ""),
        (json!({"source": "missing", "destination": "/x", "generated": true}), ""),
        (json!({"source": "missing", "destination": "x", "direction": "download"}), ""),
        (json!({"source": "there"}), "Missing destination"),
        (json!({"source": "missing", "destination": "/x"}), "Bad source 'missing'"),
        (
            json!({"source": "there", "content": "x", "destination": "/x"}),
            "Only one of source(s) and content",
        ),
        (json!({"source": "there", "destination": "/x", "direction": "up"}), "Invalid direction"),
    ];
    for (options, expected) in cases {
        let found = bench.check("file", options.clone()).join("\n");
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{options}: {found}");
    }
}

/// Everything below a directory, with modes: `755 d/ 644 d/f=content`.
fn tree(root: &Path) -> String {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for path in fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()) {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            match path.is_dir() {
                true => {
                    found.push((name.clone(), format!("{:o} {name}/", mode(&path))));
                    left.push(path);
                }
                false => {
                    let content = fs::read_to_string(&path).unwrap();
                    found.push((name.clone(), format!("{:o} {name}={content}", mode(&path))));
                }
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join(" ")
}

fn fill(bench: &Bench) {
    bench.write("run.sh", "sh", 0o755);
    bench.write("secret", "s", 0o600);
    bench.write("dir/a", "a", 0o640);
    bench.write("dir/sub/b", "b", 0o644);
}

#[tokio::test]
async fn uploads_land_where_scp_would_put_them_with_their_modes() {
    let cases = [
        (json!({"source": "run.sh"}), "new", "755 new=sh"),
        (json!({"source": "secret"}), "there/", "755 there/ 600 there/secret=s"),
        (
            json!({"sources": ["run.sh"], "source": "secret"}),
            "there/",
            "755 there/ 755 there/run.sh=sh 600 there/secret=s",
        ),
        (json!({"content": "text"}), "new", "600 new=text"),
        (
            json!({"source": "dir"}),
            "there",
            "755 there/ 755 there/dir/ 640 there/dir/a=a 755 there/dir/sub/ 644 there/dir/sub/b=b",
        ),
        (json!({"source": "dir/"}), "there", "755 there/ 640 there/a=a 755 there/sub/ 644 there/sub/b=b"),
        (json!({"source": "dir"}), "new", "755 new/ 640 new/a=a 755 new/sub/ 644 new/sub/b=b"),
        (json!({"source": "dir/"}), "new", "755 new/ 640 new/a=a 755 new/sub/ 644 new/sub/b=b"),
        (json!({}), "new", ""),
    ];
    for (mut options, destination, expected) in cases {
        let bench = Bench::new().await;
        fill(&bench);
        if destination.starts_with("there") {
            fs::create_dir(bench.guest("there")).unwrap();
        }
        options["destination"] = bench.guest_text(destination).into();
        run(&bench, options.clone()).await.unwrap();
        assert_eq!(tree(&bench.guest("")), expected, "{options}");
    }
}

#[tokio::test]
async fn content_for_a_directory_gets_a_name() {
    let bench = Bench::new().await;
    run(&bench, json!({"content": "text", "destination": bench.guest_text("") + "/"})).await.unwrap();
    let there = tree(&bench.guest(""));
    assert!(there.starts_with("600 pkr-file-content") && there.ends_with("=text"), "{there}");
}

#[tokio::test]
async fn downloads_make_the_directories_that_they_need() {
    let cases = [
        (json!({"source": "run.sh"}), "new/copy", "755 new/ 644 new/copy=sh"),
        (json!({"source": "secret"}), "new/deep/", "755 new/ 755 new/deep/ 644 new/deep/secret=s"),
        (json!({"sources": ["run.sh", "secret"]}), "new/", "755 new/ 644 new/run.sh=sh 644 new/secret=s"),
        (json!({"source": "dir/s*"}), "new", "755 new/ 755 new/sub/ 644 new/sub/b=b"),
        (json!({"sources": ["[r]un*", "secret"]}), "new/", "755 new/ 755 new/run.sh=sh 644 new/secret=s"),
    ];
    for (mut options, destination, expected) in cases {
        let bench = Bench::new().await;
        fill(&bench);
        // The guest sees this machine's files.
        let there = |source: &Json| Json::from(bench.local(source.as_str().unwrap()).display().to_string());
        if let Some(sources) = options["sources"].as_array() {
            options["sources"] = sources.iter().map(there).collect();
        }
        if options["source"].is_string() {
            options["source"] = there(&options["source"]);
        }
        options["direction"] = "download".into();
        options["destination"] = format!("out/{destination}").into();
        run(&bench, options.clone()).await.unwrap();
        assert_eq!(tree(&bench.local("out")), expected, "{options}");
    }
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let bench = Bench::new().await;
    let cases = [
        (json!({"source": "gone", "generated": true, "destination": "/tmp/x"}), "cannot read"),
        (
            json!({"content": "x", "destination": "/nonexistent/dir/x"}),
            "cannot write /nonexistent/dir/x in the guest",
        ),
        (
            json!({"source": "/nonexistent", "destination": "x", "direction": "download"}),
            "cannot fetch /nonexistent",
        ),
    ];
    for (options, expected) in cases {
        let failure = run(&bench, options.clone()).await.unwrap_err();
        assert!(failure.message.starts_with(expected), "{options}: {failure:?}");
    }
}

#[tokio::test]
async fn ten_thousand_files_go_there_and_back() {
    let bench = Bench::new().await;
    for i in 0..10_000 {
        let directory = bench.local(&format!("many/{}", i / 500));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(i.to_string()), i.to_string()).unwrap();
    }
    let began = Instant::now();
    run_large(&bench, json!({"source": "many", "destination": bench.guest_text("many")})).await;
    let up = began.elapsed();
    let back = json!({"source": bench.guest_text("many/*"), "destination": "back", "direction": "download"});
    run_large(&bench, back).await;
    let name = |i: u32| format!("back/{}/{i}", i / 500);
    let wrong = (0..10_000).find(|i| fs::read(bench.local(&name(*i))).unwrap() != i.to_string().as_bytes());
    assert_eq!(wrong, None);
    eprintln!("10,000 files up in {up:?}, down in {:?}", began.elapsed() - up);
}

#[tokio::test]
async fn a_gibibyte_goes_there_and_back() {
    let bench = Bench::new().await;
    let size = 1 << 30;
    fs::File::create(bench.local("big")).unwrap().set_len(size).unwrap();
    let began = Instant::now();
    run_large(&bench, json!({"source": "big", "destination": bench.guest_text("big")})).await;
    let up = began.elapsed();
    fs::remove_file(bench.local("big")).unwrap();
    let back = json!({"source": bench.guest_text("big"), "destination": "big", "direction": "download"});
    run_large(&bench, back).await;
    assert_eq!(fs::metadata(bench.local("big")).unwrap().len(), size);
    eprintln!("1 GiB up in {up:?}, down in {:?}", began.elapsed() - up);
}

#[tokio::test]
async fn a_cancelled_transfer_ends_on_both_sides() {
    let bench = Bench::new().await;
    let endless: PathBuf = bench.guest("endless");
    fs::File::create(&endless).unwrap().set_len(1 << 40).unwrap();
    let source = endless.display().to_string();
    let options = json!({"source": source, "destination": "/dev/null", "direction": "download"});
    let cancel = async {
        until("it is under way", async || processes_with(&source).iter().any(|p| p.contains("scp -f"))).await;
        bench.task.cx.cancel.cancel();
        Instant::now()
    };
    let (result, cancelled) = tokio::join!(run(&bench, options), cancel);
    assert!(result.unwrap_err().cancelled);
    // Far less than the guest's scp has to end in peace.
    assert!(cancelled.elapsed() < Duration::from_secs(30));
    until("scp is gone", async || processes_with(&source).is_empty()).await;
}
