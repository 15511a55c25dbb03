//! The environment variables that clients of stores are set up by. Taken as a table, because they hold tokens and because
//! tests need others than those of the process.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use super::SecretError;

/// Environment variables by name.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

/// Values are secrets, or may be.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl Environment {
    /// That of this process, as it is now. Variables that aren't UTF-8 are left out.
    pub fn of_this_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// The value of a variable; as for the stores' own tools, an empty one isn't set.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first of these that is set.
    pub(super) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// Yes or no, in the spellings that Go's `strconv.ParseBool` takes; no when it isn't set.
    pub(super) fn flag(&self, name: &str) -> Result<bool, SecretError> {
        match self.get(name) {
            None | Some("0" | "f" | "F" | "false" | "False" | "FALSE") => Ok(false),
            Some("1" | "t" | "T" | "true" | "True" | "TRUE") => Ok(true),
            Some(_) => Err(unusable(name, "it is neither true nor false")),
        }
    }

    /// A file in the user's home directory.
    pub(super) fn in_home(&self, path: &str) -> Option<PathBuf> {
        self.get("HOME").map(|home| PathBuf::from(home).join(path))
    }
}

/// The complaint about a variable.
pub(super) fn unusable(what: &str, reason: impl Into<String>) -> SecretError {
    SecretError::Setting { what: what.to_owned(), reason: reason.into() }
}
