//! Go-template text to HCL2: actions that HCL2 can express become expressions; what is left for the component
//! (`{{ .Vars }}`, `{{ if … }}`) stays, with the variables in it filled in.
//!
//! | action | becomes |
//! |---|---|
//! | `user` | `var.x`, or `local.x` where the variable is computed |
//! | `timestamp` | `local.timestamp`: the same number of seconds |
//! | `isotime`, `strftime` | `legacy_isotime`, `legacy_strftime` |
//! | `build "K"` | `build.K` |
//! | `build_name`, `build_type` | `source.name`, `source.type` |
//! | `template_dir`, `pwd` | `abspath(path.root)`, `path.cwd` |
//! | `uuid`, `packer_version` | `uuidv4()`, `packer.version` |
//! | `upper`, `lower`, `split`, `replace`, `replace_all`, `printf` | the function of HCL2 |
//! | `env`, `vault`, `consul_key`, `aws_secretsmanager…`, in variables | see `variable.rs` |

use std::collections::{BTreeMap, BTreeSet};

use kiln_lang::format_value::quoted;
use kiln_lang::go_template::{Action, Piece, Term, outline};
use kiln_lang::{Diagnostic, Diagnostics, Span};

use super::names::Source;
use super::output::{Expression, Part, key};
use super::secret::Secrets;
use crate::template::shape::is_identifier;

/// Where a text stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// A computed variable, or the config of a data source.
    Local,
    /// The config of a source.
    Source(&'a Source),
    /// The config of a provisioner or post-processor.
    Shared,
    /// What a provisioner's `override` says for one source.
    Override(&'a Source),
}

/// Translates texts, and remembers what the translations need besides.
#[derive(Debug)]
pub(super) struct Translator<'a> {
    pub(super) sources: &'a [Source],
    /// `var.x` or `local.x` by variable.
    pub(super) variables: BTreeMap<String, String>,
    /// Environment variables that computed variables read.
    pub(super) environment: BTreeSet<String>,
    pub(super) secrets: Secrets,
    /// Whether `local.timestamp` is needed.
    pub(super) timestamp: bool,
    /// Whether `local.build_names` is needed.
    pub(super) build_names: bool,
    pub(super) warnings: Diagnostics,
}

impl<'a> Translator<'a> {
    pub(super) fn new(sources: &'a [Source]) -> Self {
        Self {
            sources,
            variables: BTreeMap::new(),
            environment: BTreeSet::new(),
            secrets: Secrets::default(),
            timestamp: false,
            build_names: false,
            warnings: Diagnostics::new(),
        }
    }

    /// Notes something that the reader of the result should know.
    pub(super) fn warn(&mut self, summary: &str, detail: String, span: Option<&Span>) {
        let warning = Diagnostic::warning(summary, detail).at(span.cloned());
        if !self.warnings.iter().any(|known| *known == warning) {
            self.warnings.push(warning);
        }
    }

    /// The expression that yields what a text does.
    pub(super) fn text(&mut self, text: &str, place: Place<'_>, span: Option<&Span>) -> Expression {
        if !text.contains("{{") {
            return Expression::text(text);
        }
        let pieces = match outline(text) {
            Ok(pieces) => pieces,
            Err(error) => {
                self.warn("Text kept as it is", error.to_string(), span);
                return Expression::text(text);
            }
        };
        let mut parts = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => push(&mut parts, Part::Text(text)),
                Piece::Action(action) => match action.term.as_ref().and_then(|t| self.part(t, place)) {
                    Some(part) => push(&mut parts, part),
                    None => self.kept(&action, place, span).into_iter().for_each(|p| push(&mut parts, p)),
                },
            }
        }
        match parts.as_slice() {
            [] => Expression::text(""),
            [Part::Code(code)] => Expression::Code(code.clone()),
            _ => Expression::Text(parts),
        }
    }

    /// An action that stays one, with what only JSON templates have filled in.
    fn kept(&mut self, action: &Action, place: Place<'_>, span: Option<&Span>) -> Vec<Part> {
        const LEGACY_ONLY: [&str; 4] = ["user", "build", "template_dir", "env"];
        let mut parts = Vec::new();
        let mut from = 0;
        for mention in &action.mentions {
            let renamed = mention.name == "build_name" && self.has_new_names();
            if !renamed && !LEGACY_ONLY.contains(&mention.name.as_str()) {
                continue;
            }
            let arguments = mention.argument.iter().cloned().map(Term::Text).collect();
            let call = Term::Call { name: mention.name.clone(), arguments };
            let Some(part) = self.part(&call, place) else {
                let detail = format!("{:?} has no counterpart in HCL2 here: {}", mention.name, action.text);
                self.warn("Action kept as it is", detail, span);
                continue;
            };
            parts.push(Part::Text(format!("{}`", &action.text[from..mention.range.start])));
            parts.push(part);
            parts.push(Part::Text("`".to_owned()));
            from = mention.range.end;
        }
        parts.push(Part::Text(action.text[from..].to_owned()));
        parts
    }

    fn part(&mut self, term: &Term, place: Place<'_>) -> Option<Part> {
        match term {
            Term::Text(text) => Some(Part::Text(text.clone())),
            Term::Number(text) => Some(Part::Text(text.clone())),
            Term::Bool(b) => Some(Part::Text(b.to_string())),
            Term::Field(name) if name == "BuildName" && self.has_new_names() => self.build_name(place),
            Term::Field(_) | Term::Other => None,
            Term::Call { name, arguments } => match (name.as_str(), arguments.as_slice(), place) {
                ("build_name", [], _) => self.build_name(place),
                ("build_type", [], Place::Override(source)) => Some(Part::Text(source.kind.clone())),
                _ => self.call(name, arguments, place).map(Part::Code),
            },
        }
    }

    fn code(&mut self, term: &Term, place: Place<'_>) -> Option<String> {
        match term {
            Term::Number(text) => Some(text.clone()),
            Term::Bool(b) => Some(b.to_string()),
            _ => self.part(term, place).map(|part| match part {
                Part::Text(text) => quoted(&text),
                Part::Code(code) => code,
            }),
        }
    }

    fn call(&mut self, name: &str, arguments: &[Term], place: Place<'_>) -> Option<String> {
        use Term::{Number, Text};
        match (name, arguments) {
            ("user", [Text(variable)]) => self.variables.get(variable).cloned(),
            ("timestamp", []) => {
                self.timestamp = true;
                Some("local.timestamp".to_owned())
            }
            ("uuid", []) => Some("uuidv4()".to_owned()),
            ("pwd", []) => Some("path.cwd".to_owned()),
            ("template_dir", []) => Some("abspath(path.root)".to_owned()),
            ("packer_version", []) => Some("packer.version".to_owned()),
            ("build", [Text(value)]) if matches!(place, Place::Shared) && is_identifier(value) => {
                Some(format!("build.{value}"))
            }
            ("build_type", []) => match place {
                Place::Local | Place::Override(_) => None,
                Place::Source(_) | Place::Shared => Some("source.type".to_owned()),
            },
            ("env" | "vault" | "consul_key" | "aws_secretsmanager" | "aws_secretsmanager_raw", _)
                if matches!(place, Place::Local) =>
            {
                self.question(name, arguments)
            }
            ("split", [source, Text(separator), Number(index)]) if !separator.is_empty() => {
                let source = self.code(source, place)?;
                Some(format!("split({}, {source})[{index}]", quoted(separator)))
            }
            ("replace", [old, new, Number(count), source]) if count.starts_with('-') => {
                self.function("replace", &[source, old, new], place)
            }
            ("replace_all", [old, new, source]) => self.function("replace", &[source, old, new], place),
            ("isotime", [] | [_]) => self.function("legacy_isotime", &refs(arguments), place),
            ("strftime", [_]) => self.function("legacy_strftime", &refs(arguments), place),
            ("upper" | "lower", [_]) => self.function(name, &refs(arguments), place),
            ("printf", [Text(_), ..]) => self.function("format", &refs(arguments), place),
            _ => None,
        }
    }

    fn function(&mut self, name: &str, arguments: &[&Term], place: Place<'_>) -> Option<String> {
        let arguments: Option<Vec<_>> = arguments.iter().map(|term| self.code(term, place)).collect();
        Some(format!("{name}({})", arguments?.join(", ")))
    }

    /// What only variables may ask.
    fn question(&mut self, name: &str, arguments: &[Term]) -> Option<String> {
        let texts: Option<Vec<&str>> = arguments
            .iter()
            .map(|term| match term {
                Term::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        match (name, texts?.as_slice()) {
            ("env", [variable]) => {
                self.environment.insert((*variable).to_owned());
                Some(format!("var.{}", super::variable::environment_name(variable)))
            }
            ("vault", [path, key]) => Some(format!("vault({}, {})", quoted(path), quoted(key))),
            ("consul_key", [key]) => Some(format!("consul_key({})", quoted(key))),
            ("aws_secretsmanager", [secret]) => Some(self.secrets.reference(secret, None, "value")),
            ("aws_secretsmanager", [secret, key]) => Some(self.secrets.reference(secret, Some(key), "value")),
            ("aws_secretsmanager_raw", [secret]) => {
                Some(self.secrets.reference(secret, None, "secret_string"))
            }
            _ => None,
        }
    }

    /// Whether a source is called otherwise than its builder.
    fn has_new_names(&self) -> bool {
        self.sources.iter().any(|source| source.label != source.raw)
    }

    fn build_name(&mut self, place: Place<'_>) -> Option<Part> {
        let code = |code: &str| Some(Part::Code(code.to_owned()));
        match place {
            Place::Local => None,
            Place::Source(source) if source.label == source.raw => code("source.name"),
            Place::Source(source) | Place::Override(source) => Some(match self.original_name(source) {
                Expression::Text(parts) => match <[Part; 1]>::try_from(parts) {
                    Ok([part]) => part,
                    Err(parts) => Part::Code(Expression::Text(parts).code()),
                },
                other => Part::Code(other.code()),
            }),
            Place::Shared if self.has_new_names() => {
                self.build_names = true;
                code("lookup(local.build_names, \"${source.type}.${source.name}\", source.name)")
            }
            Place::Shared => code("source.name"),
        }
    }

    fn original_name(&mut self, source: &Source) -> Expression {
        self.text(&source.raw, Place::Local, None)
    }

    /// What builders were called whose sources are called otherwise.
    pub(super) fn original_names(&mut self) -> Expression {
        let renamed = self.sources.iter().filter(|source| source.label != source.raw);
        let entry = |source: &Source| (key(&source.selector()), self.original_name(source));
        Expression::Object(renamed.map(entry).collect())
    }
}

fn refs(terms: &[Term]) -> Vec<&Term> {
    terms.iter().collect()
}

/// Adds a part; neighbouring texts become one.
pub(super) fn push(parts: &mut Vec<Part>, part: Part) {
    match (parts.last_mut(), part) {
        (Some(Part::Text(before)), Part::Text(text)) => before.push_str(&text),
        (_, part) => parts.push(part),
    }
}
