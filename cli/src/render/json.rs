//! Output as data: one JSON object per line. The shapes are described in `docs/reference/json-output.md`; fields are
//! only ever added.

use kiln_lang::{Diagnostic, Diagnostics, Severity, SourceMap, Span};
use serde_json::{Value, json};

/// The most lines of a snippet; those of a long block tell enough.
const SNIPPET_LINES: usize = 5;

/// Each finding as an object of kind `diagnostic`.
pub(crate) fn diagnostics(found: &Diagnostics, sources: &SourceMap) -> Vec<Value> {
    found.iter().map(|diagnostic| one(diagnostic, sources)).collect()
}

fn one(diagnostic: &Diagnostic, sources: &SourceMap) -> Value {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = diagnostic.span.as_ref().map(|span| place(span, sources)).unwrap_or_default();
    json!({
        "kind": "diagnostic",
        "severity": severity,
        "summary": diagnostic.summary,
        "detail": diagnostic.detail,
        "hint": diagnostic.hint,
        "context": diagnostic.context,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "range": place.range,
        "snippet": place.snippet,
    })
}

/// Where a finding stands; absent fields are null.
#[derive(Default)]
struct Where {
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    range: Option<Value>,
    snippet: Option<String>,
}

fn place(span: &Span, sources: &SourceMap) -> Where {
    let file = Some(span.file.to_string());
    let Some(source) = sources.get(&span.file) else { return Where { file, ..Where::default() } };
    let (start, end) = (source.position(span.start), source.position(span.end));
    let last = end.line.min(start.line + SNIPPET_LINES - 1);
    let lines: Vec<&str> = (start.line..=last).map(|number| source.line(number)).collect();
    let point = |position: kiln_lang::span::Position, byte: usize| json!({ "line": position.line, "column": position.column, "byte": byte });
    Where {
        file,
        line: Some(start.line),
        column: Some(start.column),
        range: Some(json!({ "start": point(start, span.start), "end": point(end, span.end) })),
        snippet: Some(lines.join("\n")),
    }
}

/// What a command says in words.
pub(crate) fn message(is_error: bool, text: &str) -> Value {
    json!({ "kind": "message", "severity": if is_error { "error" } else { "info" }, "text": text })
}

/// What a machine-readable line would say.
pub(crate) fn fact(target: &str, name: &str, data: &[&str]) -> Value {
    json!({ "kind": "fact", "target": target, "name": name, "data": data })
}

/// How a check ended.
pub(crate) fn verdict(found: &Diagnostics) -> Value {
    let count = |severity| found.iter().filter(|d| d.severity == severity).count();
    let errors = count(Severity::Error);
    json!({ "kind": "verdict", "valid": errors == 0, "errors": errors, "warnings": count(Severity::Warning) })
}

#[cfg(test)]
mod tests {
    use kiln_lang::SourceFile;

    use super::*;

    #[test]
    fn a_finding_tells_its_place_in_numbers_and_in_text() {
        let mut sources = SourceMap::default();
        sources.add(SourceFile::new("t.pkr.hcl", "ä = 1\nb = x\n"));
        let found = Diagnostic::error("Unknown variable", "There is no variable named \"x\".")
            .at(Span::new("t.pkr.hcl", 11, 12))
            .hint("did you mean \"y\"?")
            .within("locals");
        let expected = json!({
            "kind": "diagnostic", "severity": "error", "summary": "Unknown variable",
            "detail": "There is no variable named \"x\".", "hint": "did you mean \"y\"?", "context": "locals",
            "file": "t.pkr.hcl", "line": 2, "column": 5, "snippet": "b = x",
            "range": { "start": { "line": 2, "column": 5, "byte": 11 }, "end": { "line": 2, "column": 6, "byte": 12 } },
        });
        assert_eq!(diagnostics(&found.into(), &sources), [expected]);
    }

    #[test]
    fn a_finding_without_place_has_nulls() {
        let shown = &diagnostics(&Diagnostic::warning("w", "").into(), &SourceMap::default())[0];
        assert!(
            ["file", "line", "range", "snippet", "hint"].iter().all(|field| shown[field].is_null()),
            "{shown}"
        );
    }
}
