//! The system and processor that a plug-in is made for, in the words of Go, in which plug-ins are written.

use std::borrow::Cow;
use std::fmt;

/// A system and a processor: `linux_amd64`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`, `darwin`, `windows`, …
    pub os: Cow<'static, str>,
    /// `amd64`, `arm64`, `386`, …
    pub arch: Cow<'static, str>,
}

impl Platform {
    /// This machine's.
    pub fn current() -> Self {
        let os = match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        };
        let arch = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            "loongarch64" => "loong64",
            other => other,
        };
        Self { os: os.into(), arch: arch.into() }
    }

    /// What programs of that system end with: `.exe` or nothing.
    pub fn program_suffix(&self) -> &'static str {
        if self.os == "windows" { ".exe" } else { "" }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.os, self.arch)
    }
}
