//! Which files a template consists of, and their texts.
//!
//! A directory is HCL2: all its `*.pkr.hcl`, then all its `*.pkr.json`, and the var files that load by
//! themselves. A single file is read alone. What is neither named as HCL2 nor asked for as HCL2 is legacy
//! JSON.

use kiln_lang::{Diagnostic, Diagnostics, SourceFile};
use kiln_plan::build::Dialect;

use crate::host::{FileKind, Host, HostError, read_text};
use crate::request::{ConfigType, Request};

const HCL_SUFFIX: &str = ".pkr.hcl";
const JSON_SUFFIX: &str = ".pkr.json";
const AUTO_HCL_SUFFIX: &str = ".auto.pkrvars.hcl";
const AUTO_JSON_SUFFIX: &str = ".auto.pkrvars.json";
const STANDARD_INPUT: &str = "<standard input>";

/// The files of a template as one value.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The language they are written in.
    pub dialect: Dialect,
    /// `path.root`: the directory argument as it was given, or the directory of the file; forward slashes.
    pub root: String,
    /// The template's own files, in the order in which their blocks count.
    pub template_files: Vec<SourceFile>,
    /// The var files from lowest to highest precedence: those that load by themselves, then `-var-file`.
    pub var_files: Vec<SourceFile>,
    /// The `*.kiln.hcl` files beside the template, by name.
    pub farm_files: Vec<SourceFile>,
}

impl Bundle {
    /// Finds and reads the files that a request names.
    ///
    /// # Errors
    /// Every file that is missing, unreadable or of unknown format.
    pub fn read(request: &Request, host: &dyn Host) -> Result<Self, Diagnostics> {
        let mut found = Diagnostics::new();
        let mut bundle = match place(request, host) {
            Ok(Place::StandardInput) => read_standard_input(host, &mut found),
            Ok(Place::File(dialect)) => read_one(&request.path, dialect, host, &mut found),
            Ok(Place::Directory) => read_directory(&request.path, host, &mut found),
            Err(diagnostic) => return Err(diagnostic.into()),
        };
        bundle.farm_files = read_farm_files(&bundle, host, &mut found);
        for path in &request.var_files {
            let known =
                path.ends_with(".json") || (path.ends_with(".hcl") && bundle.dialect == Dialect::Hcl2);
            if known {
                bundle.var_files.extend(read_file(path, host, &mut found));
            } else {
                found.push(unknown_var_file(path, bundle.dialect));
            }
        }
        if found.has_errors() { Err(found) } else { Ok(bundle) }
    }

    /// The one file of a legacy JSON template, for commands that only such templates have. Var files aren't
    /// read.
    ///
    /// # Errors
    /// When it can't be read, or is HCL2 by its name.
    pub fn read_legacy(
        path: &str,
        config_type: ConfigType,
        host: &dyn Host,
    ) -> Result<SourceFile, Diagnostics> {
        let request = Request { path: path.to_owned(), config_type, ..Request::default() };
        let refusal = || {
            Diagnostic::error("Not a JSON template", format!("{path} is an HCL2 template already."))
                .hint("this command is for the JSON templates that HCL2 replaced")
        };
        if is_hcl2(path) || place(&request, host).is_ok_and(|place| matches!(place, Place::Directory)) {
            return Err(refusal().into());
        }
        let bundle = Self::read(&request, host)?;
        let file = bundle.template_files.into_iter().next();
        file.filter(|_| bundle.dialect == Dialect::LegacyJson).ok_or_else(|| refusal().into())
    }

    /// Every text, for diagnostics.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.template_files.iter().chain(&self.var_files).chain(&self.farm_files)
    }
}

enum Place {
    StandardInput,
    File(Dialect),
    Directory,
}

fn place(request: &Request, host: &dyn Host) -> Result<Place, Diagnostic> {
    let path = request.path.as_str();
    if matches!(path, "" | "-") {
        return match request.config_type {
            ConfigType::Json => Ok(Place::StandardInput),
            ConfigType::Hcl2 => {
                Err(no_template(path)
                    .hint("HCL2 can't be read from standard input; name a file or a directory"))
            }
        };
    }
    match host.kind(path).map_err(|e| unreadable(&e))? {
        None => Err(unreadable(&HostError::NotFound { path: path.to_owned() })),
        Some(FileKind::Directory) => Ok(Place::Directory),
        Some(_) if is_hcl2(path) => Ok(Place::File(Dialect::Hcl2)),
        Some(_) => match request.config_type {
            ConfigType::Json => Ok(Place::File(Dialect::LegacyJson)),
            ConfigType::Hcl2 => Err(no_template(path)),
        },
    }
}

fn is_hcl2(path: &str) -> bool {
    path.ends_with(HCL_SUFFIX) || path.ends_with(JSON_SUFFIX)
}

fn unreadable(error: &HostError) -> Diagnostic {
    Diagnostic::error("Cannot read the template", error.to_string())
}

fn no_template(path: &str) -> Diagnostic {
    Diagnostic::error(
        format!("Could not find any config file in {path}"),
        format!(
            "An HCL2 template is a file whose name ends with {HCL_SUFFIX} or {JSON_SUFFIX}, or a directory \
             with such files."
        ),
    )
}

fn unknown_var_file(path: &str, dialect: Dialect) -> Diagnostic {
    let names = match dialect {
        Dialect::Hcl2 => "The name of a var file must end with .hcl or .json.",
        Dialect::LegacyJson => "The var files of a JSON template are JSON; their names must end with .json.",
    };
    Diagnostic::error(format!("Could not guess format of {path}"), names)
}

fn empty(dialect: Dialect, root: &str) -> Bundle {
    let root = root.replace('\\', "/");
    Bundle { dialect, root, template_files: Vec::new(), var_files: Vec::new(), farm_files: Vec::new() }
}

fn read_standard_input(host: &dyn Host, found: &mut Diagnostics) -> Bundle {
    let mut bundle = empty(Dialect::LegacyJson, "");
    match host.read_standard_input() {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => bundle.template_files.push(SourceFile::new(STANDARD_INPUT, text)),
            Err(_) => found.push(Diagnostic::error(
                "Cannot read the template",
                "What came on standard input is not UTF-8 text.",
            )),
        },
        Err(error) => found.push(unreadable(&error)),
    }
    bundle
}

fn read_one(path: &str, dialect: Dialect, host: &dyn Host, found: &mut Diagnostics) -> Bundle {
    let mut bundle = empty(dialect, parent(path));
    bundle.template_files.extend(read_file(path, host, found));
    bundle
}

/// The `*.kiln.hcl` files in the directory of the template. One that can't be listed has none: whoever can read a
/// template may build it.
fn read_farm_files(bundle: &Bundle, host: &dyn Host, found: &mut Diagnostics) -> Vec<SourceFile> {
    let root = bundle.root.as_str();
    let listed = if root.is_empty() { Vec::new() } else { host.list_directory(root).unwrap_or_default() };
    let mut names: Vec<_> = listed.into_iter().filter(|entry| entry.kind != FileKind::Directory).collect();
    names.retain(|entry| entry.name.ends_with(crate::farm_file::SUFFIX));
    names.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    names.iter().filter_map(|entry| read_file(&join(root, &entry.name), host, found)).collect()
}

/// The directory part of a path, `.` when it has none.
fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None => ".",
        Some(0) => "/",
        Some(slash) => &path[..slash],
    }
}

fn read_file(path: &str, host: &dyn Host, found: &mut Diagnostics) -> Option<SourceFile> {
    match read_text(host, path) {
        Ok(text) => Some(SourceFile::new(path, text)),
        Err(error) => {
            found.push(Diagnostic::error("Failed to read file", error.to_string()));
            None
        }
    }
}

fn read_directory(path: &str, host: &dyn Host, found: &mut Diagnostics) -> Bundle {
    let mut bundle = empty(Dialect::Hcl2, path);
    let mut names = match host.list_directory(path) {
        Ok(entries) => entries,
        Err(error) => {
            found.push(unreadable(&error));
            return bundle;
        }
    };
    names.retain(|entry| entry.kind != FileKind::Directory);
    names.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let mut read_all = |suffix: &str| {
        let chosen = names.iter().filter(|entry| entry.name.ends_with(suffix));
        let paths = chosen.map(|entry| join(path, &entry.name));
        paths.filter_map(|p| read_file(&p, host, found)).collect::<Vec<_>>()
    };
    bundle.template_files = [read_all(HCL_SUFFIX), read_all(JSON_SUFFIX)].concat();
    bundle.var_files = [read_all(AUTO_HCL_SUFFIX), read_all(AUTO_JSON_SUFFIX)].concat();
    if bundle.template_files.is_empty() && !found.has_errors() {
        found.push(no_template(path));
    }
    bundle
}

/// A path inside a directory. A leading `./` of the directory goes, as in the names users know.
pub(crate) fn join(directory: &str, name: &str) -> String {
    match directory.trim_end_matches('/') {
        "" if directory.starts_with('/') => format!("/{name}"),
        "" | "." => name.to_owned(),
        directory => format!("{}/{name}", directory.strip_prefix("./").unwrap_or(directory)),
    }
}
