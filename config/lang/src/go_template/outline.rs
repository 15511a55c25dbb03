//! A text taken apart without running it: what stands between the actions, and what each action is. For those who
//! translate templates into another language.

use std::ops::Range;

use gotmpl::parse::{CommandNode, Expr, Node, Number, Parser, PipeNode};

use super::action;
use super::render::{error, from_raised, position};
use super::{Reason, TemplateError};

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// What stands between actions, trimmed where an action beside it says so.
    Text(String),
    /// `{{ … }}`
    Action(Action),
}

/// One action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// As written, without trim markers.
    pub text: String,
    /// What it prints, when all that it does is to print.
    pub term: Option<Term>,
    /// The words in it that may name functions, in order.
    pub mentions: Vec<Mention>,
}

/// A word that may name a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The word.
    pub name: String,
    /// The literal text that follows it, if one does.
    pub argument: Option<String>,
    /// Where both stand in the action's text, in bytes.
    pub range: Range<usize>,
}

/// What an action prints. A pipeline is a call whose last argument is what comes before the bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Term {
    /// A literal text.
    Text(String),
    /// A literal number, as Go prints it.
    Number(String),
    /// `true` or `false`
    Bool(bool),
    /// A function and its arguments.
    Call {
        /// Its name.
        name: String,
        /// In order.
        arguments: Vec<Term>,
    },
    /// `.Name`: data of the component.
    Field(String),
    /// Anything else: variables, the whole dot, chains of fields.
    Other,
}

/// Takes a text apart.
///
/// # Errors
/// [`TemplateError`] when it isn't a template.
pub fn outline(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let Some(actions) = action::find(text) else {
        return match Parser::new(text, "{{", "}}").and_then(Parser::parse) {
            Err(raised) => Err(from_raised(text, raised)),
            Ok(_) => Err(error(text, Reason::Syntax("unclosed action".to_owned()), None)),
        };
    };
    action::check_blocks(&actions)
        .map_err(|(offset, reason)| error(text, reason, Some(position(text, offset))))?;
    Parser::new(text, "{{", "}}").and_then(Parser::parse).map_err(|raised| from_raised(text, raised))?;
    let mut pieces = Vec::with_capacity(actions.len() * 2 + 1);
    let mut from = 0;
    let mut trim_start = false;
    for found in &actions {
        let whole = &text[found.start..found.end];
        let between = trimmed(&text[from..found.start], trim_start);
        let trim_end = whole.starts_with("{{- ");
        push_text(&mut pieces, if trim_end { between.trim_end_matches(BLANK) } else { between });
        trim_start = whole.ends_with(" -}}");
        from = found.end;
        if !found.inner.starts_with("/*") {
            pieces.push(Piece::Action(read(found, whole)));
        }
    }
    push_text(&mut pieces, trimmed(&text[from..], trim_start));
    Ok(pieces)
}

/// What Go trims.
const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

fn trimmed(text: &str, at_start: bool) -> &str {
    if at_start { text.trim_start_matches(BLANK) } else { text }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(before)) => before.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

fn read(found: &action::Action<'_>, whole: &str) -> Action {
    let trimmed = whole.starts_with("{{- ") || whole.ends_with(" -}}");
    let text = if trimmed { format!("{{{{ {} }}}}", found.inner) } else { whole.to_owned() };
    let is_control = matches!(
        found.keyword(),
        "if" | "else" | "end" | "range" | "with" | "define" | "block" | "template" | "break" | "continue"
    );
    let term = if is_control { None } else { printed(&text) };
    let mentions = mentions(&text);
    Action { text, term, mentions }
}

fn printed(text: &str) -> Option<Term> {
    let (body, _) = Parser::new(text, "{{", "}}").and_then(Parser::parse).ok()?;
    match body.nodes.as_slice() {
        [Node::Action(action)] if action.pipe.decl.is_empty() => Some(pipeline(&action.pipe)),
        _ => None,
    }
}

fn pipeline(pipe: &PipeNode) -> Term {
    let mut before: Option<Term> = None;
    for node in &pipe.commands {
        before = Some(command(node, before));
    }
    before.unwrap_or(Term::Other)
}

fn command(node: &CommandNode, piped: Option<Term>) -> Term {
    match node.args.as_slice() {
        [Expr::Identifier(_, name), rest @ ..] => Term::Call {
            name: name.to_string(),
            arguments: rest.iter().map(expression).chain(piped).collect(),
        },
        [one] if piped.is_none() => expression(one),
        _ => Term::Other,
    }
}

fn expression(expression: &Expr) -> Term {
    match expression {
        Expr::String(_, text) => Term::Text(text.to_string()),
        Expr::Number(_, Number::Int(n)) => Term::Number(n.to_string()),
        Expr::Number(_, Number::Uint(n)) => Term::Number(n.to_string()),
        Expr::Bool(_, b) => Term::Bool(*b),
        Expr::Identifier(_, name) => Term::Call { name: name.to_string(), arguments: Vec::new() },
        Expr::Field(_, names) if names.len() == 1 => Term::Field(names[0].to_string()),
        Expr::Pipe(_, pipe) if pipe.decl.is_empty() => pipeline(pipe),
        _ => Term::Other,
    }
}

/// The words outside of quotes that aren't fields or variables.
fn mentions(text: &str) -> Vec<Mention> {
    let bytes = text.as_bytes();
    let mut found: Vec<Mention> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'"' | b'\'' | b'`') => {
                let Some(end) = action::after_quote(bytes, at, quote) else { return found };
                let follows = found.last_mut().filter(|m| text[m.range.end..at].trim().is_empty());
                if let Some(mention) = follows.filter(|m| m.argument.is_none()) {
                    mention.argument = literal(&text[at..end]);
                    mention.range.end = end;
                }
                at = end;
            }
            b if b.is_ascii_alphabetic() || b == b'_' => {
                let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
                let end = at + bytes[at..].iter().take_while(|b| is_word(b)).count();
                if !matches!(bytes[at - 1], b'.' | b'$') {
                    let name = text[at..end].to_owned();
                    found.push(Mention { name, argument: None, range: at..end });
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    found
}

/// The value of a Go literal.
fn literal(text: &str) -> Option<String> {
    match printed(&format!("{{{{{text}}}}}")) {
        Some(Term::Text(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => format!("{text:?}"),
            Piece::Action(action) => match &action.term {
                Some(term) => term_text(term),
                None => action.text.clone(),
            },
        };
        outline(text).unwrap().iter().map(piece).collect::<Vec<_>>().join(" + ")
    }

    fn term_text(term: &Term) -> String {
        match term {
            Term::Text(text) => format!("{text:?}"),
            Term::Number(text) => text.clone(),
            Term::Bool(b) => b.to_string(),
            Term::Field(name) => format!(".{name}"),
            Term::Call { name, arguments } => {
                let arguments: Vec<_> = arguments.iter().map(term_text).collect();
                format!("{name}({})", arguments.join(", "))
            }
            Term::Other => "?".to_owned(),
        }
    }

    #[test]
    fn pieces_are_texts_and_what_actions_print() {
        let cases = [
            ("plain } {", r#""plain } {""#),
            ("a{{user `x`}}b", r#""a" + user("x") + "b""#),
            ("{{ user \"x\" | replace \"a\" \"b\" 1 | upper }}", r#"upper(replace("a", "b", 1, user("x")))"#),
            ("{{ upper (user `x`) }}{{ .Vars }}{{ .A.B }}{{ . }}", r#"upper(user("x")) + .Vars + ? + ?"#),
            ("a \n{{- isotime -}}\n b {{/* no */}}c", r#""a" + isotime() + "b c""#),
            (
                "{{ if eq build_type `x` }}y{{ else }}z{{ end }}",
                r#"{{ if eq build_type `x` }} + "y" + {{ else }} + "z" + {{ end }}"#,
            ),
            ("{{ $x := 1 }}{{ $x }}{{ true }}{{ 1.5 }}", "{{ $x := 1 }} + ? + true + ?"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert_eq!(outline(""), Ok(Vec::new()));
        for text in ["{{ unclosed", "{{ if true }}", "{{ don't }}", "{{ end }}"] {
            assert!(outline(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_that_may_name_functions_are_found_outside_of_quotes() {
        let pieces = outline("{{ if eq (user `a b`) \"user `no`\" }}{{ end }}").unwrap();
        let Piece::Action(action) = &pieces[0] else { panic!("an action") };
        let shown: Vec<_> = action
            .mentions
            .iter()
            .map(|m| (m.name.as_str(), m.argument.as_deref(), &action.text[m.range.clone()]))
            .collect();
        assert_eq!(shown, [("if", None, "if"), ("eq", None, "eq"), ("user", Some("a b"), "user `a b`")]);
    }
}
