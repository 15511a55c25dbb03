//! External plug-ins as templates name them: where one comes from, and which public one offers what.

use std::fmt;
use std::str::FromStr;

pub mod public;

pub use public::PublicPlugin;

/// Where a plug-in comes from: `github.com/hashicorp/amazon`. Three to sixteen parts without scheme, query or
/// fragment; the last is the plug-in's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginSource {
    text: String,
}

/// What is wrong with a plug-in's source or name, said of it: "must be in lower case".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PluginNameError(&'static str);

impl PluginSource {
    /// The whole, as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first part: `github.com`.
    pub fn host(&self) -> &str {
        self.text.split('/').next().unwrap_or_default()
    }

    /// What stands between host and name: `hashicorp`.
    pub fn namespace(&self) -> &str {
        let rest = self.text.split_once('/').map_or("", |(_, rest)| rest);
        rest.rsplit_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// The last part: `amazon`.
    pub fn name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Display for PluginSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PluginSource {
    type Err = PluginNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("://") || text.contains(['?', '#', '\\']) {
            return Err(PluginNameError("must not contain a scheme, a query or a fragment"));
        }
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|p| p.is_empty()) {
            return Err(PluginNameError("has an empty part"));
        }
        // It becomes a path.
        if parts.iter().any(|p| matches!(*p, "." | "..") || p.contains(char::is_whitespace)) {
            return Err(PluginNameError("has a part that is no name"));
        }
        if !(3..=16).contains(&parts.len()) {
            return Err(PluginNameError("must have the form host/namespace/name"));
        }
        check_name(parts[parts.len() - 1])?;
        Ok(Self { text: text.to_owned() })
    }
}

/// Whether a plug-in's name, or what a template calls it, is in its normal form: lower-case letters, digits, single
/// dashes inside.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), PluginNameError> {
    let plain = |c: char| c.is_alphanumeric() || c == '-';
    let wrong = match () {
        () if name.is_empty() || !name.chars().all(plain) || name.contains("--") => {
            "may hold only letters, digits and single dashes"
        }
        () if name.starts_with('-') || name.ends_with('-') => "must not begin or end with a dash",
        () if name.to_lowercase() != name => "must be in lower case",
        () if name.starts_with("packer-plugin-") => {
            "must not begin with packer-; write only what comes after packer-plugin-"
        }
        () if name.starts_with("packer-") => "must not begin with packer-",
        () => return Ok(()),
    };
    Err(PluginNameError(wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_three_parts_or_more() {
        let cases = [
            ("github.com/hashicorp/amazon", "github.com hashicorp amazon"),
            ("git.example.org/team/images/my-builder", "git.example.org team/images my-builder"),
            ("github.com/amazon", "must have the form host/namespace/name"),
            ("amazon", "must have the form host/namespace/name"),
            ("https://github.com/hashicorp/amazon", "must not contain a scheme, a query or a fragment"),
            ("github.com/hashicorp/amazon?x", "must not contain a scheme, a query or a fragment"),
            ("/github.com/hashicorp/amazon", "has an empty part"),
            ("github.com/hashicorp/amazon/", "has an empty part"),
            ("github.com/../amazon", "has a part that is no name"),
            ("github.com/hashicorp/Amazon", "must be in lower case"),
            ("github.com/hashicorp/my_plugin", "may hold only letters, digits and single dashes"),
            (
                "github.com/hashicorp/packer-plugin-amazon",
                "must not begin with packer-; write only what comes after packer-plugin-",
            ),
            ("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q", "must have the form host/namespace/name"),
        ];
        for (text, expected) in cases {
            let told = match text.parse::<PluginSource>() {
                Ok(s) => format!("{} {} {}", s.host(), s.namespace(), s.name()),
                Err(error) => error.to_string(),
            };
            assert_eq!(told, expected, "{text}");
        }
    }
}
