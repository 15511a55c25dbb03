//! Answers an evaluation from a bundle and the notes that came with it, and from nothing of the machine that it runs on
//! but the clock and chance.

use std::fmt::Debug;

use super::{
    Arc, BUNDLE_ROOT, DirectoryEntry, FileKind, Host, HostError, SecretQuestion, Sensitive, SharedHost, World,
};

/// The most links that are followed for one path.
const MOST_LINKS: usize = 40;

/// The files of a bundle, by names relative to its top.
pub trait Shelf: Debug + Send + Sync {
    /// What stands at a name; the empty name is the top.
    fn look(&self, name: &str) -> Option<Found>;

    /// The names directly in a directory.
    fn list(&self, directory: &str) -> Vec<String>;
}

/// What stands at a name of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A file and its contents.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// A symbolic link and where it leads from its own directory.
    Link(String),
}

/// A host whose files are those of a bundle.
#[derive(Debug)]
pub struct BundleHost {
    shelf: Arc<dyn Shelf>,
    world: World,
    /// Tells the time and throws the dice.
    machine: SharedHost,
}

impl BundleHost {
    /// A host for the files of `shelf` and the notes of `world`; `machine` is asked for the clock and chance only.
    pub fn new(shelf: Arc<dyn Shelf>, world: World, machine: SharedHost) -> Self {
        Self { shelf, world, machine }
    }

    /// The name in the bundle of what a path leads to, links followed; an error for a path that leads elsewhere.
    fn resolve(&self, path: &str) -> Result<(String, Option<Found>), HostError> {
        let absolute = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("{}/{path}", self.world.directory()),
        };
        let outside = || HostError::Failed {
            path: path.to_owned(),
            reason: "it is not in the bundle that was sent to the farm".to_owned(),
        };
        let inside =
            absolute.strip_prefix(BUNDLE_ROOT).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let mut ahead: Vec<String> =
            inside.ok_or_else(outside)?.split('/').rev().map(str::to_owned).collect();
        let mut place: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    place.pop().ok_or_else(outside)?;
                    continue;
                }
                _ => place.push(part),
            }
            if let Some(Found::Link(target)) = self.shelf.look(&place.join("/")) {
                links += 1;
                if links > MOST_LINKS {
                    let reason = "too many levels of symbolic links".to_owned();
                    return Err(HostError::Failed { path: path.to_owned(), reason });
                }
                place.pop();
                ahead.extend(target.split('/').rev().map(str::to_owned));
            }
        }
        let name = place.join("/");
        let found = self.shelf.look(&name);
        Ok((name, found))
    }
}

impl Host for BundleHost {
    fn read_file(&self, path: &str) -> Result<Vec<u8>, HostError> {
        if let Some(file) = self.world.files.get(path) {
            return Ok(file.reveal().clone());
        }
        match self.resolve(path)? {
            (_, Some(Found::File(contents))) => Ok(contents),
            (_, Some(_)) => Err(HostError::Failed {
                path: path.to_owned(),
                reason: "it is not a regular file".to_owned(),
            }),
            (_, None) => Err(HostError::NotFound { path: path.to_owned() }),
        }
    }

    fn read_standard_input(&self) -> Result<Vec<u8>, HostError> {
        let nothing = || HostError::NotFound { path: "standard input".to_owned() };
        self.world.standard_input.as_ref().map(|read| read.reveal().clone()).ok_or_else(nothing)
    }

    fn kind(&self, path: &str) -> Result<Option<FileKind>, HostError> {
        if self.world.files.contains_key(path) {
            return Ok(Some(FileKind::File));
        }
        Ok(match self.resolve(path)? {
            (_, Some(Found::File(_))) => Some(FileKind::File),
            (_, Some(Found::Directory)) => Some(FileKind::Directory),
            (_, Some(Found::Link(_))) => Some(FileKind::Other),
            (_, None) => None,
        })
    }

    fn list_directory(&self, path: &str) -> Result<Vec<DirectoryEntry>, HostError> {
        let (name, found) = self.resolve(path)?;
        match found {
            Some(Found::Directory) => {}
            Some(_) => {
                return Err(HostError::Failed {
                    path: path.to_owned(),
                    reason: "it is not a directory".to_owned(),
                });
            }
            None => return Err(HostError::NotFound { path: path.to_owned() }),
        }
        let kind = |entry: &str| {
            let below = format!("{}/{entry}", path.trim_end_matches('/'));
            self.kind(&below).ok().flatten().unwrap_or(FileKind::Other)
        };
        let entries = self.shelf.list(&name).into_iter();
        Ok(entries.map(|entry| DirectoryEntry { kind: kind(&entry), name: entry }).collect())
    }

    fn environment(&self, name: &str) -> Option<String> {
        self.world.environment.get(name)?.as_ref().map(|value| value.reveal().clone())
    }

    fn now_ns(&self) -> i64 {
        self.machine.now_ns()
    }

    fn random_uuid(&self) -> String {
        self.machine.random_uuid()
    }

    fn working_directory(&self) -> String {
        self.world.directory()
    }

    fn secret(&self, question: &SecretQuestion) -> Result<Option<Sensitive<String>>, HostError> {
        match self.world.secrets.get(&question.to_string()) {
            Some(answer) => Ok(Some(answer.clone())),
            // Nothing of this machine's may answer: its tokens are not the submitter's.
            None => Err(HostError::NoSecret {
                reason: format!(
                    "{question} wasn't asked before the template was sent to the farm; secrets can't be chosen by what \
                     data sources answer"
                ),
            }),
        }
    }

    fn home_directory(&self) -> Option<String> {
        self.world.home_directory.clone()
    }
}
