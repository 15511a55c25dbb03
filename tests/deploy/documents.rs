//! Commands that documents, manifests and units name exist, with their flags.

use std::collections::{BTreeMap, BTreeSet};

use kiln_tests::program::Place;
use kiln_tests::tree;

use super::{expect_none, place};

/// Commands that the help leaves out.
const HIDDEN: [&str; 3] = ["attempt", "man", "plugin"];

/// Flags that the help leaves out.
const ANYWHERE: [&str; 5] =
    ["help", "version", "machine-readable", "autocomplete-install", "autocomplete-uninstall"];

/// What the program says that a command has.
#[derive(Clone, Default)]
struct Words {
    subcommands: BTreeSet<String>,
    flags: BTreeSet<String>,
}

/// The words of commands, asked for once each.
struct Manual {
    place: Place,
    known: BTreeMap<Vec<String>, Words>,
}

impl Manual {
    fn of(&mut self, path: &[String]) -> Words {
        if let Some(words) = self.known.get(path) {
            return words.clone();
        }
        let ran = self.place.run(path.iter().map(String::as_str).chain(["-help"]));
        let (mut words, mut listing) = (Words::default(), false);
        for line in ran.all().lines() {
            listing = if line.ends_with(':') {
                line.starts_with("Subcommands:") || line.starts_with("Available commands are:")
            } else {
                listing
            };
            let first = line.split_whitespace().next().unwrap_or_default();
            if listing && line.starts_with("    ") {
                words.subcommands.insert(first.to_owned());
            }
            let flags = line.split_whitespace().filter(|word| line.starts_with(' ') && word.starts_with('-'));
            let name = |flag: &str| {
                flag.trim_start_matches('-').split(['=', ',', '[']).next().unwrap_or_default().to_owned()
            };
            words.flags.extend(flags.map(name));
        }
        self.known.insert(path.to_vec(), words.clone());
        words
    }

    /// What is wrong with the words behind `kiln`.
    fn faults(&mut self, words: &[String]) -> Vec<String> {
        let mut path: Vec<String> = Vec::new();
        let mut known = self.of(&path);
        let mut faults = Vec::new();
        for word in words {
            if let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) {
                let flag = flag.trim_start_matches('-').split('=').next().unwrap_or_default();
                if !known.flags.contains(flag) && !ANYWHERE.contains(&flag) {
                    faults.push(format!("kiln {} has no flag -{flag}", path.join(" ")));
                }
            } else if known.subcommands.contains(word) {
                path.push(word.clone());
                known = self.of(&path);
            } else if path.is_empty() {
                if !HIDDEN.contains(&word.as_str()) {
                    faults.push(format!("kiln has no command {word}"));
                }
                break;
            }
        }
        if path.len() == 1 && !known.subcommands.is_empty() && known.flags.len() <= 1 {
            faults.push(format!("kiln {} takes a subcommand", path.join(" ")));
        }
        faults
    }
}

/// The commands of a text: what stands behind the word `kiln` where a command begins.
fn commands(text: &str) -> Vec<Vec<String>> {
    let ends = |word: &str| word.starts_with(['|', '>', '<', '&', '#', ';', ')', '`']);
    let mut found = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let starts = words.iter().enumerate().filter(|(place, word)| {
            let program = word.trim_start_matches(['(', '`', '$']);
            let before = place.checked_sub(1).and_then(|place| words.get(place)).copied().unwrap_or_default();
            let begins = before.is_empty()
                || ["$", "#", "--", "exec", "until", "||", "&&", "do", "run:", "person"].contains(&before)
                || before.contains('=') && !before.contains("://");
            ["kiln", "/usr/bin/kiln"].contains(&program) && (begins || word.starts_with(['(', '`']))
                || program == "ExecStart=/usr/bin/kiln"
                || program == "ExecStartPre=/usr/bin/kiln"
        });
        for (place, _) in starts {
            let rest = words[place + 1..].iter().take_while(|word| !ends(word));
            let rest: Vec<String> =
                rest.map(|word| word.trim_end_matches([')', '`', '"', ';', ',', '\'']).to_owned()).collect();
            found.push(rest);
        }
    }
    found
}

/// The fenced parts of a document that hold commands.
fn fenced(text: &str) -> String {
    let (mut open, mut wanted) = (false, false);
    let mut out = String::new();
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            open = !open;
            wanted = open && ["", "sh", "console"].contains(&language);
        } else if wanted {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[test]
fn commands_in_documents_exist() {
    let mut manual = Manual { place: place(), known: BTreeMap::new() };
    let mut offences = Vec::new();
    let mut seen = 0;
    let wanted = |path: &std::path::Path| {
        let (name, top) = (path.to_string_lossy(), path.starts_with("docs") || path.starts_with("deploy"));
        (top && !name.ends_with(".hcl")) || name == "README.md"
    };
    for (path, text) in tree::texts(wanted) {
        let text = if path.extension().is_some_and(|e| e == "md") { fenced(&text) } else { text };
        for words in commands(&text) {
            seen += 1;
            let faults = manual.faults(&words);
            offences.extend(
                faults
                    .into_iter()
                    .map(|fault| format!("{}: {fault}: kiln {}", path.display(), words.join(" "))),
            );
        }
    }
    assert!(seen > 50, "only {seen} commands were found");
    expect_none("commands that don't exist", &offences);
}

#[test]
fn commands_are_found_and_checked() {
    let mut manual = Manual { place: place(), known: BTreeMap::new() };
    let text = "$ kiln farm token creat -name x\n# runuser -u kiln -- kiln coordinator -setting F -check\nKILN_TOKEN=x kiln frm status | cat\n\
                the kiln is hot\nkiln images gc -grace 1h > f\n";
    let told: Vec<String> = commands(text).iter().flat_map(|words| manual.faults(words)).collect();
    assert_eq!(
        told,
        [
            "kiln farm token has no flag -name",
            "kiln coordinator has no flag -setting",
            "kiln has no command frm"
        ]
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut offences = Vec::new();
    for (path, text) in tree::texts(|path| {
        path.extension().is_some_and(|e| e == "md")
            && (path.starts_with("docs") || path.starts_with("deploy"))
    }) {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let files = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
        let folder = tree::top().join(path.parent().unwrap());
        let missing =
            files.filter(|target| !folder.join(target.split('#').next().unwrap_or_default()).exists());
        offences.extend(missing.map(|target| format!("{}: {target}", path.display())));
    }
    expect_none("links that lead nowhere", &offences);
}
