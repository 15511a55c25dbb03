//! The files of a release, and what their names tell. Two styles are in use, with and without `v` and protocol:
//!
//! | | GitHub | releases.hashicorp.com |
//! |---|---|---|
//! | sums | `packer-plugin-NAME_vVERSION_SHA256SUMS` | `packer-plugin-NAME_VERSION_SHA256SUMS` |
//! | archive | `packer-plugin-NAME_vVERSION_x5.0_OS_ARCH.zip` | `packer-plugin-NAME_VERSION_OS_ARCH.zip` |
//! | protocol | in the name | in `packer-plugin-NAME_VERSION_manifest.json` |
//!
//! The program in the archive has the same name in both.

use kiln_plan::{PluginSource, Version};
use serde::Deserialize;

use super::{Archive, ReleaseError};
use crate::api_version::ApiVersion;
use crate::checksum;
use crate::file_name::{PREFIX, PluginFileName};
use crate::platform::Platform;

/// How the files of a release are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// With `v` and protocol.
    GitHub,
    /// Without.
    ReleaseSite,
}

impl Style {
    /// The part that the names of all files of a release begin with.
    fn stem(self, plugin: &PluginSource, version: &Version) -> String {
        let (name, version) = (plugin.name(), version.canonical());
        match self {
            Self::GitHub => format!("{PREFIX}{name}_v{version}"),
            Self::ReleaseSite => format!("{PREFIX}{name}_{version}"),
        }
    }

    /// The name of the list of checksums.
    pub(super) fn sums(self, plugin: &PluginSource, version: &Version) -> String {
        format!("{}_SHA256SUMS", self.stem(plugin, version))
    }

    /// The name of the manifest.
    pub(super) fn manifest(self, plugin: &PluginSource, version: &Version) -> String {
        format!("{}_manifest.json", self.stem(plugin, version))
    }
}

/// The archives that a list of checksums names for one version; `protocol` is the manifest's, for archives whose names
/// don't tell it. Lines that aren't a checksum and the name of such an archive are passed over.
pub(super) fn archives(
    sums: &str,
    plugin: &PluginSource,
    version: &Version,
    protocol: Option<ApiVersion>,
) -> Vec<Archive> {
    let one = |line: &str| {
        let mut words = line.split_whitespace();
        let (Some(sum), Some(file), None) = (words.next(), words.next(), words.next()) else { return None };
        let file = file.trim_start_matches('*');
        let program = program_in(file, plugin, protocol)?;
        let sha256 = sum.to_ascii_lowercase();
        let wanted =
            checksum::is_sha256(&sha256) && program.version == *version && program.name == plugin.name();
        wanted.then(|| Archive { file: file.to_owned(), sha256, program })
    };
    sums.lines().filter_map(one).collect()
}

fn program_in(file: &str, plugin: &PluginSource, protocol: Option<ApiVersion>) -> Option<PluginFileName> {
    // It becomes part of a path.
    let stem = file.strip_suffix(".zip").filter(|stem| !stem.contains(['/', '\\']))?;
    if let Ok(name) = PluginFileName::parse(stem) {
        return Some(name);
    }
    let parts: Vec<&str> = stem.strip_prefix(PREFIX)?.split('_').collect();
    let &[name, version, os, arch] = parts.as_slice() else { return None };
    let platform = Platform { os: os.to_owned().into(), arch: arch.to_owned().into() };
    let version = version.parse().ok()?;
    (name == plugin.name()).then_some(PluginFileName {
        name: name.to_owned(),
        version,
        api: protocol?,
        platform,
    })
}

/// What a manifest tells.
#[derive(Debug, Deserialize)]
struct Manifest {
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    protocol_version: String,
}

/// The protocol that a manifest tells; `what` names the manifest in a complaint.
pub(super) fn protocol(manifest: &str, what: &str) -> Result<ApiVersion, ReleaseError> {
    let nonsense = |source| ReleaseError::Nonsense { what: what.to_owned(), source };
    let manifest: Manifest = serde_json::from_str(manifest).map_err(nonsense)?;
    let parsed = manifest.metadata.protocol_version.parse::<ApiVersion>();
    parsed.map_err(|error| nonsense(serde::de::Error::custom(error)))
}

/// The index of a plug-in: its versions by how they are written.
#[derive(Debug, Deserialize)]
pub(super) struct Index {
    versions: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
}

impl Index {
    /// Reads one; `what` names it in a complaint.
    pub(super) fn read(text: &str, what: &str) -> Result<Self, ReleaseError> {
        serde_json::from_str(text).map_err(|source| ReleaseError::Nonsense { what: what.to_owned(), source })
    }

    /// The versions, as written. Those that are none are left out.
    pub(super) fn versions(self) -> impl Iterator<Item = (String, Version)> {
        self.versions.into_keys().filter_map(|text| {
            let version = text.parse().ok()?;
            Some((text, version))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_checksums_tell_the_archives() {
        let sum = "A".repeat(64);
        let list = format!(
            "{sum}  packer-plugin-x_v1.2.3_x5.0_linux_amd64.zip\n\
             {sum} *packer-plugin-x_v1.2.3_x5.1_darwin_arm64.zip\n\
             {sum}  packer-plugin-x_1.2.3_windows_386.zip\n\
             {sum}  packer-plugin-x_v1.2.4_x5.0_linux_arm64.zip\n\
             {sum}  packer-plugin-y_v1.2.3_x5.0_linux_arm64.zip\n\
             {sum}  ../packer-plugin-x_v1.2.3_x5.0_linux_arm64.zip\n\
             {sum}  packer-plugin-x_v1.2.3_manifest.json\n\
             short  packer-plugin-x_v1.2.3_x5.0_linux_arm64.zip\n\
             {sum}  packer-plugin-x_v1.2.3_x5.0_linux_arm.zip  more\n\n"
        );
        let plugin: PluginSource = "github.com/a/x".parse().unwrap();
        let version: Version = "1.2.3".parse().unwrap();
        let told = |protocol| {
            let found = archives(&list, &plugin, &version, protocol);
            assert!(found.iter().all(|a| a.sha256 == "a".repeat(64)));
            found.iter().map(|a| a.program.to_string()).collect::<Vec<_>>()
        };
        let with_protocol = [
            "packer-plugin-x_v1.2.3_x5.0_linux_amd64",
            "packer-plugin-x_v1.2.3_x5.1_darwin_arm64",
            "packer-plugin-x_v1.2.3_x5.0_windows_386.exe",
        ];
        assert_eq!(told(Some(ApiVersion::HOST)), with_protocol);
        assert_eq!(told(None), with_protocol[..2]);
    }

    #[test]
    fn a_manifest_tells_the_protocol() {
        let good = r#"{"version":1,"metadata":{"protocol_version":"5.0"}}"#;
        assert_eq!(protocol(good, "m").unwrap(), ApiVersion::HOST);
        for bad in ["", "{}", r#"{"metadata":{"protocol_version":"new"}}"#] {
            assert_eq!(protocol(bad, "m").unwrap_err().to_string(), "m can't be understood");
        }
    }
}
