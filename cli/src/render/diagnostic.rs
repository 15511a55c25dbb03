//! Diagnostics as text: what is wrong, where, the line itself with the range marked, and what to do.

use kiln_lang::{Diagnostic, Diagnostics, Severity, SourceMap, Span};

use super::Reader;
use super::json;
use super::style::{self, Style};

const WIDTH: usize = 80;

/// All findings as one text, in Packer's shape. `paint` colours what matters, for people at a terminal.
pub(crate) fn text(diagnostics: &Diagnostics, sources: &SourceMap, paint: bool) -> String {
    diagnostics.iter().map(|d| one(d, sources, paint)).collect::<Vec<_>>().join("\n")
}

fn one(diagnostic: &Diagnostic, sources: &SourceMap, paint: bool) -> String {
    let (severity, style) = match diagnostic.severity {
        Severity::Error => ("Error", style::ERROR),
        Severity::Warning => ("Warning", style::WARNING),
    };
    let painted = |style: Style, text: &str| if paint { style.paint(text) } else { text.to_owned() };
    let mut out = format!("{}{}\n\n", painted(style, &format!("{severity}: ")), diagnostic.summary);
    if let Some(span) = &diagnostic.span {
        let mark = |carets: &str| painted(style, carets);
        out.push_str(&location(span, diagnostic.context.as_deref(), (sources, &mark)));
        out.push('\n');
    }
    let hint = diagnostic.hint.as_deref().map(|hint| painted(style::HINT, &wrap(hint)));
    for words in [Some(wrap(&diagnostic.detail)), hint].into_iter().flatten() {
        if !words.is_empty() {
            out.push_str(&words);
            out.push_str("\n\n");
        }
    }
    out
}

fn location(
    span: &Span,
    context: Option<&str>,
    (sources, mark): (&SourceMap, &dyn Fn(&str) -> String),
) -> String {
    let within = context.map(|c| format!(", in {c}")).unwrap_or_default();
    let Some(file) = sources.get(&span.file) else {
        return format!("  on {}{within}:\n  (source code not available)\n", span.file);
    };
    let (from, to) = (file.position(span.start), file.position(span.end.max(span.start)));
    let mut out = format!("  on {} line {}{within}:\n", span.file, from.line);
    // A block may be long; its first lines tell enough.
    let last = to.line.min(from.line + 4);
    for number in from.line..=last {
        let line = file.line(number);
        out.push_str(&format!("{number:4}: {line}\n"));
        let start = if number == from.line {
            from.column - 1
        } else {
            line.chars().take_while(|c| c.is_whitespace()).count()
        };
        let end = if number == to.line { to.column - 1 } else { line.chars().count() };
        if from.line == to.line && end > start {
            let pad: String = line.chars().take(start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            out.push_str(&format!("      {pad}{}\n", mark(&"^".repeat(end - start))));
        }
    }
    out
}

/// Breaks long lines at spaces; lines that are indented stand as they are.
fn wrap(text: &str) -> String {
    let mut out = Vec::new();
    for line in text.trim_end().lines() {
        if line.starts_with([' ', '\t']) {
            out.push(line.to_owned());
            continue;
        }
        let mut current = String::new();
        for word in line.split(' ') {
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > WIDTH {
                out.push(std::mem::take(&mut current));
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        out.push(current);
    }
    out.join("\n")
}

/// Shows all findings, if there are any: in the tone of errors when one is an error.
pub(crate) fn show(screen: &super::Screen, diagnostics: &Diagnostics, sources: &SourceMap) {
    if diagnostics.is_empty() {
        return;
    }
    if screen.look().reader == Reader::Json {
        json::diagnostics(diagnostics, sources).iter().for_each(|object| screen.object(object));
        return;
    }
    if screen.look().reader == Reader::Scripts {
        diagnostics.iter().for_each(|diagnostic| facts(screen, diagnostic, sources));
    }
    let text = text(diagnostics, sources, screen.paints());
    match diagnostics.has_errors() {
        true => screen.plain_error(&text),
        false => screen.say(&text),
    }
}

/// A finding as a machine-readable line of its own, of which Packer has none: severity, file, line and column of both
/// ends, summary, detail, hint.
fn facts(screen: &super::Screen, diagnostic: &Diagnostic, sources: &SourceMap) {
    let severity = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
    let file = diagnostic.span.as_ref().map_or("", |span| &*span.file);
    let mut places = [const { String::new() }; 4];
    if let Some((span, source)) =
        diagnostic.span.as_ref().and_then(|span| Some((span, sources.get(&span.file)?)))
    {
        let (start, end) = (source.position(span.start), source.position(span.end));
        places = [start.line, start.column, end.line, end.column].map(|number| number.to_string());
    }
    let hint = diagnostic.hint.as_deref().unwrap_or_default();
    let [line, column, end_line, end_column] = &places;
    let data =
        [severity, file, line, column, end_line, end_column, &diagnostic.summary, &diagnostic.detail, hint];
    screen.machine("", "diagnostic", &data);
}
