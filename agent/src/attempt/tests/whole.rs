//! Whole attempts, from plan to outcome.

use kiln_plan::Sensitive;

use super::*;
use crate::check;

#[tokio::test]
async fn an_artifact_is_recorded_with_its_files() {
    let trial = Trial::new();
    let TaskOutcome::Succeeded { artifacts } = trial.run().await else { panic!("it failed") };
    let [artifact] = &artifacts[..] else { panic!("{artifacts:?}") };
    assert_eq!(artifact.builder_id, "packer.file");
    assert_eq!((artifact.id.as_str(), artifact.description.as_str()), ("File", "Stored file: original"));
    assert_eq!((artifact.files[0].path.as_str(), artifact.files[0].size), ("original", 1));
}

#[tokio::test]
async fn the_null_builder_makes_nothing_and_runs_provisioners() {
    let mut trial = Trial::null().provisioner(&[("note", "x")], |_| {});
    trial.plan.post_processors = vec![vec![post_processor("manifest", &[("strip_time", "true")])]];
    let TaskOutcome::Succeeded { artifacts } = trial.run().await else { panic!("it failed") };
    let shown: Vec<_> =
        artifacts.iter().map(|a| format!("{} {} {}", a.builder_id, a.id, a.description)).collect();
    // The manifest hands on what it got, which also stays as the original.
    assert_eq!(shown, vec!["fnoeding.null Null Did not export anything. This is the null builder"; 2]);
    let manifest = std::fs::read_to_string(trial.path("packer-manifest.json")).unwrap();
    assert!(manifest.contains(r#""builder_type": "null","#) && manifest.contains(r#""files": null"#));
}

#[tokio::test]
async fn nothing_is_done_for_a_plan_that_the_check_refuses() {
    let mut trial = Trial::new().provisioner(&[("noet", "x")], |_| {});
    trial.plan.post_processors = vec![vec![post_processor("manifset", &[])]];
    let story = trial.story().await;
    let expected = "= Template: provisioner \"probe\": Unsupported argument: An argument named \"noet\" is not expected \
                    here.\npost-processor \"manifset\": Unknown post-processor type \"manifset\": This machine offers \
                    artifice, checksum, compress, manifest, probe, \
                    shell-local.";
    assert_eq!(story, [expected]);
    assert!(!trial.path("original").exists());
}

#[tokio::test]
async fn the_plans_secrets_are_hidden_in_the_outcome() {
    let mut trial = Trial::new();
    trial.plan.secrets = vec![Sensitive::new("s3cr3t".into())];
    trial.plan.builder =
        component(ComponentKind::Builder, "file", &[("target", "t"), ("source", "no/s3cr3t")]);
    let story = trial.story().await;
    let expected = [
        "Copying no/<sensitive> to t",
        "= Template: cannot copy the file no/<sensitive>: there is no such file",
    ];
    assert_eq!(story, expected);
}

#[tokio::test]
async fn a_failed_build_leaves_no_file() {
    let trial = Trial::new().provisioner(&[("note", "x"), ("failures", "1")], |_| {});
    trial.run().await;
    assert!(!trial.path("original").exists());
}

#[tokio::test]
async fn a_file_that_was_there_before_is_not_removed() {
    let trial = Trial::new().provisioner(&[("note", "x"), ("failures", "1")], |_| {});
    std::fs::write(trial.path("original"), "the user's").unwrap();
    trial.run().await;
    assert!(trial.path("original").exists());
}

#[test]
fn a_hundred_plans_are_checked() {
    let plan = Arc::new(Trial::null().provisioner(&[("note", "x")], |_| {}).plan);
    let factories = factories();
    for _ in 0..100 {
        assert!(check(&plan, &factories).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_attempts_at_once_end_well() {
    let trial = Trial::null();
    let attempts = (0..100).map(|_| {
        let settings = AttemptSettings {
            working_dir: trial.directory.path().to_owned(),
            cache_dir: trial.path("cache"),
            run_dir: trial.path("run"),
            origins: kiln_component::Origins::default(),
            own_process: false,
            cancel: CancellationToken::new(),
        };
        let (plan, diary) = (Arc::new(trial.plan.clone()), trial.diary.clone());
        tokio::spawn(run(plan, Arc::new(factories()), settings, diary))
    });
    for outcome in futures::future::join_all(attempts).await {
        assert!(matches!(outcome, Ok(TaskOutcome::Succeeded { .. })), "{outcome:?}");
    }
}
