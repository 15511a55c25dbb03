//! The farm survives two hundred seeds of trouble, and the invariants notice when it doesn't.

use kiln_tests::simulation::{self, Sabotage};

#[test]
fn two_hundred_seeds_break_no_law() {
    let broken: Vec<String> = (1..=200).filter_map(|seed| simulation::run(seed).err()).collect();
    assert!(broken.is_empty(), "{} seeds broke a law:\n{}", broken.len(), broken.join("\n\n"));
}

#[test]
fn a_seed_is_one_story() {
    assert_eq!(simulation::run(7), simulation::run(7));
}

#[test]
fn a_broken_rule_is_noticed() {
    let cases = [
        (Sabotage::TakesStaleReports, "stale epochs are refused"),
        (Sabotage::ForgetsBuilds, "no task is lost"),
        (Sabotage::IgnoresDrains, "drained agents become empty"),
        (Sabotage::ReusesEpochs, "one holder per epoch"),
        (Sabotage::PublishesTwice, "an image is published at most once"),
    ];
    for (sabotage, law) in cases {
        let noticed = (1..=200).find_map(|seed| simulation::run_sabotaged(seed, sabotage).err());
        let told = noticed.unwrap_or_else(|| panic!("nobody noticed {sabotage:?}"));
        assert!(told.contains(law), "{sabotage:?} should break another law: {told}");
        assert!(told.starts_with("seed "), "{told}");
    }
}
