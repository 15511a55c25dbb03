//! The parts of templates: strip markers, heredoc indentation, directives.
//!
//! The rules work on the language's own tokens: a quoted run or one line of a heredoc is one literal. A strip
//! marker removes all white space of the literal token next to it and no more; `<<-` then removes the
//! smallest indentation among lines that aren't blank. The parser crate's literals are cut into such tokens,
//! the rules applied, and the directives folded into a tree again.

use std::ops::Range;

use hcl_edit::Span as _;
use hcl_edit::template as hcl;
use unicode_segmentation::UnicodeSegmentation;

use super::tree::Tree;
use crate::span::Span;
use crate::syntax::{Expression, ExpressionKind, TemplatePart};
use crate::value::Value;

/// One token of a template, before directives are folded.
#[derive(Debug)]
enum Token {
    Literal { text: String, span: Span },
    Sequence { sequence: Sequence, strip: hcl::Strip },
}

/// What stands between `${` or `%{` and `}`.
#[derive(Debug)]
enum Sequence {
    Interpolation(Expression),
    If { condition: Expression, span: Span },
    Else,
    EndIf,
    For { names: (Option<String>, String), collection: Expression, span: Span },
    EndFor,
}

/// The expression that a whole template is: a literal if it has but one literal part.
pub(super) fn whole(mut parts: Vec<TemplatePart>) -> ExpressionKind {
    match parts.as_mut_slice() {
        [] => ExpressionKind::Literal(Value::string("")),
        [TemplatePart::Literal { text, .. }] => ExpressionKind::Literal(Value::string(std::mem::take(text))),
        _ => ExpressionKind::Template(parts),
    }
}

impl Tree<'_> {
    /// The parts of a quoted or bare template. `lines`: whether each line is a token of its own.
    pub(super) fn template_parts(&mut self, template: &hcl::Template, lines: bool) -> Vec<TemplatePart> {
        let mut tokens = Vec::new();
        self.flatten(template, lines, &mut tokens);
        trim(&mut tokens);
        fold(tokens)
    }

    /// The parts of a heredoc; `indented` when it was opened with `<<-`.
    pub(super) fn heredoc_parts(&mut self, template: &hcl::Template, indented: bool) -> Vec<TemplatePart> {
        let mut tokens = Vec::new();
        self.flatten(template, true, &mut tokens);
        trim(&mut tokens);
        if indented {
            unindent(&mut tokens);
        }
        fold(tokens)
    }

    pub(super) fn is_indented_heredoc(&self, range: Option<Range<usize>>) -> bool {
        range.and_then(|range| self.text.get(range)).is_some_and(|text| text.starts_with("<<-"))
    }

    fn flatten(&mut self, template: &hcl::Template, lines: bool, tokens: &mut Vec<Token>) {
        for element in template {
            match element {
                hcl::Element::Literal(literal) => self.literal(literal, lines, tokens),
                hcl::Element::Interpolation(interpolation) => {
                    let around = self.range_or_start(interpolation.span());
                    let expression = self.expression(&interpolation.expr, &around);
                    let sequence = Sequence::Interpolation(expression);
                    tokens.push(Token::Sequence { sequence, strip: interpolation.strip });
                }
                hcl::Element::Directive(directive) => {
                    let around = self.range_or_start(element.span());
                    match &**directive {
                        hcl::Directive::If(directive) => {
                            self.flatten_if(directive, lines, &around, tokens);
                        }
                        hcl::Directive::For(directive) => {
                            self.flatten_for(directive, lines, &around, tokens);
                        }
                    }
                }
            }
        }
    }

    fn range_or_start(&self, range: Option<Range<usize>>) -> Span {
        self.span(range.unwrap_or(0..0))
    }

    fn flatten_if(
        &mut self,
        directive: &hcl::IfDirective,
        lines: bool,
        around: &Span,
        tokens: &mut Vec<Token>,
    ) {
        let condition = self.expression(&directive.if_expr.cond_expr, around);
        let open = Sequence::If { condition, span: around.clone() };
        tokens.push(Token::Sequence { sequence: open, strip: directive.if_expr.strip });
        self.flatten(&directive.if_expr.template, lines, tokens);
        if let Some(otherwise) = &directive.else_expr {
            tokens.push(Token::Sequence { sequence: Sequence::Else, strip: otherwise.strip });
            self.flatten(&otherwise.template, lines, tokens);
        }
        tokens.push(Token::Sequence { sequence: Sequence::EndIf, strip: directive.endif_expr.strip });
    }

    fn flatten_for(
        &mut self,
        directive: &hcl::ForDirective,
        lines: bool,
        around: &Span,
        tokens: &mut Vec<Token>,
    ) {
        let head = &directive.for_expr;
        let open = Sequence::For {
            names: (
                head.key_var.as_ref().map(|name| name.as_str().to_owned()),
                head.value_var.as_str().to_owned(),
            ),
            collection: self.expression(&head.collection_expr, around),
            span: around.clone(),
        };
        tokens.push(Token::Sequence { sequence: open, strip: head.strip });
        self.flatten(&head.template, lines, tokens);
        tokens.push(Token::Sequence { sequence: Sequence::EndFor, strip: directive.endfor_expr.strip });
    }

    fn literal(&mut self, literal: &hcl_edit::Spanned<String>, lines: bool, tokens: &mut Vec<Token>) {
        let Some(range) = literal.span() else { return };
        if !lines {
            tokens.push(Token::Literal { text: literal.value().clone(), span: self.span(range) });
            return;
        }
        let raw = self.text.get(range.clone()).unwrap_or_default();
        let mut start = range.start;
        for line in raw.split_inclusive('\n') {
            let text = line.replace("$${", "${").replace("%%{", "%{");
            tokens.push(Token::Literal { text, span: self.span(start..start + line.len()) });
            start += line.len();
        }
    }
}

/// Applies `~`: to the literal right before and right after.
fn trim(tokens: &mut [Token]) {
    for i in 0..tokens.len() {
        let Token::Sequence { strip, .. } = &tokens[i] else { continue };
        let strip = *strip;
        if strip.strip_start()
            && let Some(Token::Literal { text, .. }) = i.checked_sub(1).and_then(|p| tokens.get_mut(p))
        {
            text.truncate(text.trim_end().len());
        }
        if strip.strip_end()
            && let Some(Token::Literal { text, .. }) = tokens.get_mut(i + 1)
        {
            text.drain(..text.len() - text.trim_start().len());
        }
    }
}

/// Removes the indentation that all lines share, counted in characters as people see them.
fn unindent(tokens: &mut [Token]) {
    let mut smallest = usize::MAX;
    let mut starts = Vec::new();
    let mut at_line_start = true;
    for (i, token) in tokens.iter().enumerate() {
        let literal = match token {
            Token::Literal { text, .. } => Some(text.as_str()),
            Token::Sequence { .. } => None,
        };
        if at_line_start {
            let text = literal.unwrap_or("");
            let space = text.len() - text.trim_start().len();
            let blank = space == text.len() && text.ends_with('\n');
            if !blank {
                smallest = smallest.min(text[..space].graphemes(true).count());
                starts.push(i);
            }
        }
        at_line_start = literal.is_some_and(|text| text.ends_with('\n'));
    }
    for i in starts {
        if let Token::Literal { text, .. } = &mut tokens[i] {
            let bytes: usize = text.graphemes(true).take(smallest).map(str::len).sum();
            text.drain(..bytes);
        }
    }
}

/// A directive that is still open while tokens are folded.
enum Open {
    If { condition: Expression, span: Span, then: Option<Vec<TemplatePart>> },
    For { names: (Option<String>, String), collection: Expression, span: Span },
}

fn fold(tokens: Vec<Token>) -> Vec<TemplatePart> {
    let mut parts: Vec<TemplatePart> = Vec::new();
    let mut open: Vec<(Open, Vec<TemplatePart>)> = Vec::new();
    for token in tokens {
        match token {
            Token::Literal { text, span } => push_literal(&mut parts, text, span),
            Token::Sequence { sequence, .. } => match sequence {
                Sequence::Interpolation(expression) => parts.push(TemplatePart::Interpolation(expression)),
                Sequence::If { condition, span } => {
                    open.push((Open::If { condition, span, then: None }, std::mem::take(&mut parts)));
                }
                Sequence::For { names, collection, span } => {
                    open.push((Open::For { names, collection, span }, std::mem::take(&mut parts)));
                }
                Sequence::Else => {
                    if let Some((Open::If { then, .. }, _)) = open.last_mut() {
                        *then = Some(std::mem::take(&mut parts));
                    }
                }
                Sequence::EndIf | Sequence::EndFor => close(&mut open, &mut parts),
            },
        }
    }
    while !open.is_empty() {
        close(&mut open, &mut parts);
    }
    parts
}

fn close(open: &mut Vec<(Open, Vec<TemplatePart>)>, parts: &mut Vec<TemplatePart>) {
    let Some((directive, before)) = open.pop() else { return };
    let inner = std::mem::replace(parts, before);
    parts.push(match directive {
        Open::If { condition, span, then: Some(then) } => {
            TemplatePart::If { condition, then, otherwise: inner, span }
        }
        Open::If { condition, span, then: None } => {
            TemplatePart::If { condition, then: inner, otherwise: Vec::new(), span }
        }
        Open::For { names: (key_variable, value_variable), collection, span } => {
            TemplatePart::For { key_variable, value_variable, collection, body: inner, span }
        }
    });
}

/// Adds a literal, joining it to one right before it.
fn push_literal(parts: &mut Vec<TemplatePart>, text: String, span: Span) {
    match parts.last_mut() {
        Some(TemplatePart::Literal { text: before, span: place }) => {
            before.push_str(&text);
            *place = place.to(&span);
        }
        _ => parts.push(TemplatePart::Literal { text, span }),
    }
}
