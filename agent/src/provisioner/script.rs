//! What the shell-like provisioners share: where the script comes from, its environment, and which exit codes
//! are good.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kiln_component::{GeneratedData, TaskContext};
use kiln_lang::{Diagnostic, Diagnostics};
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, Fault, OptionSchema};

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
        OptionSchema::new("env_var_format", OptionType::String, "how one assignment is written, with two %s")
            .late(),
    ]
}

impl ScriptOptions {
    /// The scripts, or what is wrong with the choice. `shebang` is what the template set for inline scripts;
    /// without it, inline text that brings a first line of its own keeps it.
    ///
    /// # Errors
    /// When none or more than one of the three is given, or a file isn't there.
    pub fn scripts(
        &self,
        shebang: Option<&str>,
        working_dir: &std::path::Path,
    ) -> Result<Scripts, Diagnostics> {
        let mut wrong = Diagnostics::new();
        let wrong_choice = |detail: &str| Diagnostic::error("Unsuitable script", detail);
        let files: Vec<String> =
            self.scripts.iter().chain(Some(&self.script).filter(|s| !s.is_empty())).cloned().collect();
        if !self.script.is_empty() && !self.scripts.is_empty() {
            wrong.push(wrong_choice("Only one of script and scripts may be given."));
        }
        match (self.inline.is_empty(), files.is_empty()) {
            (true, true) => wrong.push(wrong_choice("One of inline, script and scripts must be given.")),
            (false, false) => {
                wrong.push(wrong_choice("Only one of inline, script and scripts may be given."))
            }
            _ => {}
        }
        for file in &files {
            if let Err(error) = std::fs::metadata(working_dir.join(file)) {
                wrong.push(Diagnostic::error(
                    format!("Bad script '{file}'"),
                    format!("It cannot be read: {error}."),
                ));
            }
        }
        if wrong.has_errors() {
            return Err(wrong);
        }
        if !files.is_empty() {
            return Ok(Scripts::Files(files));
        }
        Ok(Scripts::Inline(with_shebang(&self.inline.join("\n"), shebang)))
    }
}

const DEFAULT_SHEBANG: &str = "/bin/sh -e";

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

    /// The files as paths on this machine; none for inline ones.
    pub fn paths(&self, cx: &TaskContext) -> Vec<PathBuf> {
        match self {
            Scripts::Inline(_) => Vec::new(),
            Scripts::Files(files) => files.iter().map(|f| cx.resolve(f)).collect(),
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
    /// environment has them. Only formats that quote with `'` can do that; others show the value.
    pub fn assignments_hiding(&self, format: &str, hidden: impl Fn(&str) -> bool) -> String {
        let by_name = format.contains("'%s'");
        let one = |(k, v): (&String, &String)| match by_name && hidden(v) {
            true => fill(format, k, &format!("'\"${k}\"'")),
            false => fill(format, k, &v.replace('\'', r#"'"'"'"#)),
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

/// Whether `code` is good; otherwise the failure that says so.
///
/// # Errors
/// A guest failure that lists the codes that are allowed.
pub fn check_exit(code: i32, valid: &[i32]) -> Result<(), Failure> {
    let valid: &[i32] = if valid.is_empty() { &[0] } else { valid };
    if valid.contains(&code) {
        return Ok(());
    }
    let allowed: Vec<String> = valid.iter().map(ToString::to_string).collect();
    let message = format!(
        "Script exited with non-zero exit status: {code}. Allowed exit codes are: [{}]",
        allowed.join(" ")
    );
    Err(Failure::new(Fault::Guest, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inline_script_gets_an_interpreter_unless_it_brings_one() {
        assert_eq!(with_shebang("ls", None), "#!/bin/sh -e\nls\n");
        assert_eq!(with_shebang("#!/bin/bash\nls", None), "#!/bin/bash\nls\n");
        assert_eq!(with_shebang("#!/bin/bash\nls", Some("/bin/zsh")), "#!/bin/zsh\n#!/bin/bash\nls\n");
    }

    #[test]
    fn exactly_one_kind_of_script_is_taken() {
        let dir = std::path::Path::new("/");
        let inline = || vec!["ls".to_owned()];
        let none = ScriptOptions::default();
        let both = ScriptOptions { inline: inline(), script: "etc/passwd".into(), scripts: vec![] };
        let missing = ScriptOptions { script: "no/such/file".into(), ..Default::default() };
        for options in [none, both, missing] {
            assert!(options.scripts(None, dir).is_err(), "{options:?}");
        }
        let good = ScriptOptions { inline: inline(), ..Default::default() };
        assert!(good.scripts(None, dir).is_ok());
    }

    #[test]
    fn values_are_quoted_and_sorted() {
        let vars = ["B=it's".to_owned(), "A=1=2".to_owned()];
        let map = BTreeMap::from([("A".to_owned(), "3".to_owned())]);
        let environment = Environment::from_options(&vars, &map).unwrap();
        assert_eq!(environment.assignments("%s='%s' "), r#"A='3' B='it'"'"'s' "#);
        assert_eq!(environment.assignments_hiding("%s='%s' ", |v| v == "3"), r#"A=''"$A"'' B='it'"'"'s' "#);
        assert!(Environment::from_options(&["=x".to_owned()], &BTreeMap::new()).is_err());
        assert!(Environment::from_options(&["x".to_owned()], &BTreeMap::new()).is_err());
    }

    #[test]
    fn other_exit_codes_are_named_with_those_allowed() {
        assert!(check_exit(0, &[]).is_ok() && check_exit(2, &[0, 2]).is_ok());
        let failure = check_exit(0, &[3, 4]).unwrap_err();
        assert_eq!(
            failure.message,
            "Script exited with non-zero exit status: 0. Allowed exit codes are: [3 4]"
        );
    }
}
