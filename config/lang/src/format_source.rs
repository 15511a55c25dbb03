//! Templates in their canonical form, as `fmt` writes them: HashiCorp's (`hclwrite`), so that a team whose templates
//! are formatted already sees no change.
//!
//! Only the white space between tokens is ever changed, so the meaning stays and comments, blank lines, line ends
//! and the insides of quotes and heredocs survive.
//!
//! ```text
//!  text ──► token: tokens ──► line: lines of cells ──► indentation ──► spaces between ──► columns aligned ──► text
//!
//!     lead       assign      comment
//!   ┌───────┐ ┌───────────┐ ┌───────┐
//!   disk_size  = "10G"       # enough      `=` and comments of neighbouring lines stand below each other
//!   memory     = 1024        # MiB
//! ```

mod line;
mod spacing;
mod token;

use crate::diagnostic::Diagnostics;
use crate::parse;
use crate::span::SourceFile;

/// The canonical form of a file of arguments and blocks; equal to its text when that is canonical already.
///
/// # Errors
/// What is wrong with its syntax. Text that can't be understood has no canonical form.
pub fn file(source: &SourceFile) -> Result<String, Diagnostics> {
    let (_, found) = parse::body(source);
    if found.has_errors() {
        return Err(found);
    }
    Ok(canonical(source.text()))
}

/// The canonical form of a text that is known to be sound, such as one that was just generated. A byte order mark
/// goes; everything else but white space stays. Costs one pass over the text.
pub fn canonical(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut tokens, trailing) = token::tokens(text);
    let lines = line::lines(&tokens);
    line::indent(&mut tokens, &lines);
    for line in &lines {
        spacing::space(&mut tokens[line.lead.clone()]);
        spacing::space(&mut tokens[line.assign.clone()]);
    }
    line::align(&mut tokens, &lines);
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for token in &tokens {
        out.extend(std::iter::repeat_n(' ', token.spaces));
        out.push_str(token.text);
    }
    out.extend(std::iter::repeat_n(' ', trailing));
    out
}

#[cfg(test)]
mod tests;
