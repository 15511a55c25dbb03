//! Sizes: files, functions, parameters.

use kiln_tests::tree;

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;

#[test]
fn files_stay_under_600_lines() {
    let long = tree::rust_sources().into_iter().map(|(path, text)| (path, text.lines().count()));
    let offences: Vec<String> = long
        .filter(|(_, lines)| *lines > FILE_LINES)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    super::expect_none("files over 600 lines (split by duty)", &offences);
}

#[test]
fn functions_stay_under_70_lines() {
    let mut offences = Vec::new();
    for (path, text) in tree::rust_sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate().filter(|(_, l)| begins_function(l)) {
            // Rustfmt puts a function's last brace under its first letter.
            let indent = line.len() - line.trim_start().len();
            let end = lines[start..].iter().position(|l| l.trim_start() == "}" && l.len() == indent + 1);
            if let Some(length) = end.map(|e| e + 1).filter(|l| *l > FUNCTION_LINES) {
                offences.push(format!("{}:{}: {length} lines", path.display(), start + 1));
            }
        }
    }
    super::expect_none("functions over 70 lines", &offences);
}

fn begins_function(line: &str) -> bool {
    let words = line.trim_start();
    let words =
        words.strip_prefix("pub(crate) ").or_else(|| words.strip_prefix("pub(super) ")).unwrap_or(words);
    let words = words.strip_prefix("pub ").unwrap_or(words);
    let words = words.strip_prefix("const ").unwrap_or(words);
    let words = words.strip_prefix("async ").unwrap_or(words);
    // A body on the same line is a short one.
    words.starts_with("fn ") && !line.trim_end().ends_with(['}', ';'])
}
