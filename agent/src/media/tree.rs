//! The files of a medium before it is written: names, and where their content comes from.
//!
//! What lands where:
//!
//! | given | lands as |
//! |---|---|
//! | `a/b.txt` | `b.txt` |
//! | `a/dir` | `dir` with everything in it |
//! | `a/dir/` | what is in it, without `dir` |
//! | `a/*.txt` | each match as if given by itself; none is no mistake |
//! | content `x/y` | `x/y`, replacing a file of that name |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A directory of a medium, or all of it.
pub type Directory = BTreeMap<String, Node>;

/// A file or directory of a medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A file whose content is at hand.
    Text(String),
    /// A file of this machine.
    File(PathBuf),
    /// A directory.
    Directory(Directory),
}

/// Why a medium can't be made.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// A file that the template names is missing.
    #[error("Bad {medium} disk {noun}: {path:?} does not exist")]
    Missing {
        /// `CD` or `Floppy`.
        medium: &'static str,
        /// `file` or `directory`.
        noun: &'static str,
        /// As the template has it.
        path: String,
    },
    /// A pattern that isn't one.
    #[error("Bad {medium} disk file: {pattern:?} is not a pattern")]
    Pattern {
        /// `CD` or `Floppy`.
        medium: &'static str,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: glob::PatternError,
    },
    /// A file can't be read.
    #[error("cannot read {} for the {medium}", path.display())]
    Read {
        /// `CD` or `Floppy`.
        medium: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The image can't be written.
    #[error("cannot write the {medium} image {}", path.display())]
    Write {
        /// `CD` or `Floppy`.
        medium: &'static str,
        /// The image.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// More than fits.
    #[error("the files for the floppy don't fit: a floppy holds 1.44 MB; use cd_files instead")]
    FloppyIsFull,
}

/// Gathers files for one kind of medium.
#[derive(Clone, Debug)]
pub struct Gathering<'a> {
    /// For messages: `CD` or `Floppy`.
    pub medium: &'static str,
    /// Where relative paths resolve.
    pub working_dir: &'a Path,
}

impl Gathering<'_> {
    /// The files and directories of this machine that `given` names.
    ///
    /// # Errors
    /// When a path without wildcards doesn't exist, or a pattern isn't one.
    pub fn paths(&self, given: &str, noun: &'static str) -> Result<Vec<PathBuf>, MediaError> {
        let path = self.working_dir.join(given);
        if !given.contains(['*', '?', '[']) {
            return match path.exists() {
                true => Ok(vec![path]),
                false => Err(MediaError::Missing { medium: self.medium, noun, path: given.to_owned() }),
            };
        }
        let bad = |source| MediaError::Pattern { medium: self.medium, pattern: given.to_owned(), source };
        let found = glob::glob(&path.to_string_lossy()).map_err(bad)?;
        Ok(found.filter_map(Result::ok).collect())
    }

    /// Adds what `given` names, directories with their trees.
    ///
    /// # Errors
    /// When something is missing or can't be read.
    pub fn add(&self, root: &mut Directory, given: &str, noun: &'static str) -> Result<(), MediaError> {
        for path in self.paths(given, noun)? {
            if !path.is_dir() {
                root.insert(file_name(&path), Node::File(path));
                continue;
            }
            let tree = self.tree(&path)?;
            if given.ends_with('/') {
                merge(root, tree);
            } else {
                merge(root, Directory::from([(file_name(&path), Node::Directory(tree))]));
            }
        }
        Ok(())
    }

    /// Adds what `given` names, all files of directories and their trees side by side.
    ///
    /// # Errors
    /// When something is missing or can't be read.
    pub fn add_flat(&self, root: &mut Directory, given: &str) -> Result<(), MediaError> {
        for path in self.paths(given, "file")? {
            let node = match path.is_dir() {
                true => Node::Directory(self.tree(&path)?),
                false => Node::File(path.clone()),
            };
            flatten(root, &file_name(&path), node);
        }
        Ok(())
    }

    fn tree(&self, directory: &Path) -> Result<Directory, MediaError> {
        let unreadable =
            |source| MediaError::Read { medium: self.medium, path: directory.to_owned(), source };
        let mut tree = Directory::new();
        for entry in std::fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            // Follows symbolic links: a CD has what they point at.
            let node = match path.is_dir() {
                true => Node::Directory(self.tree(&path)?),
                false => Node::File(path.clone()),
            };
            tree.insert(file_name(&path), node);
        }
        Ok(tree)
    }
}

/// Adds texts by their paths; they replace what is there.
pub fn add_texts(root: &mut Directory, texts: &BTreeMap<String, String>) {
    for (path, text) in texts {
        let mut names: Vec<&str> = path.split('/').filter(|n| !matches!(*n, "" | "." | "..")).collect();
        let Some(name) = names.pop() else { continue };
        let mut at = &mut *root;
        for directory in names {
            let node = at.entry(directory.to_owned()).or_insert_with(|| Node::Directory(Directory::new()));
            if !matches!(node, Node::Directory(_)) {
                *node = Node::Directory(Directory::new());
            }
            let Node::Directory(inner) = node else { unreachable!("it was made one") };
            at = inner;
        }
        at.insert(name.to_owned(), Node::Text(text.clone()));
    }
}

fn merge(into: &mut Directory, from: Directory) {
    for (name, node) in from {
        match (into.get_mut(&name), node) {
            (Some(Node::Directory(old)), Node::Directory(new)) => merge(old, new),
            (_, node) => drop(into.insert(name, node)),
        }
    }
}

fn flatten(into: &mut Directory, name: &str, node: Node) {
    match node {
        Node::Directory(tree) => tree.into_iter().for_each(|(name, node)| flatten(into, &name, node)),
        file => drop(into.insert(name.to_owned(), file)),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(directory: &Directory) -> String {
        let one = |(name, node): (&String, &Node)| match node {
            Node::Text(text) => format!("{name}={text}"),
            Node::File(_) => name.clone(),
            Node::Directory(inner) => format!("{name}/({})", show(inner)),
        };
        directory.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn files() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(root.path().join("d/sub")).expect("a directory");
        for file in ["a.txt", "b.txt", "d/c.txt", "d/sub/e.txt"] {
            std::fs::write(root.path().join(file), file).expect("a file");
        }
        std::os::unix::fs::symlink("sub", root.path().join("d/link")).expect("a link");
        root
    }

    #[test]
    fn files_land_where_packer_puts_them() {
        let root = files();
        let gathering = Gathering { medium: "CD", working_dir: root.path() };
        let cases = [
            ("a.txt", "a.txt"),
            ("./d/c.txt", "c.txt"),
            ("d", "d/(c.txt link/(e.txt) sub/(e.txt))"),
            ("d/", "c.txt link/(e.txt) sub/(e.txt)"),
            ("*.txt", "a.txt b.txt"),
            ("*.none", ""),
            ("d/s*", "sub/(e.txt)"),
        ];
        for (given, expected) in cases {
            let mut tree = Directory::new();
            gathering.add(&mut tree, given, "file").expect(given);
            assert_eq!(show(&tree), expected, "{given}");
        }
        let mut flat = Directory::new();
        gathering.add_flat(&mut flat, "d").expect("files");
        assert_eq!(show(&flat), "c.txt e.txt");
    }

    #[test]
    fn a_missing_file_is_named_as_the_template_names_it() {
        let root = files();
        let gathering = Gathering { medium: "CD", working_dir: root.path() };
        let error = gathering.add(&mut Directory::new(), "no/such", "file").expect_err("missing").to_string();
        assert_eq!(error, "Bad CD disk file: \"no/such\" does not exist");
    }

    #[test]
    fn texts_replace_files_and_make_their_directories() {
        let root = files();
        let mut tree = Directory::new();
        Gathering { medium: "CD", working_dir: root.path() }.add(&mut tree, "a.txt", "file").expect("a file");
        let texts = [("a.txt", "new"), ("/x/y", "deep"), ("../up", "kept inside")];
        add_texts(&mut tree, &texts.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert_eq!(show(&tree), "a.txt=new up=kept inside x/(y=deep)");
    }
}
