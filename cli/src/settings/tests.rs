//! What settings files say, and what is told of those that are wrong.

use super::*;

fn reader(text: &str) -> Reader {
    Reader::of("agent.hcl", text, PathBuf::from("/etc/kiln"))
}

/// `3 Unknown setting "slot": Did you mean "slots"?`, one line each.
fn faults(reader: Reader) -> String {
    let Err(Refused::Faults(found, sources)) = reader.finish(()) else { return String::new() };
    let line = |d: &Diagnostic| {
        let span = d.span.as_ref().map(|span| {
            let file = sources.get(&span.file).expect("it is the file that was read");
            file.position(span.start).line.to_string()
        });
        let words = d.hint.as_deref().unwrap_or(d.detail.as_str());
        format!("{} {}: {words}", span.unwrap_or_default(), d.summary)
    };
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn settings_of_every_kind_are_read() {
    let reader = reader(
        r#"
        name  = "host-1"
        slots = 4
        limit = "1h30m"
        cache = "50GiB"
        farm  = ["https://a", "https://b"]
        key   = "keys/agent"
        on    = true
        labels { zone = "b" }
        more  = { rack = "7" }
        store "s3" { bucket = "images" }
        "#,
    );
    let top = reader.top();
    assert_eq!(top.text("name").unwrap(), "host-1");
    assert_eq!(top.count("slots", 1..=10), Some(4));
    assert_eq!(top.duration("limit"), Some(Duration::from_secs(5_400)));
    assert_eq!(top.bytes("cache"), Some(50 << 30));
    assert_eq!(top.texts("farm").unwrap(), ["https://a", "https://b"]);
    assert_eq!(top.path("key").unwrap(), Path::new("/etc/kiln/keys/agent"));
    assert_eq!((top.switch("on"), top.switch("off")), (Some(true), None));
    assert_eq!(top.texts_by_name("labels")["zone"], "b");
    assert_eq!(top.texts_by_name("more")["rack"], "7");
    for store in top.blocks("store") {
        assert_eq!(store.text("bucket").unwrap(), "images");
        store.end();
    }
    top.end();
    assert_eq!(faults(reader), "");
}

#[test]
fn every_fault_is_told_at_once_with_its_line() {
    let reader =
        reader("slot = 3\nname = 7\nlimit = \"soon\"\ncount = 99\nsize = \"5 GB\"\nother \"x\" {\n}\n");
    let top = reader.top();
    let _wrong = (top.text("name"), top.duration("limit"), top.count("count", 1..=10), top.bytes("size"));
    let _missing = top.count("slots", 1..=10);
    top.end();
    let expected = r#"2 Bad setting "name": It must be a text, as "words".
3 Bad setting "limit": It must be a time span, as "90s" or "1h30m".
4 Bad setting "count": It must be a whole number from 1 to 10.
5 Bad setting "size": It must be a number of bytes, as "512MiB" or "50GiB".
1 Unknown setting "slot": Did you mean "slots"?
6 Unknown setting "other": Known are: count, limit, name, size, slots."#;
    assert_eq!(faults(reader), expected);
}

#[test]
fn what_an_own_reader_refuses_is_told_in_its_words() {
    let reader = reader("farm = [\"https://a\", \"http://b\"]\nsum = 1 + x\n");
    let top = reader.top();
    let refuse =
        |text: &str| if text.starts_with("https") { Ok(()) } else { Err("the farm speaks TLS only") };
    assert_eq!(top.each_parsed("farm", refuse).unwrap().len(), 1);
    let _computed = top.text("sum");
    top.end();
    let told = faults(reader);
    assert!(told.starts_with("1 Bad setting \"farm\": The farm speaks TLS only."), "{told}");
    assert!(told.lines().count() >= 2, "{told}");
}
