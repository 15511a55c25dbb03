//! Completion in the files that shells read when they start: one marked line for Bash and Zsh, a file of its own for
//! Fish. Which files: the ones Packer takes, so that a user finds them in the same place.

use std::io;
use std::path::{Path, PathBuf};

use crate::replace_file::{self, ReplaceError};

/// The end of a line of ours, by which it is found again.
const MARK: &str = "# kiln completion";

/// The first of these that exists is Bash's.
const BASH: [&str; 4] = [".bashrc", ".bash_profile", ".bash_login", ".profile"];

/// What has been done.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The files that are changed.
    pub(super) changed: Vec<PathBuf>,
    pub(super) errors: Vec<StartFileError>,
}

/// Why completion isn't set up, or still is.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartFileError {
    /// There is nothing that could complete.
    #[error("Did not find any shells to install; set one up by hand with: kiln completion -help")]
    NoShell,
    /// Nothing knows where this program lies or where the user's files are.
    #[error("cannot find {0}")]
    NotFound(&'static str),
    /// Said rather than done twice.
    #[error("already installed in {}", .0.display())]
    Already(PathBuf),
    /// There is nothing to undo.
    #[error("not installed in {}", .0.display())]
    NotInstalled(PathBuf),
    /// A file can't be read, made or removed.
    #[error("cannot change {}", path.display())]
    Change {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        cause: io::Error,
    },
    /// A file can't be written.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
}

/// A place where a shell looks when it starts.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// One line in a file that exists.
    Line { path: PathBuf, text: String },
    /// A file of its own.
    File { path: PathBuf, text: String },
}

/// Sets completion up for every shell that the user has start files of.
pub(super) fn install() -> Done {
    each(Place::install)
}

/// Takes it out of all of them.
pub(super) fn uninstall() -> Done {
    each(Place::uninstall)
}

fn each(act: impl Fn(&Place) -> Result<PathBuf, StartFileError>) -> Done {
    let mut done = Done::default();
    let places = match surroundings() {
        Ok((home, fish, program)) => places(&home, &fish, &program),
        Err(error) => {
            done.errors.push(error);
            return done;
        }
    };
    if places.is_empty() {
        done.errors.push(StartFileError::NoShell);
    }
    for place in places {
        match act(&place) {
            Ok(path) => done.changed.push(path),
            Err(error) => done.errors.push(error),
        }
    }
    done
}

/// The user's home, Fish's directory, and this program.
fn surroundings() -> Result<(PathBuf, PathBuf, PathBuf), StartFileError> {
    let home = std::env::home_dir().ok_or(StartFileError::NotFound("your home directory"))?;
    let program = std::env::current_exe().map_err(|_| StartFileError::NotFound("this program's file"))?;
    let config = std::env::var_os("XDG_CONFIG_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    let fish = config.unwrap_or_else(|| home.join(".config")).join("fish");
    Ok((home, fish, program))
}

fn places(home: &Path, fish: &Path, program: &Path) -> Vec<Place> {
    let program = quoted(&program.display().to_string());
    let existing = |name: &&str| home.join(name).is_file();
    let bash = BASH.iter().find(|name| existing(name)).map(|name| Place::Line {
        path: home.join(name),
        text: format!("[ -x {program} ] && source <({program} completion bash) {MARK}"),
    });
    let zsh = Some(".zshrc").filter(existing).map(|name| Place::Line {
        path: home.join(name),
        text: format!(
            "[ -x {program} ] && autoload -Uz compinit && compinit && source <({program} completion zsh) {MARK}"
        ),
    });
    let fish = fish.is_dir().then(|| Place::File {
        path: fish.join("completions/kiln.fish"),
        text: format!("test -x {program}; and {program} completion fish | source {MARK}\n"),
    });
    [bash, zsh, fish].into_iter().flatten().collect()
}

/// The word between quotes that every one of these shells understands.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\"'\"'"))
}

impl Place {
    fn install(&self) -> Result<PathBuf, StartFileError> {
        match self {
            Self::Line { path, text } => {
                let before = read(path)?;
                if before.lines().any(|line| line.ends_with(MARK)) {
                    return Err(StartFileError::Already(path.clone()));
                }
                let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
                replace_file::replace(path, format!("{before}{gap}{text}\n").as_bytes())?;
                Ok(path.clone())
            }
            Self::File { path, .. } if path.exists() => Err(StartFileError::Already(path.clone())),
            Self::File { path, text } => {
                let directory = path.parent().unwrap_or(Path::new("."));
                let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(path, text));
                written.map_err(|cause| StartFileError::Change { path: path.clone(), cause })?;
                Ok(path.clone())
            }
        }
    }

    fn uninstall(&self) -> Result<PathBuf, StartFileError> {
        match self {
            Self::Line { path, .. } => {
                let before = read(path)?;
                let ours = |line: &&str| line.trim_end().ends_with(MARK);
                let after: String = before.split_inclusive('\n').filter(|line| !ours(line)).collect();
                if after == before {
                    return Err(StartFileError::NotInstalled(path.clone()));
                }
                replace_file::replace(path, after.as_bytes())?;
                Ok(path.clone())
            }
            Self::File { path, .. } if !path.exists() => Err(StartFileError::NotInstalled(path.clone())),
            Self::File { path, .. } => {
                std::fs::remove_file(path)
                    .map_err(|cause| StartFileError::Change { path: path.clone(), cause })?;
                Ok(path.clone())
            }
        }
    }
}

fn read(path: &Path) -> Result<String, StartFileError> {
    std::fs::read_to_string(path).map_err(|cause| StartFileError::Change { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shells_with_start_files_are_set_up_and_come_back_as_they_were() {
        let place = tempfile::tempdir().unwrap();
        let (home, fish) = (place.path(), place.path().join("fish"));
        let program = Path::new("/opt/it's/kiln");
        assert_eq!(places(home, &fish, program), []);
        std::fs::write(home.join(".profile"), "export A=1").unwrap();
        std::fs::write(home.join(".zshrc"), "").unwrap();
        std::fs::create_dir(&fish).unwrap();
        let places = places(home, &fish, program);
        assert_eq!(places.len(), 3);
        for place in &places {
            place.install().unwrap();
            assert!(matches!(place.install(), Err(StartFileError::Already(_))), "{place:?}");
        }
        let profile = std::fs::read_to_string(home.join(".profile")).unwrap();
        assert!(profile.starts_with("export A=1\n[ -x '/opt/it'\"'\"'s/kiln' ] && source <("), "{profile}");
        for place in &places {
            place.uninstall().unwrap();
            assert!(matches!(place.uninstall(), Err(StartFileError::NotInstalled(_))), "{place:?}");
        }
        assert_eq!(std::fs::read_to_string(home.join(".profile")).unwrap(), "export A=1\n");
    }
}
