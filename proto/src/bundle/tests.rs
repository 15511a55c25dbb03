use super::*;

fn file(text: &str) -> Entry {
    Entry::File { contents: Bytes::copy_from_slice(text.as_bytes()), executable: false }
}

fn link(target: &str) -> Entry {
    Entry::Link { target: target.to_owned() }
}

fn sample() -> BundleFiles {
    let mut files = BundleFiles::default();
    files.add("web.pkr.hcl", file("source \"null\" \"a\" {}")).unwrap();
    let script = Entry::File { contents: Bytes::from_static(b"#!/bin/sh\n"), executable: true };
    files.add("scripts/setup.sh", script).unwrap();
    files.add("scripts/latest", link("../scripts/setup.sh")).unwrap();
    files
}

#[test]
fn what_was_packed_is_what_is_unpacked() {
    let files = sample();
    let record = files.pack().unwrap();
    assert_eq!(BundleFiles::unpack(&record, files.digest()).unwrap(), files);
}

#[test]
fn the_digest_tells_names_modes_and_contents_apart() {
    let mut digests = vec![sample().digest()];
    for (name, entry) in [("a", file("")), ("a", file("x")), ("b", file("x")), ("a", link("x"))] {
        let mut files = sample();
        files.add(name, entry).unwrap();
        digests.push(files.digest());
    }
    let all = digests.len();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), all);
}

#[test]
fn names_and_links_that_lead_out_are_refused() {
    let mut wrong = Vec::new();
    for (name, entry, problem) in [
        ("/etc/passwd", file(""), PathProblem::Escapes),
        ("../up", file(""), PathProblem::Escapes),
        ("a/../../up", file(""), PathProblem::Escapes),
        ("", file(""), PathProblem::NotPlain),
        ("a//b", file(""), PathProblem::NotPlain),
        ("./a", file(""), PathProblem::NotPlain),
        ("web.pkr.hcl", file(""), PathProblem::Twice),
        ("l", link("/etc"), PathProblem::Escapes),
        ("l", link(".."), PathProblem::Escapes),
        ("d/l", link("../../x"), PathProblem::Escapes),
        ("d/l", link("e/../../../x"), PathProblem::Escapes),
        ("d/l", link("e/.."), PathProblem::Escapes),
        ("scripts/latest/l", link("../../y"), PathProblem::NoDirectory),
        ("scripts", link("x"), PathProblem::NoDirectory),
    ] {
        match sample().add(name, entry.clone()) {
            Err(BundleError::Path { problem: found, .. }) if found == problem => {}
            other => wrong.push(format!("{name} {entry:?}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn an_archive_with_what_no_bundle_has_is_refused() {
    let packed = |append: &dyn Fn(&mut tar::Builder<Vec<u8>>)| {
        let mut archive = tar::Builder::new(Vec::new());
        append(&mut archive);
        let body = zstd::encode_all(&archive.into_inner().unwrap()[..], 0).unwrap();
        rest::seal(FORMAT, body)
    };
    let raw = |name: &'static [u8], kind: tar::EntryType, target: &'static str| {
        move |archive: &mut tar::Builder<Vec<u8>>| {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name);
            header.set_entry_type(kind);
            if !target.is_empty() {
                header.set_link_name(target).unwrap();
            }
            header.set_size(0);
            header.set_mode(0o644);
            header.set_cksum();
            archive.append(&header, std::io::empty()).unwrap();
        }
    };
    let anything = Fingerprint::of_bytes(b"");
    let mut told = Vec::new();
    for record in [
        packed(&raw(b"../up", tar::EntryType::Regular, "")),
        packed(&raw(b"/abs", tar::EntryType::Regular, "")),
        packed(&raw(b"hard", tar::EntryType::Link, "web.pkr.hcl")),
        packed(&raw(b"null", tar::EntryType::Char, "")),
        packed(&raw(b"link", tar::EntryType::Symlink, "/etc/shadow")),
    ] {
        told.push(BundleFiles::unpack(&record, anything).unwrap_err().to_string());
    }
    assert_eq!(
        told,
        [
            "the bundle may not contain \"../up\": it leads out of the bundle",
            "the bundle may not contain \"/abs\": it leads out of the bundle",
            "the bundle may not contain \"hard\": it is neither a file nor a symbolic link",
            "the bundle may not contain \"null\": it is neither a file nor a symbolic link",
            "the bundle may not contain \"link\": it leads out of the bundle",
        ]
    );
}

#[test]
fn another_content_than_announced_is_refused() {
    let record = sample().pack().unwrap();
    let error = BundleFiles::unpack(&record, Fingerprint::of_bytes(b"x")).unwrap_err();
    assert!(matches!(error, BundleError::Digest { .. }), "{error}");
}

#[test]
fn a_small_archive_that_swells_is_stopped() {
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for name in ["a", "b", "c"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(200 << 20);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, std::io::repeat(0).take(200 << 20)).unwrap();
    }
    let record = rest::seal(FORMAT, archive.into_inner().unwrap().finish().unwrap());
    assert!(record.len() < 1 << 20);
    let error = BundleFiles::unpack(&record, Fingerprint::of_bytes(b"")).unwrap_err();
    assert!(matches!(error, BundleError::TooLarge), "{error}");
}

#[test]
fn the_files_below_a_directory_are_those_and_no_others() {
    let mut files = sample();
    files.add("scripts-old/x", file("")).unwrap();
    let names: Vec<&str> = files.below("scripts").map(|(name, _)| name).collect();
    assert_eq!(names, ["scripts/latest", "scripts/setup.sh"]);
    assert_eq!(files.below("").count(), 4);
}
