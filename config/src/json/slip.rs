//! What people write although it isn't JSON: comments, a comma too many or too few, single quotes, names without
//! quotes. Found all at once, each with its place and what to do, so that nobody mends them one by one.

use jsonc_parser::ast;
use jsonc_parser::tokens::{Token, TokenAndRange};
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};

/// A slip, and the bytes it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slip {
    pub(super) start: usize,
    pub(super) end: usize,
    /// What is wrong.
    pub(super) message: &'static str,
    /// What to do.
    pub(super) hint: &'static str,
}

/// The text read as its writer meant it, with every slip in order; `None` when it can't be told what was meant.
pub(super) fn lenient(text: &str) -> Option<(ast::Value<'_>, Vec<Slip>)> {
    let collect = CollectOptions { comments: CommentCollectionStrategy::AsTokens, tokens: true };
    let options = ParseOptions {
        allow_comments: true,
        allow_loose_object_property_names: true,
        allow_trailing_commas: true,
        allow_missing_commas: true,
        allow_single_quoted_strings: true,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &collect, &options).ok()?;
    let slips = slips(text, &parsed.tokens?);
    Some((parsed.value?, slips)).filter(|(_, slips)| !slips.is_empty())
}

fn slips(text: &str, tokens: &[TokenAndRange<'_>]) -> Vec<Slip> {
    let mut slips = Vec::new();
    let mut before: Option<&TokenAndRange<'_>> = None;
    for token in tokens {
        let slip = |message, hint| Slip { start: token.range.start, end: token.range.end, message, hint };
        match &token.token {
            Token::CommentLine(_) | Token::CommentBlock(_) => {
                let hint =
                    "put it into a text under a key of the root that begins with _, such as \"_comment\"";
                slips.push(slip("JSON has no comments", hint));
                continue;
            }
            Token::String(_) if text[token.range.start..].starts_with('\'') => {
                slips.push(slip("a text stands between double quotes", "write \"…\" instead of '…'"));
            }
            Token::Word(_) => slips.push(slip("a key stands between double quotes", "write \"…\" around it")),
            _ => {}
        }
        if let Some(before) = before {
            slips.extend(between(before, token));
        }
        before = Some(token);
    }
    slips.sort_by_key(|slip| slip.start);
    slips
}

/// What is wrong with the comma between two tokens.
fn between(before: &TokenAndRange<'_>, token: &TokenAndRange<'_>) -> Option<Slip> {
    let closes = matches!(token.token, Token::CloseBrace | Token::CloseBracket);
    let ends_value =
        !matches!(before.token, Token::OpenBrace | Token::OpenBracket | Token::Comma | Token::Colon);
    let begins_value = !closes && !matches!(token.token, Token::Comma | Token::Colon);
    if before.token == Token::Comma && closes {
        let (start, end) = (before.range.start, before.range.end);
        return Some(Slip {
            start,
            end,
            message: "a comma stands before the end",
            hint: "take the comma away",
        });
    }
    (ends_value && begins_value).then(|| {
        let (start, end) = (token.range.start, token.range.end);
        Slip { start, end, message: "a comma is missing before this", hint: "write a comma between the two" }
    })
}
