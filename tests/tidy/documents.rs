//! Documents: what they name exists, and nothing in the project names a developer's machine.

use kiln_tests::tree;

#[test]
fn paths_named_in_the_architecture_exist() {
    let text =
        std::fs::read_to_string(tree::top().join("ARCHITECTURE.md")).expect("there is an ARCHITECTURE.md");
    let quoted = text.split('`').skip(1).step_by(2);
    let looks_like_path =
        |w: &&str| w.contains('/') && w.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c));
    let offences: Vec<String> =
        quoted.filter(looks_like_path).filter(|p| !tree::top().join(p).exists()).map(str::to_owned).collect();
    super::expect_none("paths in ARCHITECTURE.md that don't exist", &offences);
}

#[test]
fn the_readme_opens_with_the_two_commands() {
    let text = std::fs::read_to_string(tree::top().join("README.md")).expect("there is a README.md");
    let head: String = text.lines().take(40).collect();
    let missing: Vec<String> =
        ["./demo.sh", "./test.sh"].iter().filter(|c| !head.contains(**c)).map(|c| (*c).to_owned()).collect();
    super::expect_none("commands that the README's head lacks", &missing);
}

#[test]
fn nothing_names_a_developers_machine() {
    // Written in two halves, so that this file doesn't find itself.
    let home = concat!("/wo", "rk/");
    let mut offences = Vec::new();
    for (path, text) in tree::texts(|p| p.extension().is_none_or(|e| e != "lock")) {
        let lines = text.lines().enumerate().filter(|(_, l)| l.contains(home));
        offences.extend(lines.map(|(n, _)| format!("{}:{}", path.display(), n + 1)));
    }
    super::expect_none("paths of a developer's machine", &offences);
}
