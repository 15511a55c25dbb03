use std::fs;

use super::*;
use crate::post_processor::testing::Bench;

const FIRST: &str = r#"{
  "builds": [
    {
      "name": "test",
      "builder_type": "file",
      "files": [
        {
          "name": "out/a\u003cb\u003e\u0026c",
          "size": 3
        }
      ],
      "artifact_id": "File",
      "packer_run_uuid": "run-1",
      "custom_data": {
        "note": "\"x\""
      }
    }
  ],
  "last_run_uuid": "run-1"
}"#;

fn bench(options: &[(&str, &str)]) -> Bench {
    let bench = Bench::new("manifest", &[&[("strip_time", "true")], options].concat());
    bench.file("out/a<b>&c", b"abc");
    bench
}

async fn first(mut bench: Bench) -> Bench {
    bench.options.extend([("custom_data".to_owned(), data())]);
    bench.process(&["out/a<b>&c"]).await.unwrap();
    bench
}

fn data() -> kiln_lang::Value {
    kiln_lang::Value::object([("note".to_owned(), "\"x\"".into())])
}

#[tokio::test]
async fn the_first_entry_is_exactly_as_packer_writes_it() {
    let bench = first(bench(&[])).await;
    assert_eq!(fs::read_to_string(bench.path(OUTPUT)).unwrap(), FIRST);
    assert!(!bench.path("packer-manifest.json.lock").exists());
}

#[tokio::test]
async fn later_entries_are_appended() {
    let mut bench = first(bench(&[("strip_path", "true")])).await;
    bench.run_uuid("run-2");
    bench.options.retain(|(name, _)| name != "custom_data");
    bench.process(&[]).await.unwrap();
    let second = r#"    },
    {
      "name": "test",
      "builder_type": "file",
      "files": null,
      "artifact_id": "File",
      "packer_run_uuid": "run-2",
      "custom_data": null
    }
  ],
  "last_run_uuid": "run-2"
}"#;
    let stripped = FIRST.replace("out/a", "a");
    let head = stripped.split_once("    }\n  ],").unwrap().0;
    assert_eq!(fs::read_to_string(bench.path(OUTPUT)).unwrap(), format!("{head}{second}"));
}

#[tokio::test]
async fn force_drops_the_entries_of_other_runs_alone() {
    for (run, force, expected) in [("run-1", true, 2), ("run-2", true, 1), ("run-2", false, 2)] {
        let mut bench = first(bench(&[])).await;
        bench.run_uuid(run);
        bench.force(force);
        bench.process(&[]).await.unwrap();
        let manifest = Manifest::parse(&fs::read(bench.path(OUTPUT)).unwrap()).unwrap();
        assert_eq!(manifest.builds.len(), expected, "{run} {force}");
    }
}

#[tokio::test]
async fn the_time_is_noted_after_the_type() {
    let bench = Bench::new("manifest", &[("output", "deep/m.json")]);
    let processed = bench.process(&[]).await.unwrap();
    assert_eq!(processed.keep, Keep::Always);
    let text = fs::read_to_string(bench.path("deep/m.json")).unwrap();
    let (_, after) = text.split_once("\"builder_type\": \"file\",\n      \"build_time\": ").unwrap();
    let time: u64 = after.split(',').next().unwrap().parse().unwrap();
    assert!(time > 1_700_000_000, "{text}");
}

#[tokio::test]
async fn a_file_that_is_no_manifest_is_not_overwritten() {
    let bench = bench(&[]);
    bench.file(OUTPUT, b"not json");
    let failure = bench.process(&[]).await.unwrap_err();
    assert!(failure.message.contains("is no manifest"), "{failure}");
    assert_eq!(fs::read(bench.path(OUTPUT)).unwrap(), b"not json");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_builds_at_once_lose_no_entry() {
    let bench = bench(&[]);
    // As a crashed Packer leaves it.
    bench.file("packer-manifest.json.lock", b"");
    let all = (0..50).map(|_| bench.process(&[]));
    for processed in futures::future::join_all(all).await {
        processed.unwrap();
    }
    let manifest = Manifest::parse(&fs::read(bench.path(OUTPUT)).unwrap()).unwrap();
    assert_eq!(manifest.builds.len(), 50);
}
