//! The names of plug-in programs, which tell all that matters: `packer-plugin-amazon_v1.8.2_x5.0_linux_amd64`.

use std::fmt;

use kiln_plan::Version;

use crate::api_version::ApiVersion;
use crate::platform::Platform;

/// What every plug-in program's name begins with.
pub const PREFIX: &str = "packer-plugin-";

/// The name of a plug-in program, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFileName {
    /// The plug-in's name, the last part of its source: `amazon`.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The protocol that it speaks.
    pub api: ApiVersion,
    /// What it runs on.
    pub platform: Platform,
}

/// Why a file's name is no plug-in's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// It doesn't begin with `packer-plugin-` or doesn't consist of the five parts.
    #[error("the name hasn't the form packer-plugin-NAME_vVERSION_xPROTOCOL_SYSTEM_PROCESSOR")]
    Form,
    /// The version isn't in its normal form.
    #[error("the version {0:?} in the name isn't in its normal form, such as v1.2.3")]
    Version(String),
    /// The protocol's version isn't one.
    #[error("{0:?} in the name is not a version of the plug-in protocol, such as x5.0")]
    Protocol(String),
}

impl PluginFileName {
    /// Takes a name apart.
    ///
    /// # Errors
    /// When it isn't a plug-in's, or not in its normal form.
    pub fn parse(text: &str) -> Result<Self, FileNameError> {
        let bare = text.strip_suffix(".exe").unwrap_or(text);
        let parts: Vec<&str> = bare.strip_prefix(PREFIX).ok_or(FileNameError::Form)?.split('_').collect();
        let &[name, version, api, os, arch] = parts.as_slice() else { return Err(FileNameError::Form) };
        if [name, os, arch].contains(&"") {
            return Err(FileNameError::Form);
        }
        let parsed = version.parse::<Version>().ok();
        // Metadata is no part of the normal form, and so refused as well.
        let parsed = parsed
            .filter(|v| version.strip_prefix('v').is_some_and(|text| text == v.canonical()))
            .ok_or_else(|| FileNameError::Version(version.to_owned()))?;
        let protocol = || FileNameError::Protocol(api.to_owned());
        let api: ApiVersion = api
            .strip_prefix('x')
            .and_then(|a| a.parse().ok())
            .filter(|a: &ApiVersion| a.to_string() == api)
            .ok_or_else(protocol)?;
        let platform = Platform { os: os.to_owned().into(), arch: arch.to_owned().into() };
        Ok(Self { name: name.to_owned(), version: parsed, api, platform })
    }
}

impl fmt::Display for PluginFileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, api, platform } = self;
        let (version, suffix) = (version.canonical(), platform.program_suffix());
        write!(f, "{PREFIX}{name}_v{version}_{api}_{platform}{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_put_together() {
        for text in [
            "packer-plugin-amazon_v1.8.2_x5.0_linux_amd64",
            "packer-plugin-windows-update_v0.16.10_x5.0_darwin_arm64",
            "packer-plugin-amazon_v1.8.2-dev_x5.0_windows_amd64.exe",
        ] {
            assert_eq!(PluginFileName::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn names_out_of_form_are_refused() {
        let cases = [
            ("packer-plugin-amazon", FileNameError::Form),
            ("plugin-amazon_v1.8.2_x5.0_linux_amd64", FileNameError::Form),
            ("packer-plugin-amazon_v1.8.2_x5.0_linux", FileNameError::Form),
            ("packer-plugin-_v1.8.2_x5.0_linux_amd64", FileNameError::Form),
            ("packer-plugin-amazon_v1.8.2_x5.0_linux_amd64_SHA256SUM", FileNameError::Form),
            ("packer-plugin-amazon_1.8.2_x5.0_linux_amd64", FileNameError::Version("1.8.2".into())),
            ("packer-plugin-amazon_v1.8_x5.0_linux_amd64", FileNameError::Version("v1.8".into())),
            ("packer-plugin-amazon_v01.8.2_x5.0_linux_amd64", FileNameError::Version("v01.8.2".into())),
            ("packer-plugin-amazon_v1.8.2+x_x5.0_linux_amd64", FileNameError::Version("v1.8.2+x".into())),
            ("packer-plugin-amazon_v1.8.2_5.0_linux_amd64", FileNameError::Protocol("5.0".into())),
            ("packer-plugin-amazon_v1.8.2_x05.0_linux_amd64", FileNameError::Protocol("x05.0".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(PluginFileName::parse(text), Err(expected), "{text}");
        }
    }
}
