//! Packer's own configuration file, of which nothing but a refusal is left: components can't be listed in it any more.
//!
//! A file that can't be read as one, or that lists components, ends every command, as it does with Packer.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What the file may hold. Other keys are nobody's business.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CoreConfig {
    #[serde(rename = "disable_checkpoint")]
    _disable_checkpoint: bool,
    #[serde(rename = "disable_checkpoint_signature")]
    _disable_checkpoint_signature: bool,
    builders: Option<BTreeMap<String, String>>,
    provisioners: Option<BTreeMap<String, String>>,
    #[serde(rename = "post-processors")]
    post_processors: Option<BTreeMap<String, String>>,
}

/// Why no command can be carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoreConfigError {
    /// It can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It isn't what it should be.
    #[error("{} is not a configuration file of Packer: {source}", path.display())]
    Nonsense {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It lists components.
    #[error(
        "{} lists components, which are no longer loaded from there (legacy components). Remove them from the file and \
         install the plug-ins that they belong to, with kiln plugins install:{}",
        path.display(),
        components.iter().map(|c| format!("\n  {c}")).collect::<String>()
    )]
    Components {
        /// The file.
        path: PathBuf,
        /// Kind, name and program of each.
        components: Vec<String>,
    },
}

/// Looks at this user's file.
///
/// # Errors
/// When it is there and stands in the way.
pub(crate) fn check() -> Result<(), CoreConfigError> {
    let Some(path) = path(&|name| std::env::var_os(name)) else { return Ok(()) };
    match std::fs::read(&path) {
        Ok(bytes) => check_text(&path, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(CoreConfigError::Read { path, source }),
    }
}

/// `PACKER_CONFIG`, else `.packerconfig` in `PACKER_CONFIG_DIR`, else in `APPDATA` or `HOME`.
fn path(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let directory = || set("PACKER_CONFIG_DIR").or_else(|| set("APPDATA")).or_else(|| set("HOME"));
    set("PACKER_CONFIG").or_else(|| directory().map(|directory| directory.join(".packerconfig")))
}

fn check_text(path: &Path, bytes: &[u8]) -> Result<(), CoreConfigError> {
    let path = path.to_owned();
    let config: CoreConfig = match serde_json::from_slice(bytes) {
        Ok(config) => config,
        Err(source) => return Err(CoreConfigError::Nonsense { path, source }),
    };
    let kinds = [
        ("builder", config.builders),
        ("provisioner", config.provisioners),
        ("post-processor", config.post_processors),
    ];
    let told = kinds.into_iter().flat_map(|(kind, components)| {
        let components = components.unwrap_or_default().into_iter();
        components.map(move |(name, program)| format!("{kind} {name:?}: {program}"))
    });
    let components: Vec<String> = told.collect();
    if components.is_empty() { Ok(()) } else { Err(CoreConfigError::Components { path, components }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_the_file() {
        let cases = [
            ("HOME=/h", Some("/h/.packerconfig")),
            ("HOME=/h APPDATA=/a", Some("/a/.packerconfig")),
            ("HOME=/h PACKER_CONFIG_DIR=/c", Some("/c/.packerconfig")),
            ("HOME=/h PACKER_CONFIG_DIR=/c PACKER_CONFIG=/f", Some("/f")),
            ("X=y", None),
        ];
        for (environment, expected) in cases {
            let variable = |name: &str| {
                let mut pairs = environment.split(' ').filter_map(|pair| pair.split_once('='));
                pairs.find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
            };
            assert_eq!(path(&variable).as_deref(), expected.map(Path::new), "{environment}");
        }
    }

    #[test]
    fn only_files_without_components_pass() {
        let cases = [
            ("{}", ""),
            (r#"{"builders": null}"#, ""),
            (r#"{"disable_checkpoint": true, "builders": {}, "whatever": [1]}"#, ""),
            (
                r#"{"builders": {"x": "/bin/x"}, "post-processors": {"y": "y"}}"#,
                "\n  builder \"x\": /bin/x\n  post-processor \"y\": y",
            ),
            (r#"{"provisioners": []}"#, "is not a configuration file of Packer"),
            ("", "is not a configuration file of Packer"),
        ];
        for (text, expected) in cases {
            let told =
                check_text(Path::new("/f"), text.as_bytes()).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{text}: {told}");
        }
    }
}
