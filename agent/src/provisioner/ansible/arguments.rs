//! The arguments of `ansible-playbook`, in Packer's order, with no secret among them.

use std::path::{Path, PathBuf};

use kiln_component::{ProvisionContext, Reporter};
use kiln_plan::Failure;

/// Where Ansible connects to.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    /// The private key that it shows; without one it tries what the user's agent and files have.
    pub(super) key: Option<PathBuf>,
}

/// All arguments. `extra` are the template's own.
pub(super) fn playbook(
    cx: &ProvisionContext<'_>,
    connection: &Connection,
    ssh_arguments: &[String],
    extra: &[String],
    (inventory, playbook): (&Path, &Path),
) -> Vec<String> {
    let mut all = Vec::new();
    let variable = |name: &str, value: &str| ["-e".to_owned(), format!("{name}={value}")];
    let plan = &cx.task.plan;
    if !plan.source_name.is_empty() {
        all.extend(variable("packer_build_name", &quoted(&plan.source_name)));
    }
    all.extend(variable("packer_builder_type", &plan.builder.name));
    let http = cx.generated.text("PackerHTTPAddr").filter(|a| !a.is_empty() && !a.starts_with("ERR_"));
    all.extend(http.into_iter().flat_map(|address| variable("packer_http_addr", &address)));
    if let Some(text) = for_ssh(ssh_arguments, connection) {
        all.extend(["--ssh-extra-args".to_owned(), text]);
    }
    all.extend(extra.iter().cloned());
    let has_password = extra.iter().any(|a| a.contains("ansible_password"));
    if let Some(key) = connection.key.as_ref().filter(|_| !has_password) {
        all.extend(variable("ansible_ssh_private_key_file", &key.display().to_string()));
    }
    if has_password && !extra.iter().any(|a| a.contains("ansible_host_key_checking")) {
        all.extend(variable("ansible_host_key_checking", "False"));
    }
    all.extend(["-i".to_owned(), inventory.display().to_string(), playbook.display().to_string()]);
    all
}

/// One argument whose text carries its own single quotes, as templates expect. There is one pair around all: Ansible takes
/// the outermost away and splits the rest at its spaces.
fn for_ssh(given: &[String], connection: &Connection) -> Option<String> {
    match (given, &connection.key) {
        ([], None) => None,
        ([], Some(_)) => Some("'-o IdentitiesOnly=yes'".to_owned()),
        (given, _) => Some(format!("'{}'", given.join(" "))),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The template's own arguments, with extra variables that hold a secret moved to files that only this user can
/// read: every process of the machine can read a command line.
///
/// # Errors
/// When such a file can't be written.
pub(super) fn without_secrets(
    arguments: &[String],
    reporter: &Reporter,
    write: &dyn Fn(&str, &str) -> Result<PathBuf, Failure>,
) -> Result<Vec<String>, Failure> {
    let mut out = Vec::new();
    let mut after_flag = false;
    for (index, argument) in arguments.iter().enumerate() {
        let (flag, variables) = match split(argument) {
            Some((flag, variables)) => (flag, Some(variables)),
            None => ("", Some(argument.as_str()).filter(|_| after_flag)),
        };
        after_flag = argument == "-e" || argument == "--extra-vars";
        if reporter.redact(argument) == *argument {
            out.push(argument.clone());
            continue;
        }
        match variables.and_then(as_file) {
            Some(text) => {
                let file = write(&format!("extra-vars-{index}"), &text)?;
                out.push(format!("{flag}@{}", file.display()));
            }
            None => {
                reporter.say(
                    "Warning: an argument of extra_arguments holds a secret, which every process of this machine can \
                     read; give it as an extra variable (\"-e\", \"name=value\")",
                );
                out.push(argument.clone());
            }
        }
    }
    Ok(out)
}

/// An argument that holds extra variables together with its flag.
fn split(argument: &str) -> Option<(&'static str, &str)> {
    if let Some(variables) = argument.strip_prefix("--extra-vars=") {
        return Some(("--extra-vars=", variables));
    }
    let variables = argument.strip_prefix("-e").filter(|variables| !variables.is_empty())?;
    Some(("-e", variables))
}

/// Extra variables as the text of a file that Ansible reads the same way: JSON and YAML as they are, `a=1 b='x y'` as
/// JSON; `None` for what is neither.
fn as_file(variables: &str) -> Option<String> {
    let text = variables.trim();
    if text.starts_with(['{', '[']) {
        return Some(text.to_owned());
    }
    let pair = |word: &String| {
        let (key, value) = word.split_once('=')?;
        Some((key.to_owned(), serde_json::Value::from(value)))
    };
    let object: serde_json::Map<_, _> = words(text)?.iter().map(pair).collect::<Option<_>>()?;
    Some(serde_json::Value::Object(object).to_string())
}

/// Splits at spaces outside of quotes, and takes the quotes away; `None` when one is left open.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    for c in text.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// The arguments for people: what follows a name with `password` or `secret` in it is hidden.
pub(super) fn masked(arguments: &[String]) -> String {
    let one = |argument: &String| match argument.split_once('=') {
        Some((key, _)) if ["password", "secret"].iter().any(|w| key.to_lowercase().contains(w)) => {
            format!("{key}=*****")
        }
        _ => argument.clone(),
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
