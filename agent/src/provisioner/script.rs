//! What the shell-like provisioners share: where the script comes from, its environment, and which exit codes
//! are good.

use std::collections::BTreeMap;

use kiln_component::{FinishedConfig, GeneratedData, TaskContext};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::schema::{OptionType, Rule};
use kiln_plan::{Failure, Fault, OptionSchema};

use crate::config::{self, Expected};

/// The options for where a script comes from, as a template gives them.
#[derive(Clone, Debug, Default)]
pub struct ScriptOptions {
    /// `inline`: lines of one script.
    pub inline: Vec<String>,
    /// `script`: one file.
    pub script: String,
    /// `scripts`: several files.
    pub scripts: Vec<String>,
}

/// Where scripts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scripts {
    /// Lines that the template holds, with the first line that names their interpreter, if any.
    Inline(String),
    /// Files of this machine, in order, as the template names them.
    Files(Vec<String>),
}

/// The options that [`ScriptOptions`], [`Environment`] and exit codes are read from.
pub fn options() -> Vec<OptionSchema> {
    vec![
        OptionSchema::new("inline", OptionType::Strings, "lines of a script"),
        OptionSchema::new("script", OptionType::String, "a script of this machine"),
        OptionSchema::new("scripts", OptionType::Strings, "scripts of this machine, run in order"),
        OptionSchema::new("valid_exit_codes", OptionType::Integers, "exit codes that count as success")
            .default("[0]"),
        OptionSchema::new("environment_vars", OptionType::Strings, "environment as KEY=VALUE"),
        OptionSchema::new("env", OptionType::StringMap, "environment by name; wins over environment_vars"),
        OptionSchema::new("env_var_format", OptionType::String, "how one assignment is written, with two %s"),
    ]
}

/// The rules between them: one source of scripts.
pub fn rules() -> [Rule; 2] {
    const SOURCES: [&str; 3] = ["inline", "script", "scripts"];
    [Rule::at_least_one(&SOURCES), Rule::at_most_one(&SOURCES)]
}

impl ScriptOptions {
    /// The scripts, or what is wrong with the choice. Inline ones get `shebang` as their first line; without one they keep
    /// the first line that they bring, or get [`DEFAULT_SHEBANG`].
    ///
    /// # Errors
    /// When none or more than one of the three is given, or a file isn't there.
    pub fn scripts(self, shebang: Option<&str>, config: &FinishedConfig) -> Result<Scripts, Diagnostics> {
        let wrong_choice = |detail: &str| Diagnostic::error("Unsuitable script", detail);
        let mut wrong = Diagnostics::new();
        if !self.script.is_empty() && !self.scripts.is_empty() {
            wrong.push(wrong_choice("Only one of script and scripts may be given."));
        }
        let script = Some(self.script).filter(|script| !script.is_empty());
        let files: Vec<String> = self.scripts.into_iter().chain(script).collect();
        match (self.inline.is_empty(), files.is_empty()) {
            (true, true) => wrong.push(wrong_choice("One of inline, script and scripts must be given.")),
            (false, false) => {
                wrong.push(wrong_choice("Only one of inline, script and scripts may be given."));
            }
            _ => {}
        }
        let bad = |file: &String| config::expect_path(config, "script", file, Expected::File);
        wrong.extend(files.iter().filter_map(bad));
        match (wrong.has_errors(), files.is_empty()) {
            (true, _) => Err(wrong),
            (false, false) => Ok(Scripts::Files(files)),
            (false, true) => Ok(Scripts::Inline(with_shebang(&self.inline.join("\n"), shebang))),
        }
    }
}

/// The interpreter of inline scripts that name none.
pub const DEFAULT_SHEBANG: &str = "/bin/sh -e";

fn with_shebang(text: &str, shebang: Option<&str>) -> String {
    match shebang {
        None if text.starts_with("#!") => format!("{text}\n"),
        chosen => format!("#!{}\n{text}\n", chosen.unwrap_or(DEFAULT_SHEBANG)),
    }
}

impl Scripts {
    /// Each script's name for people and its bytes.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn read(&self, cx: &TaskContext) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let read = |file: &String| match std::fs::read(cx.resolve(file)) {
            Ok(bytes) => Ok((file.clone(), bytes)),
            Err(error) => {
                Err(Failure::new(Fault::Template, format!("cannot read the script {file}: {error}")))
            }
        };
        match self {
            Scripts::Inline(text) => Ok(vec![("inline".to_owned(), text.clone().into_bytes())]),
            Scripts::Files(files) => files.iter().map(read).collect(),
        }
    }
}

/// Environment for a script, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Values by name.
    pub values: BTreeMap<String, String>,
}

impl Environment {
    /// What a template gives: `environment_vars`, then `env`, which wins.
    ///
    /// # Errors
    /// One finding per entry that isn't `KEY=VALUE`.
    pub fn from_options(vars: &[String], map: &BTreeMap<String, String>) -> Result<Self, Diagnostics> {
        let mut wrong = Diagnostics::new();
        let mut values = BTreeMap::new();
        for entry in vars {
            match entry.split_once('=').filter(|(key, _)| !key.is_empty()) {
                Some((key, value)) => {
                    values.insert(key.to_owned(), value.to_owned());
                }
                // The entry itself isn't shown: it may be nothing but a secret.
                None => wrong.push(Diagnostic::error(
                    "Environment variable not in format 'key=value'",
                    "An entry of environment_vars has no name before a '='.",
                )),
            }
        }
        values.extend(map.iter().map(|(k, v)| (k.clone(), v.clone())));
        if wrong.has_errors() { Err(wrong) } else { Ok(Self { values }) }
    }

    /// The same with what every script is told: the build's name and type, and where the HTTP server is.
    /// The template's own values win.
    #[must_use]
    pub fn with_build(&self, cx: &TaskContext, generated: &GeneratedData) -> Self {
        let mut values = BTreeMap::from([
            ("PACKER_BUILD_NAME".to_owned(), cx.plan.source_name.clone()),
            ("PACKER_BUILDER_TYPE".to_owned(), cx.plan.builder.name.clone()),
        ]);
        let http = [
            ("PACKER_HTTP_ADDR", "PackerHTTPAddr"),
            ("PACKER_HTTP_IP", "PackerHTTPIP"),
            ("PACKER_HTTP_PORT", "PackerHTTPPort"),
        ];
        for (variable, key) in http {
            let known = generated.text(key).filter(|v| !v.starts_with("ERR_") && !v.is_empty());
            values.extend(known.map(|v| (variable.to_owned(), v)));
        }
        values.extend(self.values.clone());
        Self { values }
    }

    /// All assignments in `format` (two `%s`: name, value), values safe inside single quotes.
    pub fn assignments(&self, format: &str) -> String {
        self.assignments_hiding(format, |_| false)
    }

    /// As [`Environment::assignments`], but values that are `hidden` are referred to by name, for a shell whose
    /// environment has them.
    pub fn assignments_hiding(&self, format: &str, hidden: impl Fn(&str) -> bool) -> String {
        let quote = format.split("%s").nth(1).and_then(|between| between.chars().last());
        let by_name = |name: &str| match quote {
            Some('\'') => format!("'\"${name}\"'"),
            Some('"') => format!("${{{name}}}"),
            _ => format!("\"${name}\""),
        };
        let one = |(name, value): (&String, &String)| match hidden(value) {
            true => fill(format, name, &by_name(name)),
            false => fill(format, name, &value.replace('\'', r#"'"'"'"#)),
        };
        self.values.iter().map(one).collect()
    }
}

fn fill(format: &str, name: &str, value: &str) -> String {
    let mut parts = format.splitn(3, "%s");
    let (before, between, after) = (parts.next(), parts.next(), parts.next());
    match (before, between, after) {
        (Some(before), Some(between), Some(after)) => format!("{before}{name}{between}{value}{after}"),
        _ => format.to_owned(),
    }
}

/// Whether `code` is good; otherwise the failure that says so, with this `fault`.
///
/// # Errors
/// A failure that lists the codes that are allowed.
pub fn check_exit(code: i32, valid: &[i32], fault: Fault) -> Result<(), Failure> {
    let valid = if valid.is_empty() { &[0] } else { valid };
    if valid.contains(&code) {
        return Ok(());
    }
    let allowed: Vec<String> = valid.iter().map(ToString::to_string).collect();
    let message = format!(
        "Script exited with non-zero exit status: {code}. Allowed exit codes are: [{}]",
        allowed.join(" ")
    );
    Err(Failure::new(fault, message))
}

#[cfg(test)]
mod tests;
