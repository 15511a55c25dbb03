use std::fs;

use super::*;
use crate::checksum;
use crate::testing::{here, program, put, store};

const PLACE: &str = "github.com/a/x";

fn requirement(versions: &str) -> Requirement {
    Requirement { source: PLACE.parse().unwrap(), versions: vec![versions.parse().unwrap()] }
}

/// The names of what was found, without what they have in common, and the reasons of what was not.
async fn told(store: &Store, query: Query<'_>) -> (Vec<String>, Vec<String>) {
    let found = store.find(query).await.unwrap();
    let short = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.trim_start_matches("packer-plugin-").trim_end_matches(&here()).trim_end_matches('_').to_owned()
    };
    let reasons = found.ignored.iter().map(|(path, why)| format!("{}: {why}", short(path)));
    (found.plugins.iter().map(|p| short(&p.path)).collect(), reasons.collect())
}

#[tokio::test]
async fn only_plugins_that_are_what_they_say_count() {
    let place = tempfile::tempdir().unwrap();
    let top = place.path();
    let file = |rest: &str| format!("{PLACE}/packer-plugin-x_{rest}_{}", here());
    put(top, &file("v1.10.0_x5.0"), &program("1.10.0", "x5.0"), None);
    put(top, &file("v1.9.0_x5.0"), &program("1.9.0+build.7", "x5.0"), None);
    put(top, &file("v2.0.0-dev_x5.0"), &program("2.0.0-dev", "x5.0"), None);
    put(top, &format!("deep/er/packer-plugin-a_v1.0.0_x5.0_{}", here()), &program("1.0.0", "x5.0"), None);
    // These look like plug-ins and don't count.
    put(top, &file("v1.1.0_x5.0"), &program("1.1.0", "x5.0"), Some(""));
    put(top, &file("v1.2.0_x5.0"), &program("1.2.0", "x5.0"), Some("no checksum"));
    put(top, &file("v1.3.0_x5.0"), &program("1.3.0", "x5.0"), Some(&"0".repeat(64)));
    put(top, &file("v1.4.0_x5.0"), &program("1.4.1", "x5.0"), None);
    put(top, &file("v1.5.0_x5.0"), &program("1.5.0", "x5.1"), None);
    put(top, &file("v1.6.0_x5.1"), &program("1.6.0", "x5.1"), None);
    put(top, &file("v1.7.0-rc1_x5.0"), &program("1.7.0-rc1", "x5.0"), None);
    put(top, &file("v1.8_x5.0"), &program("1.8.0", "x5.0"), None);
    put(top, &file("v1.8.1_x5.0"), b"#!/bin/sh\necho hello\n", None);
    put(top, &file("v1.8.2_x5.0"), b"#!/bin/sh\necho broken >&2\nexit 3\n", None);
    put(top, &file("v1.8.3_x5.0"), b"\x7fELF not really", None);
    put(top, &file("v1.8.4_x5.0"), &program("latest", "x5.0"), None);
    // And these don't even look so: elsewhere, for other machines, of other names.
    put(top, &format!("packer-plugin-x_v1.0.0_x5.0_{}", here()), &program("1.0.0", "x5.0"), None);
    put(top, &format!("{PLACE}/packer-plugin-x_v1.0.0_x5.0_plan9_mips"), &program("1.0.0", "x5.0"), None);
    put(top, &format!("{PLACE}/plugin-x_v1.0.0_x5.0_{}", here()), &program("1.0.0", "x5.0"), None);
    let too_deep = format!("{}/packer-plugin-x_v1.0.0_x5.0_{}", vec!["d"; 17].join("/"), here());
    put(top, &too_deep, &program("1.0.0", "x5.0"), None);

    let store = store(top);
    let (found, ignored) = told(&store, Query::all()).await;
    assert_eq!(found, ["a_v1.0.0_x5.0", "x_v1.9.0_x5.0", "x_v1.10.0_x5.0", "x_v2.0.0-dev_x5.0"]);
    let expected = [
        "x_v1.1.0_x5.0: there is no readable checksum beside it, in a file of its name with _SHA256SUM behind it",
        "x_v1.2.0_x5.0: what lies beside it is not a SHA-256 of 64 hexadecimal digits",
        &format!(
            "x_v1.3.0_x5.0: its checksum is {}, but {} lies beside it",
            checksum::sha256(&top.join(file("v1.3.0_x5.0"))).unwrap(),
            "0".repeat(64)
        ),
        "x_v1.4.0_x5.0: it says that it is version 1.4.1",
        "x_v1.5.0_x5.0: it says that it speaks protocol x5.1",
        "x_v1.6.0_x5.1: it speaks protocol x5.1, this program speaks x5.0",
        "x_v1.7.0-rc1_x5.0: \"1.7.0-rc1\" is neither a release nor a -dev version",
        "x_v1.8.1_x5.0: asked to describe itself, it said something that no plug-in says",
        "x_v1.8.2_x5.0: it can't be asked to describe itself",
        "x_v1.8.3_x5.0: it can't be asked to describe itself",
        "x_v1.8.4_x5.0: it says that its version is \"latest\", which is none",
        "x_v1.8_x5.0: the version \"v1.8\" in the name isn't in its normal form, such as v1.2.3",
    ];
    assert_eq!(ignored, expected);
    let (any, _) = told(&store, Query::all().any_protocol()).await;
    assert!(any.contains(&"x_v1.6.0_x5.1".to_owned()));
}

#[tokio::test]
async fn constraints_and_releases_select_the_newest_last() {
    let place = tempfile::tempdir().unwrap();
    let versions = ["0.9.0", "1.0.0", "1.2.0", "1.10.0", "1.11.0-dev", "2.0.0-dev"];
    for version in versions {
        let path = format!("{PLACE}/packer-plugin-x_v{version}_x5.0_{}", here());
        put(place.path(), &path, &program(version, "x5.0"), None);
    }
    // The same name from another source is another plug-in.
    let other = format!("github.com/b/x/packer-plugin-x_v1.3.0_x5.0_{}", here());
    put(place.path(), &other, &program("1.3.0", "x5.0"), None);
    let cases = [
        ("~> 1.0", false, "1.0.0 1.2.0 1.10.0 1.11.0-dev"),
        ("~> 1.0", true, "1.0.0 1.2.0 1.10.0"),
        ("= 2.0.0", false, "2.0.0-dev"),
        ("= 2.0.0", true, ""),
        (">= 0.9, < 1.2", false, "0.9.0 1.0.0"),
        ("> 3", false, ""),
    ];
    let store = store(place.path());
    for (constraints, releases, expected) in cases {
        let wanted = requirement(constraints);
        let query = if releases { Query::of(&wanted).releases_only() } else { Query::of(&wanted) };
        let found = store.find(query).await.unwrap();
        let versions: Vec<String> = found.plugins.iter().map(|p| p.file.version.canonical()).collect();
        assert_eq!(versions.join(" "), expected, "{constraints}");
    }
    let newest = tree::newest(place.path(), &PLACE.parse().unwrap(), store.platform()).unwrap();
    assert!(newest.ends_with(format!("packer-plugin-x_v2.0.0-dev_x5.0_{}", here())));
}

#[tokio::test]
async fn a_store_that_is_not_there_is_empty() {
    let place = tempfile::tempdir().unwrap();
    let store = store(&place.path().join("none"));
    assert!(store.find(Query::all()).await.unwrap().plugins.is_empty());
}

#[test]
fn only_what_lies_in_the_store_is_removed() {
    let place = tempfile::tempdir().unwrap();
    let top = place.path().join("plugins");
    let path = format!("{PLACE}/packer-plugin-x_v1.0.0_x5.0_{}", here());
    put(&top, &path, b"program", None);
    put(place.path(), "outside", b"precious", Some(""));
    std::os::unix::fs::symlink(place.path(), top.join("link")).unwrap();
    let store = store(&top);
    let words = |path: PathBuf| store.remove(&path).map_err(|e| e.to_string());
    for path in [place.path().join("outside"), top.join("../outside"), top.join("link/outside")] {
        assert!(words(path.clone()).unwrap_err().contains("is not in the plug-in directory"), "{path:?}");
    }
    assert!(words(top.join("github.com/a/none")).unwrap_err().starts_with("there is no file"));
    assert!(words(top.join(PLACE)).unwrap_err().starts_with("there is no file"), "a directory");
    assert!(place.path().join("outside").exists());
    words(top.join(&path)).unwrap();
    assert_eq!(fs::read_dir(top.join(PLACE)).unwrap().count(), 0, "the checksum went along");
}

#[test]
fn what_a_killed_installation_left_is_swept_and_a_living_one_is_not() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let dead = place.path().join(".kiln-install-dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("archive"), "half").unwrap();
    let living = store.begin().unwrap();
    fs::write(living.archive(), "half").unwrap();
    assert!(!dead.exists());
    let second = store.begin().unwrap();
    assert!(living.archive().exists());
    drop((living, second));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_committed_plugin_counts_at_once_and_replaces_its_like() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let source = PLACE.parse().unwrap();
    let file = PluginFileName::parse(&format!("packer-plugin-x_v1.0.0_x5.0_{}", here())).unwrap();
    for sdk in ["one", "two"] {
        let staging = store.begin().unwrap();
        let text = String::from_utf8(program("1.0.0", "x5.0")).unwrap().replace("0.6.10", sdk);
        kiln_component::process::write_script(&staging.program(), text.as_bytes()).unwrap();
        let path = store.commit(&staging, &source, &file).unwrap();
        drop(staging);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&checksum::companion(&path))), (0o755, 0o644));
        assert_eq!(
            fs::read_to_string(checksum::companion(&path)).unwrap().len(),
            64,
            "digits and nothing else"
        );
        let found = store.find(Query::all()).await.unwrap();
        assert_eq!(found.plugins.len(), 1);
        assert_eq!(found.plugins[0].description.sdk_version, sdk);
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left of the staging");
}
