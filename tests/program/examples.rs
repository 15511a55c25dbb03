//! The examples are valid templates. The first one is built as well, by `tests/distribution.rs`; the others start from
//! images of distributions that are gigabytes away.

use std::path::Path;

use super::place;

#[test]
fn every_example_is_valid() {
    let sum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let iso = ["-var", "iso_url=https://example.org/a.iso", "-var"];
    let iso_checksum = format!("iso_checksum={sum}");
    let cases: [(&str, Vec<&str>); 5] = [
        ("debian-nginx", vec![]),
        ("debian-nginx/debian-nginx.json", vec![]),
        ("ubuntu-autoinstall", [&iso[..], &[&iso_checksum]].concat()),
        ("centos-kickstart/centos-kickstart.json", [&iso[..], &[&iso_checksum]].concat()),
        ("kubevirt-ready", vec!["-var", "cloud_image=https://example.org/a.qcow2"]),
    ];
    for (example, variables) in cases {
        let template = examples.join(example).display().to_string();
        let arguments = [vec!["validate"], variables, vec![&template]].concat();
        place().run(arguments).expect_code(0).expect("The configuration is valid.");
    }
    let known = those_there_are(&examples);
    assert_eq!(known, ["centos-kickstart", "debian-nginx", "kubevirt-ready", "ubuntu-autoinstall"]);
}

/// The examples there are, so that a new one is not forgotten here.
fn those_there_are(examples: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(examples).expect("the examples are there");
    let names = entries.filter_map(Result::ok).map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
