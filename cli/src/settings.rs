//! Settings files of daemons: arguments and blocks in the language of templates, literals only, each fault told with its
//! line, all of them at once.
//!
//! ```text
//!   farm  = ["https://a", "https://b"]           Reader::open ─► Section: count, text, duration … ─► Reader::finish
//!   slots = 4                                        │                │ remembers what is asked for      │ or all faults:
//!   labels { zone = "b" }                            └ syntax         └ types, ranges                    │ also what
//!                                                                                                         nobody asked for
//! ```
//!
//! A daemon asks for the settings that it knows, by name and kind; what stands in the file besides is a fault, with the
//! nearest name that was asked for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_lang::diagnostic::nearest;
use kiln_lang::syntax::{Attribute, Body};
use kiln_lang::{
    Diagnostic, Diagnostics, Scope, SourceFile, SourceMap, Span, Value, duration, evaluate, parse,
};

pub(crate) mod agent;
pub(crate) mod coordinator;

#[cfg(test)]
mod tests;

/// A settings file that is being read.
#[derive(Debug)]
pub(crate) struct Reader {
    body: Body,
    sources: SourceMap,
    /// Where relative paths resolve.
    directory: PathBuf,
    found: RefCell<Diagnostics>,
}

/// A settings file that can't be used.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It can't be read.
    Unreadable(String),
    /// What is wrong with it.
    Faults(Diagnostics, SourceMap),
}

/// The arguments and blocks of a file or of one block.
#[derive(Debug)]
pub(crate) struct Section<'r> {
    reader: &'r Reader,
    body: &'r Body,
    known: RefCell<BTreeSet<&'static str>>,
}

impl Reader {
    /// Reads a file; faults of its syntax are told with all others.
    pub(crate) fn open(path: &Path) -> Result<Self, Refused> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Refused::Unreadable(format!("cannot read the settings in {}: {error}", path.display()))
        })?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self::of(&path.display().to_string(), &text, directory))
    }

    fn of(name: &str, text: &str, directory: PathBuf) -> Self {
        let file = SourceFile::new(name, text);
        let (body, found) = parse::body(&file);
        let mut sources = SourceMap::default();
        sources.add(file);
        Self { body, sources, directory, found: RefCell::new(found) }
    }

    /// An empty file, for daemons that were given none.
    pub(crate) fn empty() -> Self {
        Self::of("", "", PathBuf::from("/"))
    }

    /// All of it.
    pub(crate) fn top(&self) -> Section<'_> {
        Section { reader: self, body: &self.body, known: RefCell::default() }
    }

    /// Whether the file has an argument of that name, good or bad.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.body.attribute(name).is_some()
    }

    /// Notes a fault that only its reader can see.
    pub(crate) fn complain(&self, fault: Diagnostic) {
        self.found.borrow_mut().push(fault);
    }

    /// What was made of it, unless there is a fault anywhere.
    pub(crate) fn finish<T>(self, made: T) -> Result<T, Refused> {
        let found = self.found.into_inner();
        if found.has_errors() { Err(Refused::Faults(found, self.sources)) } else { Ok(made) }
    }

    /// Takes the result of something, or notes why there is none.
    fn take<T>(&self, result: Result<T, Diagnostic>) -> Option<T> {
        self.found.borrow_mut().take(result)
    }
}

impl<'r> Section<'r> {
    /// Whether there is an argument of that name, good or bad.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.body.attribute(name).is_some()
    }

    /// A text.
    pub(crate) fn text(&self, name: &'static str) -> Option<String> {
        self.value(name, "a text, as \"words\"", |value| value.as_str().map(str::to_owned))
    }

    /// A path; a relative one is taken from the directory of the file.
    pub(crate) fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.text(name).map(|path| self.reader.directory.join(path))
    }

    /// `true` or `false`.
    pub(crate) fn switch(&self, name: &'static str) -> Option<bool> {
        self.value(name, "true or false", Value::as_bool)
    }

    /// A whole number in a range.
    pub(crate) fn count(&self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let kind = format!("a whole number from {} to {}", range.start(), range.end());
        self.value(name, &kind, |value| {
            let number: u64 = value.as_number()?.to_string().parse().ok()?;
            range.contains(&number).then_some(number)
        })
    }

    /// A time span, such as `"10m"`, never negative.
    pub(crate) fn duration(&self, name: &'static str) -> Option<Duration> {
        self.value(name, "a time span, as \"90s\" or \"1h30m\"", |value| {
            let span = duration::parse(value.as_str()?).ok()?;
            (!span.is_negative()).then(|| span.max_zero())
        })
    }

    /// A number of bytes, such as `"50GiB"`.
    pub(crate) fn bytes(&self, name: &'static str) -> Option<u64> {
        self.value(name, "a number of bytes, as \"512MiB\" or \"50GiB\"", |value| bytes(value.as_str()?))
    }

    /// A list of texts.
    pub(crate) fn texts(&self, name: &'static str) -> Option<Vec<String>> {
        self.value(name, "a list of texts, as [\"a\", \"b\"]", |value| {
            value.as_items()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })
    }

    /// Something that is written as a text and has a reader of its own.
    pub(crate) fn parsed<T, E: std::fmt::Display>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(name)?;
        self.reader.take(read(&text).map_err(|error| self.fault(name, &error)))
    }

    /// The same, of each text of a list.
    pub(crate) fn each_parsed<T, E: std::fmt::Display>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let texts = self.texts(name)?;
        let read = |text: &String| self.reader.take(read(text).map_err(|error| self.fault(name, &error)));
        Some(texts.iter().filter_map(read).collect())
    }

    /// Texts by names of the user's choice: a block of arguments, or an object.
    pub(crate) fn texts_by_name(&self, name: &'static str) -> BTreeMap<String, String> {
        let in_block = self.blocks(name).flat_map(|block| {
            block.body.attributes.iter().filter_map(|attribute| {
                let value = self.evaluated(attribute)?;
                let text = value.as_str().map(str::to_owned);
                let named = text.map(|text| (attribute.name.clone(), text));
                let wrong = || mismatch(&attribute.name, "a text, as \"words\"", &attribute.expression.span);
                self.reader.take(named.ok_or_else(wrong))
            })
        });
        let mut all: BTreeMap<String, String> = in_block.collect();
        let given = self.value(name, "texts by name, as { zone = \"b\" }", |value| {
            let entries = value.as_entries()?;
            entries
                .iter()
                .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect::<Option<Vec<_>>>()
        });
        all.extend(given.into_iter().flatten());
        all
    }

    /// Blocks of that kind. Each is to be [ended](Section::end) by whoever reads it.
    pub(crate) fn blocks(&self, kind: &'static str) -> impl Iterator<Item = Section<'r>> {
        self.known.borrow_mut().insert(kind);
        let reader = self.reader;
        self.body.blocks_of(kind).map(move |block| Section {
            reader,
            body: &block.body,
            known: RefCell::default(),
        })
    }

    /// A fault of one setting, for what only its reader can see.
    pub(crate) fn fault(&self, name: &str, detail: &dyn std::fmt::Display) -> Diagnostic {
        let span = self.body.attribute(name).map(|attribute| attribute.expression.span.clone());
        Diagnostic::error(format!("Bad setting {name:?}"), sentence(&detail.to_string())).at(span)
    }

    /// Complains of everything that nobody asked for.
    pub(crate) fn end(self) {
        let known = self.known.into_inner();
        let attributes = self.body.attributes.iter().map(|attribute| (&attribute.name, &attribute.name_span));
        let blocks = self.body.blocks.iter().map(|block| (&block.kind, &block.kind_span));
        for (name, span) in attributes.chain(blocks).filter(|(name, _)| !known.contains(name.as_str())) {
            let fault = Diagnostic::error(format!("Unknown setting {name:?}"), "").at(span.clone());
            self.reader.complain(match nearest(name, known.iter().copied()) {
                Some(similar) => fault.hint(format!("Did you mean {similar:?}?")),
                None => fault
                    .hint(format!("Known are: {}.", known.iter().copied().collect::<Vec<_>>().join(", "))),
            });
        }
    }

    fn value<T>(&self, name: &'static str, kind: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        self.known.borrow_mut().insert(name);
        let attribute = self.body.attribute(name)?;
        let value = self.evaluated(attribute)?;
        self.reader.take(read(&value).ok_or_else(|| mismatch(name, kind, &attribute.expression.span)))
    }

    fn evaluated(&self, attribute: &Attribute) -> Option<Value> {
        match evaluate(&attribute.expression, &Scope::literals_only()) {
            Ok(value) => Some(value),
            Err(found) => {
                self.reader.found.borrow_mut().extend(found);
                None
            }
        }
    }
}

impl Refused {
    /// For people.
    pub(crate) fn text(&self, paint: bool) -> String {
        match self {
            Self::Unreadable(why) => why.clone(),
            Self::Faults(found, sources) => crate::render::diagnostic::text(found, sources, paint),
        }
    }
}

fn mismatch(name: &str, kind: &str, span: &Span) -> Diagnostic {
    Diagnostic::error(format!("Bad setting {name:?}"), format!("It must be {kind}.")).at(span.clone())
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    let end = if text.ends_with('.') { "" } else { "." };
    first.into_iter().flatten().chain(letters).chain(end.chars()).collect()
}

/// `512`, `512KiB`, `512MiB`, `50GiB`, `1TiB`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let shift = match text[digits..].trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(1 << shift)
}
