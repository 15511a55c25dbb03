//! Where plug-ins are installed: one directory, chosen as Packer chooses it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How a system names places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Linux, macOS and their kin.
    Unix,
    /// Windows.
    Windows,
}

impl Family {
    /// This system's.
    pub const fn current() -> Self {
        if cfg!(windows) { Self::Windows } else { Self::Unix }
    }

    const fn list_separator(self) -> char {
        match self {
            Self::Unix => ':',
            Self::Windows => ';',
        }
    }
}

/// Why there is no plug-in directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// `PACKER_PLUGIN_PATH` lists several.
    #[error(
        "PACKER_PLUGIN_PATH names {} directories, but plug-ins are looked for in one only; set it to one of: {}",
        .0.len(), .0.join(", ")
    )]
    Several(Vec<String>),
    /// There is no home to put it into.
    #[error("there is no directory for plug-ins, because HOME is not set; set it, or PACKER_PLUGIN_PATH")]
    NoHome,
}

/// The directory that plug-ins of this machine and user are installed in; it need not exist.
///
/// # Errors
/// When there can't be one.
pub fn of_this_machine() -> Result<PathBuf, DirectoryError> {
    choose(Family::current(), &|name| std::env::var_os(name), &|path| path.is_dir())
}

/// `PACKER_PLUGIN_PATH`, else `plugins` in the configuration directory. That is, on Unix: `.packer.d` in
/// `PACKER_CONFIG_DIR`, else `~/.packer.d` if it is there, else `packer` in `XDG_CONFIG_HOME`, else
/// `~/.config/packer`; on Windows: `packer.d` in `PACKER_CONFIG_DIR`, in `APPDATA` or in `HOME`.
///
/// # Errors
/// When there can't be one.
pub fn choose(
    family: Family,
    variable: &dyn Fn(&str) -> Option<OsString>,
    is_directory: &dyn Fn(&Path) -> bool,
) -> Result<PathBuf, DirectoryError> {
    let path = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(given) = path("PACKER_PLUGIN_PATH") {
        let text = given.to_string_lossy();
        let parts: Vec<&str> = text.split(family.list_separator()).collect();
        return match parts.len() {
            1 => Ok(given),
            _ => Err(DirectoryError::Several(parts.into_iter().map(str::to_owned).collect())),
        };
    }
    let config = match family {
        Family::Windows => {
            let parent = path("PACKER_CONFIG_DIR").or_else(|| path("APPDATA")).or_else(|| path("HOME"));
            parent.map(|parent| parent.join("packer.d"))
        }
        Family::Unix => {
            let home = path("HOME");
            let old = home.as_ref().map(|home| home.join(".packer.d")).filter(|old| is_directory(old));
            path("PACKER_CONFIG_DIR")
                .map(|parent| parent.join(".packer.d"))
                .or(old)
                .or_else(|| path("XDG_CONFIG_HOME").map(|parent| parent.join("packer")))
                .or_else(|| home.map(|home| home.join(".config/packer")))
        }
    };
    config.map(|config| config.join("plugins")).ok_or(DirectoryError::NoHome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_the_directory() {
        use Family::{Unix, Windows};
        let cases = [
            (Unix, "HOME=/h", "", "/h/.config/packer/plugins"),
            (Unix, "HOME=/h", "/h/.packer.d", "/h/.packer.d/plugins"),
            (Unix, "HOME=/h XDG_CONFIG_HOME=/x", "", "/x/packer/plugins"),
            (Unix, "HOME=/h XDG_CONFIG_HOME=/x", "/h/.packer.d", "/h/.packer.d/plugins"),
            (Unix, "HOME=/h PACKER_CONFIG_DIR=/c", "/h/.packer.d", "/c/.packer.d/plugins"),
            (Unix, "HOME=/h PACKER_CONFIG_DIR=/c PACKER_PLUGIN_PATH=/p", "", "/p"),
            (Unix, "HOME=/h PACKER_PLUGIN_PATH=", "", "/h/.config/packer/plugins"),
            (Unix, "PACKER_PLUGIN_PATH=some/where", "", "some/where"),
            (
                Unix,
                "PACKER_PLUGIN_PATH=/a:/b",
                "",
                "PACKER_PLUGIN_PATH names 2 directories, but plug-ins are looked for in one only; set it to one of: /a, /b",
            ),
            (
                Unix,
                "X=y",
                "",
                "there is no directory for plug-ins, because HOME is not set; set it, or PACKER_PLUGIN_PATH",
            ),
            (Windows, "APPDATA=/a HOME=/h", "", "/a/packer.d/plugins"),
            (Windows, "APPDATA=/a PACKER_CONFIG_DIR=/c", "", "/c/packer.d/plugins"),
            (Windows, "HOME=/h", "/h/.packer.d", "/h/packer.d/plugins"),
            (Windows, "PACKER_PLUGIN_PATH=c:/p", "", "c:/p"),
        ];
        for (family, environment, there, expected) in cases {
            let variable = |name: &str| {
                let mut pairs = environment.split(' ').filter_map(|pair| pair.split_once('='));
                pairs.find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
            };
            let told = match choose(family, &variable, &|path| path == Path::new(there)) {
                Ok(path) => path.display().to_string(),
                Err(error) => error.to_string(),
            };
            assert_eq!(told, expected, "{environment}");
        }
    }
}
