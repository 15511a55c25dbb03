//! What post-processors leave, by the rules of keeping.

use super::*;

/// `name:keep` with `+` or `-` for the template's own wish, `!` for a failure, `0` for no artifact; sequences are
/// parted by `|`.
fn sequences(text: &str) -> Vec<Vec<PostProcessorPlan>> {
    let one = |word: &str| {
        let (make, how) = word.split_once(':').unwrap();
        let keep = how.trim_end_matches(['+', '-', '!', '0']);
        let mut plan = post_processor("probe", &[("make", make), ("keep", keep)]);
        plan.keep_input_artifact = match how {
            how if how.contains('+') => Some(true),
            how if how.contains('-') => Some(false),
            _ => None,
        };
        plan.component.body.set("fail", Value::from(how.contains('!')));
        plan.component.body.set("none", Value::from(how.contains('0')));
        plan
    };
    let sequences = text.split('|').map(|s| s.split_whitespace().map(one).collect::<Vec<_>>());
    sequences.filter(|sequence| !sequence.is_empty()).collect()
}

#[tokio::test]
async fn artifacts_stay_or_go_by_the_keep_rules() {
    // The sequences, the results in order, and what lies on disk afterwards.
    let cases = [
        ("", "original", "original"),
        ("a:drop", "a", "a"),
        ("a:keep", "original a", "a original"),
        ("a:always", "original a", "a original"),
        ("a:drop+", "original a", "a original"),
        ("a:keep-", "a", "a"),
        ("a:always-", "original a", "a original"),
        ("a:drop b:drop", "b", "b"),
        ("a:drop b:keep", "a b", "a b"),
        ("a:keep b:drop", "original b", "b original"),
        ("a:keep b:always- c:drop+", "original a b c", "a b c original"),
        ("a:drop | b:drop", "a b", "a b"),
        ("a:drop | b:keep", "original a b", "a b original"),
        ("a:drop b:drop | c:keep d:keep", "original b c d", "b c d original"),
        // Nothing came out of it: quiet, and its wish to keep does not count.
        ("a:keep0", "", "a"),
        ("a:drop b:keep0 | c:drop", "c", "a b c"),
        // A failure ends its own sequence; the original goes unless another first one keeps it.
        ("a:keep!", "!", ""),
        ("a:drop! b:drop | c:drop", "!", "c"),
        ("a:drop b:drop! | c:keep", "!", "a c original"),
    ];
    for (text, results, on_disk) in cases {
        let mut trial = Trial::new();
        trial.plan.post_processors = sequences(text);
        let outcome = trial.run().await;
        let found = match &outcome {
            TaskOutcome::Succeeded { artifacts } => {
                artifacts.iter().map(|a| a.files[0].path.as_str()).collect::<Vec<_>>().join(" ")
            }
            TaskOutcome::Failed { .. } => "!".to_owned(),
            TaskOutcome::Cancelled => "cancelled".to_owned(),
        };
        let entries = std::fs::read_dir(trial.directory.path()).unwrap();
        let mut files: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|n| n != "run").collect();
        files.sort();
        assert_eq!((found.as_str(), files.join(" ").as_str()), (results, on_disk), "{text}: {outcome:?}");
    }
}

#[tokio::test]
async fn all_failures_are_told_together() {
    let mut trial = Trial::new();
    trial.plan.post_processors = sequences("a:drop! | b:drop!");
    let story = trial.story().await;
    let expected = "= Machine: 2 error(s) occurred:\n\n* Post-processor failed: a is broken\n* Post-processor failed: b \
                    is broken";
    assert_eq!(story.last().unwrap(), expected);
}

#[tokio::test]
async fn a_post_processor_is_announced_by_its_name_and_type() {
    for (name, line) in [
        ("", "Running post-processor:  (type probe)"),
        ("mine", "Running post-processor: mine (type probe)"),
        ("probe", "Running post-processor: probe"),
    ] {
        let mut trial = Trial::new();
        trial.plan.post_processors = sequences("a:drop");
        trial.plan.post_processors[0][0].name = name.to_owned();
        assert_eq!(trial.story().await, [line, "= succeeded"]);
    }
}

#[tokio::test]
async fn cancellation_skips_the_remaining_post_processors() {
    let mut trial = Trial::new().cancel_at("Running post-processor: first");
    trial.plan.post_processors = sequences("a:drop b:drop | c:drop");
    trial.plan.post_processors[0][0].name = "first".to_owned();
    let story = trial.story().await;
    assert_eq!(story, ["Running post-processor: first (type probe)", "= cancelled"]);
}
