//! The options `cd_*` and `floppy_*`, which builders append to their own.

use std::collections::BTreeMap;
use std::path::Path;

use kiln_lang::decode::decode;
use kiln_lang::{Diagnostic, Diagnostics, Value};
use kiln_plan::OptionSchema;
use kiln_plan::schema::OptionType::{String as Text, StringMap, Strings};
use serde::Deserialize;

use super::tree::{Directory, Gathering, MediaError, add_texts};

/// What a template wants on the CD and the floppy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MediaConfig {
    /// Files, directories and patterns for the CD.
    pub cd_files: Vec<String>,
    /// Texts for the CD, by path.
    pub cd_content: BTreeMap<String, String>,
    /// The volume label of the CD.
    pub cd_label: String,
    /// Files, directories (flattened) and patterns for the floppy.
    pub floppy_files: Vec<String>,
    /// Directories for the floppy, kept as trees.
    pub floppy_dirs: Vec<String>,
    /// Texts for the floppy, by name.
    pub floppy_content: BTreeMap<String, String>,
    /// The volume label of the floppy.
    pub floppy_label: String,
}

/// The options, as data.
pub fn options() -> Vec<OptionSchema> {
    let option = OptionSchema::new;
    vec![
        option("cd_files", Strings, "Files, directories and patterns to put onto a CD for the guest."),
        option("cd_content", StringMap, "Texts to put onto a CD for the guest, by path."),
        option("cd_label", Text, "The volume label of the CD; cloud-init looks for \"cidata\".")
            .default("packer"),
        option("floppy_files", Strings, "Files and patterns to put into the root of a floppy for the guest."),
        option("floppy_dirs", Strings, "Directories to put onto a floppy for the guest, with their trees."),
        option("floppy_content", StringMap, "Texts to put onto a floppy for the guest, by name."),
        option("floppy_label", Text, "The volume label of the floppy.").default("packer"),
    ]
}

/// What is written when a template names no label.
const DEFAULT_LABEL: &str = "packer";

impl MediaConfig {
    /// Reads the options and looks whether what they name is there; what is wrong goes to `found`.
    pub fn parse(options: &Value, working_dir: &Path, found: &mut Diagnostics) -> Option<Self> {
        let mut config: Self = match decode(options) {
            Ok(config) => config,
            Err(errors) => {
                found.extend(errors.0.iter().map(|e| Diagnostic::error("Invalid option", e.to_string())));
                return None;
            }
        };
        for label in [&mut config.cd_label, &mut config.floppy_label] {
            if label.is_empty() {
                DEFAULT_LABEL.clone_into(label);
            }
        }
        let lists = [
            ("CD", "file", &config.cd_files),
            ("Floppy", "file", &config.floppy_files),
            ("Floppy", "directory", &config.floppy_dirs),
        ];
        for (medium, noun, paths) in lists {
            let gathering = Gathering { medium, working_dir };
            for error in paths.iter().filter_map(|path| gathering.paths(path, noun).err()) {
                found.push(Diagnostic::error(format!("Bad {medium} disk {noun}"), error.to_string()));
            }
        }
        Some(config)
    }

    /// What goes onto the CD; `None` when nothing does.
    ///
    /// # Errors
    /// When something is missing or can't be read.
    pub fn cd(&self, working_dir: &Path) -> Result<Option<Directory>, MediaError> {
        if self.cd_files.is_empty() && self.cd_content.is_empty() {
            return Ok(None);
        }
        let gathering = Gathering { medium: "CD", working_dir };
        let mut root = Directory::new();
        for path in &self.cd_files {
            gathering.add(&mut root, path, "file")?;
        }
        add_texts(&mut root, &self.cd_content);
        Ok(Some(root))
    }

    /// What goes onto the floppy; `None` when nothing does.
    ///
    /// # Errors
    /// When something is missing or can't be read.
    pub fn floppy(&self, working_dir: &Path) -> Result<Option<Directory>, MediaError> {
        if self.floppy_files.is_empty() && self.floppy_dirs.is_empty() && self.floppy_content.is_empty() {
            return Ok(None);
        }
        let gathering = Gathering { medium: "Floppy", working_dir };
        let mut root = Directory::new();
        for path in &self.floppy_files {
            gathering.add_flat(&mut root, path)?;
        }
        for path in &self.floppy_dirs {
            gathering.add(&mut root, path, "directory")?;
        }
        // Packer takes the directory of a name away.
        let flat = |(path, text): (&String, &String)| {
            (path.rsplit('/').next().unwrap_or(path).to_owned(), text.clone())
        };
        add_texts(&mut root, &self.floppy_content.iter().map(flat).collect());
        Ok(Some(root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_and_the_struct_agree() {
        let names: Vec<_> = options().iter().map(|o| o.name.to_string()).collect();
        assert_eq!(names, kiln_lang::decode::field_names::<MediaConfig>());
    }

    #[test]
    fn what_is_missing_is_told_before_the_run() {
        let options = Value::object([
            ("cd_files".to_owned(), Value::string("no/such,*.none")),
            ("floppy_dirs".to_owned(), Value::tuple(vec![Value::string("nowhere")])),
        ]);
        let mut found = Diagnostics::new();
        let config = MediaConfig::parse(&options, Path::new("/"), &mut found).expect("a config");
        let told: Vec<_> = found.iter().map(|d| d.detail.as_str()).collect();
        assert_eq!(
            told,
            [
                "Bad CD disk file: \"no/such\" does not exist",
                "Bad Floppy disk directory: \"nowhere\" does not exist"
            ]
        );
        assert_eq!((config.cd_label.as_str(), config.floppy(Path::new("/")).is_err()), ("packer", true));
    }
}
