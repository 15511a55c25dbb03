use super::*;
use crate::source::{GitHub, Mirror, ReleaseSite};
use crate::store::Query;
use crate::testing::{Answer, Site, archive, cutting, here, program, store, sum_line};

const X: &str = "github.com/a/x";

fn wanted(source: &str, versions: &str) -> Requirement {
    let versions = if versions.is_empty() { vec![] } else { vec![versions.parse().unwrap()] };
    Requirement { source: source.parse().unwrap(), versions }
}

/// A release in GitHub's style below `directory`: for this machine, unless `platform` says otherwise.
fn release(site: &Site, directory: &str, version: &str, platform: &str) {
    let stem = format!("packer-plugin-x_v{version}_x5.0_{platform}");
    let zip = archive(&stem, &program(version, "x5.0"));
    site.content(
        format!("{directory}/packer-plugin-x_v{version}_SHA256SUMS"),
        sum_line(&zip, &format!("{stem}.zip")),
    );
    site.content(format!("{directory}/{stem}.zip"), zip);
}

fn tags(versions: &[&str]) -> String {
    let one = |v: &&str| format!(r#"{{"ref":"refs/tags/{v}","object":{{}}}}"#);
    format!("[{}]", versions.iter().map(one).collect::<Vec<_>>().join(","))
}

const TAGS: &str = "/api/repos/a/packer-plugin-x/git/matching-refs/tags";

fn github(site: &reqwest::Url, token: Option<&str>) -> Arc<dyn Releases> {
    let token = token.map(|t| kiln_plan::Sensitive::new(t.to_owned()));
    Arc::new(GitHub::at(site.join("api/").unwrap(), site.clone(), token))
}

/// What came of an installation: the version with a sign, or all the words of the error.
async fn outcome(store: &Store, place: Arc<dyn Releases>, wanted: &Requirement) -> String {
    let places = [place];
    let installed = Installer::new(store, &places).install(wanted, Again::No, &()).await;
    match installed {
        Ok(Outcome::Installed(placed)) => format!("installed {}", placed.version),
        Ok(Outcome::WasThere(placed)) => format!("there {}", placed.version),
        Err(error) => kiln_plan::fault::chain(&error),
    }
}

#[tokio::test]
async fn the_newest_release_that_will_do_comes_from_github() {
    let (site, url) = Site::start().await;
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    site.content(TAGS, tags(&["v0.9.0", "nightly", "v1.0.0", "v1.2.0", "v1.10.0", "v1.11.0-rc1", "v2.0.0"]));
    for version in ["0.9.0", "1.0.0", "1.2.0", "1.10.0", "2.0.0"] {
        release(&site, &format!("/a/packer-plugin-x/releases/download/v{version}"), version, &here());
    }
    let github = github(&url, Some("secret"));
    for (constraints, expected) in [
        ("~> 1.2.0", "installed 1.2.0"),
        ("~> 1.0", "installed 1.10.0"),
        ("~> 1.0", "there 1.10.0"),
        ("", "installed 2.0.0"),
        (
            ">= 3",
            "has no release of github.com/a/x that fulfils \">= 3\"; it has v2.0.0, v1.10.0, v1.2.0, v1.0.0, v0.9.0",
        ),
    ] {
        let told = outcome(&store, github.clone(), &wanted(X, constraints)).await;
        assert!(told.contains(expected), "{constraints}: {told}");
    }
    assert_eq!(store.find(Query::all()).await.unwrap().plugins.len(), 3);
    // The token goes to the API alone.
    let with_token = |(path, token): (String, Option<String>)| {
        assert_eq!(token.is_some(), path.starts_with("/api/"), "{path}");
    };
    site.asked().into_iter().for_each(with_token);
}

#[tokio::test]
async fn tags_on_several_pages_are_all_read() {
    let (site, url) = Site::start().await;
    let place = tempfile::tempdir().unwrap();
    let next = format!("<{url}api/more?page=2>; rel=\"next\", <{url}api/more?page=9>; rel=\"last\"");
    site.has(TAGS, Answer::Status(200, vec![("link", next)]));
    site.content("/api/more?page=2", tags(&["v1.0.0"]));
    // An empty body is no list; the server must have said something.
    let told = outcome(&store(place.path()), github(&url, None), &wanted(X, "")).await;
    assert!(told.contains("can't be understood"), "{told}");
}

#[tokio::test]
async fn github_says_in_words_that_it_was_asked_too_often() {
    let (site, url) = Site::start().await;
    let place = tempfile::tempdir().unwrap();
    let limited =
        vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", "1800000300".to_owned())];
    site.has(TAGS, Answer::Status(403, limited));
    let store = store(place.path());
    let told = outcome(&store, github(&url, None), &wanted(X, "")).await;
    let expected =
        "GitHub answers no more requests from here until 08:05 UTC; wait, or set PACKER_GITHUB_API_TOKEN";
    assert!(told.contains(expected), "{told}");
    let told = outcome(&store, github(&url, Some("secret")), &wanted(X, "")).await;
    assert!(
        told.contains("or use another token in PACKER_GITHUB_API_TOKEN") && !told.contains("secret"),
        "{told}"
    );
    site.has(TAGS, Answer::Status(401, vec![]));
    let told = outcome(&store, github(&url, Some("secret")), &wanted(X, "")).await;
    assert!(told.contains("the server answered 401"), "{told}");
}

#[tokio::test]
async fn official_plugins_come_from_the_release_site_and_github_is_next() {
    let (site, url) = Site::start().await;
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let member = format!("packer-plugin-x_v1.0.0_x5.0_{}", here());
    let file = format!("packer-plugin-x_1.0.0_{}.zip", here());
    let zip = archive(&member, &program("1.0.0", "x5.0"));
    let directory = "/site/packer-plugin-x";
    site.content(
        format!("{directory}/index.json"),
        r#"{"name":"x","versions":{"1.0.0":{"name":"x"},"odd":{}}}"#,
    );
    site.content(format!("{directory}/1.0.0/packer-plugin-x_1.0.0_SHA256SUMS"), sum_line(&zip, &file));
    let manifest = r#"{"version":1,"metadata":{"protocol_version":"5.0"}}"#;
    site.content(format!("{directory}/1.0.0/packer-plugin-x_1.0.0_manifest.json"), manifest);
    site.content(format!("{directory}/1.0.0/{file}"), zip);
    site.content("/api/repos/hashicorp/packer-plugin-x/git/matching-refs/tags", tags(&["v2.0.0"]));
    site.content(TAGS, tags(&["v2.0.0"]));
    for owner in ["hashicorp", "a"] {
        release(&site, &format!("/{owner}/packer-plugin-x/releases/download/v2.0.0"), "2.0.0", &here());
    }
    let release_site: Arc<dyn Releases> = Arc::new(ReleaseSite::at(url.join("site/").unwrap()));
    let places = [release_site, github(&url, None)];
    let installer = Installer::new(&store, &places);
    let install = async |source: &str| match installer.install(&wanted(source, ""), Again::No, &()).await {
        Ok(Outcome::Installed(placed)) => placed.version.canonical(),
        other => panic!("{other:?}"),
    };
    assert_eq!(install("github.com/hashicorp/x").await, "1.0.0");
    assert_eq!(install(X).await, "2.0.0", "somebody else's plug-in isn't HashiCorp's namesake");
    site.has(format!("{directory}/index.json"), Answer::Status(404, vec![]));
    assert_eq!(install("github.com/hashicorp/x").await, "2.0.0");
    let nowhere = installer.install(&wanted("git.example.org/a/x", ""), Again::No, &()).await.unwrap_err();
    assert!(nowhere.to_string().contains("plug-ins of git.example.org can't be downloaded"), "{nowhere}");
}

/// A mirror with one release, changed by `change`, and what comes of installing from it.
async fn spoiled(change: impl FnOnce(&Site, &str)) -> String {
    let (site, url) = Site::start().await;
    let place = tempfile::tempdir().unwrap();
    let directory = format!("/{X}/v1.0.0");
    site.content(format!("/{X}/index.json"), r#"{"versions":{"v1.0.0":{}}}"#);
    release(&site, &directory, "1.0.0", &here());
    change(&site, &directory);
    let store = store(place.path());
    let told = outcome(&store, Arc::new(url.as_str().parse::<Mirror>().unwrap()), &wanted(X, "")).await;
    let left: Vec<_> =
        std::fs::read_dir(place.path()).into_iter().flatten().flatten().map(|e| e.path()).collect();
    assert!(told.starts_with("installed") || left.is_empty(), "{told}, and left: {left:?}");
    told
}

/// Replaces the archive's member; the checksum is right.
fn repack(site: &Site, directory: &str, member: &str, content: &[u8]) {
    let (stem, zip) = (format!("packer-plugin-x_v1.0.0_x5.0_{}", here()), archive(member, content));
    site.content(
        format!("{directory}/packer-plugin-x_v1.0.0_SHA256SUMS"),
        sum_line(&zip, &format!("{stem}.zip")),
    );
    site.content(format!("{directory}/{stem}.zip"), zip);
}

#[tokio::test]
async fn a_release_that_is_not_right_is_not_installed_and_leaves_nothing() {
    let stem = format!("packer-plugin-x_v1.0.0_x5.0_{}", here());
    let zip = |directory: &str| format!("{directory}/{stem}.zip");
    let sums = |directory: &str| format!("{directory}/packer-plugin-x_v1.0.0_SHA256SUMS");
    let told = spoiled(|_, _| {}).await;
    assert_eq!(told, "installed 1.0.0");
    let told = spoiled(|site, d| _ = site.content(zip(d), archive(&stem, b"evil"))).await;
    assert!(told.contains("is refused: its SHA-256 is") && told.contains("somebody changed it"), "{told}");
    let told = spoiled(|site, d| _ = site.has(zip(d), cutting(b"PK half", 1007))).await;
    assert!(told.contains(&format!("{stem}.zip ended after 7 of 1007 bytes")), "{told}");
    let told = spoiled(|site, d| _ = site.has(zip(d), Answer::Status(503, vec![]))).await;
    assert!(told.contains("the server answered 503"), "{told}");
    let told = spoiled(|site, d| _ = site.has(zip(d), Answer::Status(404, vec![]))).await;
    assert!(told.contains("cannot get v1.0.0 from the mirror"), "{told}");
    let told = spoiled(|site, d| _ = site.has(sums(d), Answer::Status(404, vec![]))).await;
    assert!(
        told.contains("no release of github.com/a/x can be used here:\n  v1.0.0: there is no http"),
        "{told}"
    );
    let told = spoiled(|site, d| _ = site.content(sums(d), "")).await;
    assert!(told.contains("its list of checksums names no archives"), "{told}");
    let told = spoiled(|site, d| release(site, d, "1.0.0", "plan9_mips")).await;
    assert!(told.contains(&format!("v1.0.0: it is for plan9_mips, not for {}", here())), "{told}");
    let told = spoiled(|site, d| {
        let line = sum_line(b"", &format!("packer-plugin-x_v1.0.0_x6.0_{}.zip", here()));
        site.content(sums(d), line);
    });
    assert!(told.await.contains("it speaks protocol x6.0, this program speaks x5.0"));
    let told = spoiled(|site, d| repack(site, d, "../../evil", &program("1.0.0", "x5.0"))).await;
    assert!(told.contains("its member \"../../evil\" would be unpacked outside"), "{told}");
    let told = spoiled(|site, d| repack(site, d, "other", &program("1.0.0", "x5.0"))).await;
    assert!(told.contains(&format!("the archive doesn't hold {stem}; it holds other")), "{told}");
    let told = spoiled(|site, d| repack(site, d, &stem, b"\x7fELF for another machine")).await;
    assert!(told.contains("is no plug-in that runs on this machine"), "{told}");
    let told = spoiled(|site, d| repack(site, d, &stem, &program("1.0.1", "x5.0"))).await;
    assert!(told.contains("v1.0.0: the program in it says that it is version 1.0.1"), "{told}");
    let told = spoiled(|site, d| repack(site, d, &stem, &program("1.0.0-dev", "x5.0"))).await;
    assert!(told.contains("which is no release; only releases are downloaded"), "{told}");
    let told = spoiled(|site, d| repack(site, d, &stem, &program("1.0.0", "x5.1"))).await;
    assert!(told.contains("says that it speaks protocol x5.1"), "{told}");
    let told = spoiled(|site, _| _ = site.content(format!("/{X}/index.json"), "<html>")).await;
    assert!(told.contains("index.json can't be understood"), "{told}");
}

#[tokio::test]
async fn passwords_in_a_mirrors_url_are_sent_and_not_shown() {
    let (site, mut url) = Site::start().await;
    let place = tempfile::tempdir().unwrap();
    url.set_username("me").unwrap();
    url.set_password(Some("pass-word")).unwrap();
    let mirror: Arc<dyn Releases> = Arc::new(url.as_str().parse::<Mirror>().unwrap());
    assert!(!mirror.place().contains("pass-word"));
    for answer in [Answer::Status(401, vec![]), Answer::Content(b"no JSON".to_vec())] {
        site.has(format!("/{X}/index.json"), answer);
        let told = outcome(&store(place.path()), mirror.clone(), &wanted(X, "")).await;
        assert!(told.contains("index.json") && !told.contains("pass-word"), "{told}");
    }
    assert!(site.asked().iter().all(|(_, sent)| sent.as_deref().is_some_and(|s| s.starts_with("Basic "))));
    for text in ["ftp://me:pass-word@example.org/x", "https://me:pass-word@127.0.0.1:1/x"] {
        let told = match text.parse::<Mirror>() {
            Ok(mirror) => outcome(&store(place.path()), Arc::new(mirror), &wanted(X, "")).await,
            Err(error) => error.to_string(),
        };
        assert!(!told.contains("pass-word"), "{told}");
    }
}

#[tokio::test]
async fn an_older_release_is_taken_where_the_newer_is_not_for_this_machine() {
    let told = spoiled(|site, _| {
        site.content(format!("/{X}/index.json"), r#"{"versions":{"v1.0.0":{},"1.1.0":{},"v1.2.0":{}}}"#);
        release(site, &format!("/{X}/1.1.0"), "1.1.0", "plan9_mips");
    });
    assert_eq!(told.await, "installed 1.0.0");
}

#[tokio::test]
async fn what_is_damaged_is_installed_again_and_force_installs_what_is_whole() {
    let (site, url) = Site::start().await;
    let place = tempfile::tempdir().unwrap();
    site.content(format!("/{X}/index.json"), r#"{"versions":{"v1.0.0":{}}}"#);
    release(&site, &format!("/{X}/v1.0.0"), "1.0.0", &here());
    let store = store(place.path());
    let mirror: Arc<dyn Releases> = Arc::new(url.as_str().parse::<Mirror>().unwrap());
    let (places, any) = ([mirror.clone()], wanted(X, ""));
    assert_eq!(outcome(&store, mirror.clone(), &any).await, "installed 1.0.0");
    assert_eq!(outcome(&store, mirror.clone(), &any).await, "there 1.0.0");
    let forced = Installer::new(&store, &places).install(&any, Again::Yes, &()).await.unwrap();
    let Outcome::Installed(placed) = forced else { panic!("{forced:?}") };
    std::fs::write(&placed.path, "damaged").unwrap();
    assert_eq!(outcome(&store, mirror, &any).await, "installed 1.0.0");
}

#[tokio::test]
async fn a_program_of_ones_own_is_installed_under_its_canonical_name() {
    let place = tempfile::tempdir().unwrap();
    let store = store(&place.path().join("plugins"));
    let installer = Installer::new(&store, &[]);
    let mut number = 0;
    let mut install = async |content: &[u8], versions: &str| {
        number += 1;
        let file = place.path().join(format!("mine-{number}"));
        kiln_component::process::write_script(&file, content).unwrap();
        match installer.install_file(&file, &wanted(X, versions)).await {
            Ok(placed) => placed.path.file_name().unwrap().to_string_lossy().into_owned(),
            Err(error) => kiln_plan::fault::chain(&error),
        }
    };
    let name = |version: &str, api: &str| format!("packer-plugin-x_v{version}_{api}_{}", here());
    assert_eq!(install(&program("1.2.3", "x5.0"), "").await, name("1.2.3", "x5.0"));
    assert_eq!(install(&program("1.2.4-dev+abc", "x5.0"), "").await, name("1.2.4-dev", "x5.0"));
    assert_eq!(install(&program("1.2.3", "x6.0"), "~> 1").await, name("1.2.3", "x6.0"));
    let refused = [
        (program("1.2.3-rc1", "x5.0"), "", "only releases and -dev versions can be installed"),
        (program("1.2.3", "x5.0"), "~> 2", "which doesn't fulfil \"~> 2\""),
        (b"#!/bin/sh\necho hello\n".to_vec(), "", "is no plug-in that runs on this machine"),
    ];
    for (content, versions, expected) in refused {
        let told = install(&content, versions).await;
        assert!(told.contains(expected), "{told}");
    }
    let missing = installer.install_file(&place.path().join("none"), &wanted(X, "")).await.unwrap_err();
    assert!(missing.to_string().starts_with("cannot read"), "{missing}");
    let found = store.find(Query::all()).await.unwrap();
    assert_eq!(found.plugins.len(), 2, "what speaks another protocol is installed, but not used");
}
