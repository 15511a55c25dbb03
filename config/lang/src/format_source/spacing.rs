//! Which neighbours in a line have a space between them.

use super::token::{Kind, Token};

/// Sets the spaces between the tokens of a cell. What stands before its first is not touched.
pub(super) fn space(cell: &mut [Token<'_>]) {
    for i in 1..cell.len() {
        let before = i.checked_sub(2).map(|i| cell[i].kind);
        cell[i].spaces = usize::from(are_apart(before, &cell[i - 1], cell[i].kind));
    }
}

/// Whether a space stands between `token` and what comes `next`. `before` is what comes before `token` in its cell.
fn are_apart(before: Option<Kind>, token: &Token<'_>, next: Kind) -> bool {
    use Kind::{
        Bang, CloseBrace, CloseHeredoc, CloseQuote, CloseSequence, Comma, Dot, DoubleColon, Ellipsis, Minus,
        Name, Newline, Number, OpenBrace, OpenBracket, OpenHeredoc, OpenParenthesis, OpenQuote, OpenSequence,
        Text,
    };
    match (token.kind, next) {
        // No white space at the end of a line.
        (_, Newline) => false,
        // `f(x)`, `a::f`, `a.b`, `f(a, b...)`
        (Name, OpenParenthesis | DoubleColon) | (DoubleColon, Name) => false,
        (Dot, _) | (_, Dot | Comma | Ellipsis) => false,
        (Comma, _) => true,
        // Spaces in text are text.
        (Text | OpenQuote | OpenHeredoc, _) | (_, Text | CloseQuote | CloseHeredoc) => false,
        // `[for x in [y] : x]`, where `in[y]` would look like an index.
        (Name, _) if token.text == "in" && before == Some(Name) => true,
        // `a[0]`, `f(x)[0]`
        (Name | Number, OpenBracket) => false,
        (kind, OpenBracket) if kind.depth() < 0 => false,
        (Bang, _) => false,
        // `a - b`, but `(-b)`
        (Minus, _) => before.is_some_and(|before| !awaits_operand(before)),
        // `{ a = 1 }`, but `{}`
        (OpenBrace, CloseBrace) => false,
        (OpenBrace, _) | (_, CloseBrace) => true,
        // `${ { a = 1 } }`
        (OpenSequence, OpenBrace) | (CloseBrace, CloseSequence) => true,
        // `${a}${b}`
        (CloseSequence, OpenSequence) => false,
        // `(a)`, `[a]`, `${a}`
        (kind, next) => kind.depth() <= 0 && next.depth() >= 0,
    }
}

/// Whether a minus after it is a sign, not a subtraction.
fn awaits_operand(kind: Kind) -> bool {
    use Kind::{
        Bang, Colon, Comma, Equal, Minus, OpenBrace, OpenBracket, OpenParenthesis, Operator, Question,
    };
    matches!(
        kind,
        OpenParenthesis
            | OpenBrace
            | OpenBracket
            | Equal
            | Colon
            | Comma
            | Question
            | Operator
            | Minus
            | Bang
    )
}
