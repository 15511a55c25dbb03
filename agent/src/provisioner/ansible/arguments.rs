//! The arguments of `ansible-playbook`, in Packer's order, with no secret among them.

use std::path::{Path, PathBuf};

use kiln_component::{ProvisionContext, Reporter};
use kiln_plan::Failure;

use super::options::Options;

/// Where Ansible connects to.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    /// The private key it shows, if it has one.
    pub(super) key: Option<PathBuf>,
    /// Whether an SSH agent has the key.
    pub(super) agent: bool,
}

/// All arguments. `extra` are the template's own.
pub(super) fn playbook(
    cx: &ProvisionContext<'_>,
    options: &Options,
    connection: &Connection,
    extra: &[String],
    (inventory, playbook): (&Path, &Path),
) -> Vec<String> {
    let mut all = Vec::new();
    let plan = &cx.task.plan;
    if !plan.source_name.is_empty() {
        all.extend(["-e".to_owned(), format!("packer_build_name={}", quoted(&plan.source_name))]);
    }
    all.extend(["-e".to_owned(), format!("packer_builder_type={}", plan.builder.name)]);
    let http = cx.generated.text("PackerHTTPAddr").filter(|a| !a.starts_with("ERR_"));
    all.extend(http.into_iter().flat_map(|a| ["-e".to_owned(), format!("packer_http_addr={a}")]));
    if connection.key.is_some() || connection.agent {
        all.extend(["--ssh-extra-args".to_owned(), ssh_arguments(options, connection.agent)]);
    }
    all.extend(extra.iter().cloned());
    let has_password = extra.iter().any(|a| a.contains("ansible_password"));
    if let Some(key) = connection.key.as_ref().filter(|_| !has_password) {
        all.extend(["-e".to_owned(), format!("ansible_ssh_private_key_file={}", key.display())]);
    }
    if has_password && !extra.iter().any(|a| a.contains("ansible_host_key_checking")) {
        all.extend(["-e".to_owned(), "ansible_host_key_checking=False".to_owned()]);
    }
    all.extend(["-i".to_owned(), inventory.display().to_string(), playbook.display().to_string()]);
    all
}

/// One argument whose text carries its own single quotes, as templates expect.
fn ssh_arguments(options: &Options, agent: bool) -> String {
    match options.ansible_ssh_extra_args.as_slice() {
        [] if agent => "''".to_owned(),
        [] => "'-o IdentitiesOnly=yes'".to_owned(),
        given => given.iter().map(|a| format!("'{a}'")).collect::<Vec<_>>().join(" "),
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
    let secret = |text: &str| reporter.redact(text) != text;
    let mut out: Vec<String> = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let is_flag = |a: &String| a == "-e" || a == "--extra-vars";
        let after_flag = index > 0 && is_flag(&arguments[index - 1]);
        let (flag, variables) = match argument.strip_prefix("--extra-vars=") {
            Some(variables) => ("--extra-vars=", variables),
            None if after_flag => ("", argument.as_str()),
            None => {
                out.push(argument.clone());
                continue;
            }
        };
        match secret(variables).then(|| as_json(variables)).flatten() {
            Some(json) => {
                let file = write(&format!("extra-vars-{index}.json"), &json)?;
                out.push(format!("{flag}@{}", file.display()));
            }
            None => out.push(argument.clone()),
        }
    }
    Ok(out)
}

/// Extra variables (`a=1 b='x y'`, or JSON already) as JSON; `None` for what isn't either.
fn as_json(variables: &str) -> Option<String> {
    let text = variables.trim();
    if text.starts_with('{') {
        return serde_json::from_str::<serde_json::Value>(text).ok().map(|_| text.to_owned());
    }
    let pairs = words(text)?;
    let pair = |word: &String| {
        let (key, value) = word.split_once('=')?;
        Some((key.to_owned(), serde_json::Value::from(value)))
    };
    let object: serde_json::Map<_, _> = pairs.iter().map(pair).collect::<Option<_>>()?;
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
mod tests {
    use super::*;

    #[test]
    fn extra_variables_become_json() {
        let cases = [
            ("a=1 b='x y'", Some(r#"{"a":"1","b":"x y"}"#)),
            (r#"{"a": 1}"#, Some(r#"{"a": 1}"#)),
            ("a='open", None),
            ("@file.yml", None),
        ];
        for (text, json) in cases {
            assert_eq!(as_json(text).as_deref(), json, "{text}");
        }
    }

    #[test]
    fn passwords_are_masked() {
        let arguments = ["-e".to_owned(), "ansible_password=x=y".to_owned(), "-v".to_owned()];
        assert_eq!(masked(&arguments), "-e ansible_password=***** -v");
    }
}
