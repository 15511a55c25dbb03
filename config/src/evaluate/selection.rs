//! `-only` and `-except`: which builds run, and which post-processors.

use kiln_lang::{Diagnostic, Diagnostics};

use crate::glob::{Glob, Style};
use crate::request::Request;

/// The patterns of an HCL2 run, and how often they have matched.
#[derive(Debug)]
pub(super) struct Selection {
    only: Vec<Glob>,
    except: Vec<Glob>,
    only_matches: usize,
    except_matches: usize,
    names: Vec<String>,
}

impl Selection {
    /// Compiles the patterns of a request.
    ///
    /// # Errors
    /// Each pattern that is malformed.
    pub(super) fn new(request: &Request) -> Result<Self, Diagnostics> {
        let mut found = Diagnostics::new();
        let mut compile = |flag: &str, patterns: &[String]| {
            let one = |pattern: &String| {
                Glob::new(pattern, Style::Name).map_err(|error| {
                    Diagnostic::error(
                        format!("Invalid -{flag} pattern {pattern}: {error}"),
                        "A pattern may hold * ? [abc] [!a-z] and {x,y}.",
                    )
                })
            };
            patterns.iter().filter(|p| !p.is_empty()).filter_map(|p| found.take(one(p))).collect()
        };
        let (only, except) = (compile("only", &request.only), compile("except", &request.except));
        match found.has_errors() {
            true => Err(found),
            false => Ok(Self { only, except, only_matches: 0, except_matches: 0, names: Vec::new() }),
        }
    }

    /// Whether the build of that full name runs.
    pub(super) fn runs(&mut self, full_name: &str) -> bool {
        self.names.push(full_name.to_owned());
        if !self.only.is_empty() {
            if !self.only.iter().any(|glob| glob.matches(full_name)) {
                return false;
            }
            self.only_matches += 1;
        }
        let excepted = self.except.iter().any(|glob| glob.matches(full_name));
        self.except_matches += usize::from(excepted);
        !excepted
    }

    /// Whether a post-processor, known by name or type, is cut with the rest of its sequence.
    pub(super) fn cuts(&mut self, selector: &str) -> bool {
        let cut = self.except.iter().any(|glob| glob.matches(selector));
        self.except_matches += usize::from(cut);
        cut
    }

    /// Warnings about patterns that seem to match nothing: there are more patterns than matches.
    pub(super) fn warnings(&self) -> Diagnostics {
        let names = || format!("Build names: {}", self.names.join(", "));
        let mut found = Diagnostics::new();
        if self.only.len() > self.only_matches {
            found.push(Diagnostic::warning(
                "an 'only' option was passed, but not all matches were found for the given build.",
                names(),
            ));
        }
        if self.except.len() > self.except_matches {
            found.push(Diagnostic::warning(
                "an 'except' option was passed, but did not match any build.",
                names(),
            ));
        }
        found
    }
}

/// Whether a legacy builder of that interpolated name runs: names are compared as they are.
pub(super) fn runs_legacy(request: &Request, name: &str) -> bool {
    let named = |list: &[String]| list.iter().any(|n| n == name);
    let only = request.only.iter().any(|n| !n.is_empty());
    (!only || named(&request.only)) && !named(&request.except)
}
