//! Whole files keep their meaning when they are formatted, and stay as they are when formatted again: those of the
//! project's examples, and those of the folder that `KILN_CORPUS` names, however many.

use std::path::{Path, PathBuf};

use kiln_lang::syntax::Body;
use kiln_lang::{Functions, Scope, SourceFile, Type, Value, evaluate, format_source, function, parse};

fn hcl_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => hcl_files(&path, files),
            Ok(kind) if kind.is_file() && path.extension().is_some_and(|e| e == "hcl") => files.push(path),
            _ => {}
        }
    }
}

/// What every attribute comes to, in order, under the headers around it.
fn meaning(body: &Body, scope: &Scope, around: &str, out: &mut Vec<String>) {
    for attribute in &body.attributes {
        let value = evaluate(&attribute.expression, scope);
        let value = value.map_err(|found| found.iter().map(|d| d.summary.clone()).collect::<Vec<_>>());
        out.push(format!("{around}{} = {value:?}", attribute.name));
    }
    for block in &body.blocks {
        meaning(&block.body, scope, &format!("{around}{} > ", block.header_text()), out);
    }
}

fn scope() -> Scope {
    let functions: Functions = function::pure();
    let unknown = ["var", "local", "data", "source", "build", "path", "packer", "each"];
    unknown.into_iter().fold(Scope::new(&functions), |s, name| s.with(name, Value::unknown(Type::Any)))
}

/// What is wrong with one file; `None` for a text that can't be understood, which isn't formatted.
fn check(path: &Path, text: &str) -> Option<Result<(), String>> {
    let name = path.display().to_string();
    let before = SourceFile::new(name.clone(), text);
    let formatted = format_source::file(&before).ok()?;
    let after = SourceFile::new(name, formatted.clone());
    let meaning_of = |file: &SourceFile| {
        let mut out = Vec::new();
        meaning(&parse::body(file).0, &scope(), "", &mut out);
        out
    };
    Some(match format_source::file(&after) {
        Ok(again) if again != formatted => Err("formatted twice, it differs".to_owned()),
        Err(found) => Err(format!("formatted, it is wrong: {found:?}")),
        Ok(_) if meaning_of(&before) != meaning_of(&after) => {
            Err("formatted, it means something else".into())
        }
        Ok(_) => Ok(()),
    })
}

#[test]
fn files_come_to_rest_and_mean_the_same() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let folders = std::iter::once(examples).chain(std::env::var_os("KILN_CORPUS").map(PathBuf::from));
    let mut files = Vec::new();
    folders.for_each(|folder| hcl_files(&folder, &mut files));
    let (mut checked, mut wrong) = (0, Vec::new());
    for path in files {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        match check(&path, &text) {
            Some(Ok(())) => checked += 1,
            Some(Err(why)) => wrong.push(format!("{}: {why}", path.display())),
            None => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 0, "there is no file to check");
}
