//! The load benchmark itself, small: that it runs to its end with coordinators in processes of their own, whose figures
//! nobody looks at here.

use std::process::Command;

#[test]
fn the_load_benchmark_measures_a_farm_of_one_coordinator_and_of_three() {
    let directory = tempfile::tempdir().unwrap();
    let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
    let load = load.args(["--agents", "40", "--tasks", "400"]).env("TMPDIR", directory.path());
    let done = load.output().unwrap();
    let (told, steps) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{steps}");
    let rows: Vec<Vec<&str>> = told.lines().map(|line| line.split_whitespace().collect()).collect();
    for coordinators in ["1", "3"] {
        let row = rows.iter().find(|row| row.starts_with(&[coordinators, "40", "400"]));
        assert_eq!(row.map(Vec::len), Some(15), "{told}");
    }
    assert!(told.contains("new leader takes builds, s "), "{told}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left behind");
}
