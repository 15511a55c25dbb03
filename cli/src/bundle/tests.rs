use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let top = directory.path();
    for (name, text) in [
        ("images/web.pkr.hcl", "source \"null\" \"a\" {}"),
        ("images/scripts/a.sh", "#!/bin/sh"),
        ("images/huge.iso", "not needed"),
        ("images/keep.iso", "needed"),
        ("images/.kilnignore", "*.iso\n!keep.iso\n"),
        ("images/output-web/disk", "earlier"),
        ("images/packer_cache/x", "earlier"),
        ("images/.git/config", "history"),
        ("shared/motd", "hello"),
    ] {
        let path = top.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::set_permissions(top.join("images/scripts/a.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("scripts/a.sh", top.join("images/first")).unwrap();
    symlink(top.join("shared/motd"), top.join("images/motd")).unwrap();
    directory
}

/// `name mode` of each entry.
fn told(packed: &Packed) -> Vec<String> {
    let word = |entry: &Entry| match entry {
        Entry::File { executable: true, .. } => "x".to_owned(),
        Entry::File { .. } => "f".to_owned(),
        Entry::Link { target } => format!("-> {target}"),
    };
    packed.files.iter().map(|(name, entry)| format!("{name} {}", word(entry))).collect()
}

#[test]
fn what_a_build_needs_is_packed_and_no_more() {
    let directory = directory();
    let packed = pack("web.pkr.hcl", &directory.path().canonicalize().unwrap().join("images")).unwrap();
    assert_eq!(
        told(&packed),
        ["first -> scripts/a.sh", "keep.iso f", "motd f", "scripts/a.sh x", "web.pkr.hcl f"]
    );
    assert_eq!(packed.working_directory, "");
}

#[test]
fn the_top_is_above_both_the_template_and_the_working_directory() {
    let directory = directory();
    let top = directory.path().canonicalize().unwrap();
    let packed = pack("../images/web.pkr.hcl", &top.join("shared")).unwrap();
    assert_eq!(packed.working_directory, "shared");
    assert!(told(&packed).contains(&"images/web.pkr.hcl f".to_owned()), "{:?}", told(&packed));
    assert!(told(&packed).contains(&"shared/motd f".to_owned()));
}

#[test]
fn a_directory_that_holds_everything_is_not_sent() {
    let directory = directory();
    let template = directory.path().join("images/web.pkr.hcl");
    let error = pack(&template.to_string_lossy(), Path::new("/usr")).unwrap_err();
    assert!(error.to_string().contains("have only / in common"), "{error}");
}

#[test]
fn too_much_is_refused_with_the_names_of_the_largest() {
    let directory = directory();
    let top = directory.path().canonicalize().unwrap();
    for (name, mib) in [("a.img", 400), ("b.img", 300)] {
        fs::File::create(top.join("images").join(name)).unwrap().set_len(mib << 20).unwrap();
    }
    let error = pack("web.pkr.hcl", &top.join("images")).unwrap_err().to_string();
    assert!(error.contains("a.img (400 MiB)") && error.contains(".kilnignore"), "{error}");
}

#[test]
fn too_many_files_are_refused_before_any_is_read() {
    let directory = directory();
    let top = directory.path().canonicalize().unwrap();
    let many = top.join("images/node_modules");
    fs::create_dir(&many).unwrap();
    // Nobody could read it to its end.
    assert!(std::process::Command::new("mkfifo").arg(many.join("pipe")).status().unwrap().success());
    let original = many.join("0");
    fs::write(&original, "").unwrap();
    (1..=MOST_ENTRIES).for_each(|n| fs::hard_link(&original, many.join(n.to_string())).unwrap());
    let error = pack("web.pkr.hcl", &top.join("images")).unwrap_err().to_string();
    let told = error.contains("too many files") && error.contains("most of them in node_modules (");
    assert!(told && error.contains(".kilnignore"), "{error}");
    fs::write(top.join("images/.kilnignore"), "node_modules\n*.iso\n").unwrap();
    assert!(pack("web.pkr.hcl", &top.join("images")).is_ok());
}

#[test]
fn what_opens_a_farm_stays_here_and_is_told() {
    use kiln_plan::fingerprint::Fingerprint;
    use kiln_plan::id::TokenId;
    use kiln_proto::token::{Token, TokenKind};

    let directory = directory();
    let top = directory.path().canonicalize().unwrap().join("images");
    let id = TokenId::new(uuid::Uuid::nil());
    let token = |kind| Token::new(kind, id, [7; 32], Fingerprint::of_bytes(b"authority")).reveal();
    let (agents, persons) = (token(TokenKind::Agent), token(TokenKind::Client));
    for (name, text) in [
        ("agent.token", format!("{agents}\n")),
        (".envrc", format!("export KILN_TOKEN=\"{persons}\"\n")),
        ("copy-of-key", "# since May\n kiln-farm-key-1 QUFB\n".to_owned()),
        ("farm/farm.key", "kiln-farm-key-1 QUFB\n".to_owned()),
        ("farm/coordinator.pem", "a key".to_owned()),
        ("agent/daemon.lock", String::new()),
        ("agent/identity/key.pem", "a key".to_owned()),
        ("agent/attempts/log", String::new()),
        ("sub/identity/key.pem", "of the guest, as the template wants it".to_owned()),
        ("sub/join.sh", format!("echo {agents} > token; kiln agent -token-file token")),
        ("sub/README", "KILN_TOKEN=kiln_client_…, see kiln_client_AAAA".to_owned()),
    ] {
        let path = top.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut packed = pack("web.pkr.hcl", &top).unwrap();
    packed.kept_back.sort();
    assert_eq!(packed.kept_back, [".envrc", "agent", "agent.token", "copy-of-key", "farm"]);
    let sent = told(&packed);
    assert!(
        sent.contains(&"sub/identity/key.pem f".to_owned()) && sent.contains(&"sub/join.sh f".to_owned())
    );
    assert!(!sent.iter().any(|name| name.starts_with("farm") || name.starts_with("agent")), "{sent:?}");
    fs::write(top.join("farm/t.pkr.hcl"), "").unwrap();
    let error = pack("t.pkr.hcl", &top.join("farm")).unwrap_err().to_string();
    assert!(error.contains("directory of a coordinator or an agent"), "{error}");
}

#[test]
fn a_machine_as_a_whole_is_refused() {
    let error = pack("t.pkr.hcl", Path::new("/")).unwrap_err().to_string();
    assert!(error.contains("have only / in common"), "{error}");
}

#[test]
fn an_absolute_template_is_named_from_the_working_directory() {
    let directory = directory();
    let top = directory.path().canonicalize().unwrap();
    let named = |template: &str, here: &str| relative(&top.join(template).to_string_lossy(), &top.join(here));
    assert_eq!(named("images/web.pkr.hcl", "images"), "web.pkr.hcl");
    assert_eq!(named("images/web.pkr.hcl", "shared"), "../images/web.pkr.hcl");
    assert_eq!(named("images", "images"), ".");
    assert_eq!(relative("web.pkr.hcl", &top), "web.pkr.hcl");
}
