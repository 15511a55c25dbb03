//! The syntax tree: what a template's text says, with the place of every part.
//!
//! The tree is ours, not the parser crate's, because it outlives the text: expressions that wait for the
//! build are serialised and sent to agents. Parsing makes it ([`crate::parse`]), evaluation reads it
//! ([`crate::evaluate`]); nothing here judges what names mean.

mod references;

use serde::{Deserialize, Serialize};

pub use self::references::{Reference, ReferenceStep};
use crate::diagnostic::Diagnostics;
use crate::span::Span;
use crate::value::Value;

/// The arguments and blocks between two braces, or of a whole file. Each list is in source order; the order
/// between the lists follows from the spans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// `name = expression`
    pub attributes: Vec<Attribute>,
    /// `kind "label" { … }`
    pub blocks: Vec<Block>,
    /// From the first to the last byte between the braces, or of the file.
    pub span: Span,
}

impl Body {
    /// A body without content.
    pub fn empty(span: Span) -> Self {
        Self { attributes: Vec::new(), blocks: Vec::new(), span }
    }

    /// The argument of that name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// The blocks of that kind, in source order.
    pub fn blocks_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Block> {
        self.blocks.iter().filter(move |b| b.kind == kind)
    }
}

/// `name = expression`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// The name before the `=`.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// What it is set to.
    pub expression: Expression,
    /// Name and expression.
    pub span: Span,
}

/// `kind "label" { … }`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The first word.
    pub kind: String,
    /// Where the first word stands.
    pub kind_span: Span,
    /// The words or quoted texts between kind and brace.
    pub labels: Vec<Label>,
    /// What the braces enclose.
    pub body: Body,
    /// Kind and labels, without the brace.
    pub header: Span,
    /// The whole block with its braces.
    pub span: Span,
}

impl Block {
    /// The header as diagnostics name it: `variable "x"`.
    pub fn header_text(&self) -> String {
        let mut text = self.kind.clone();
        for label in &self.labels {
            text.push_str(&format!(" {:?}", label.text));
        }
        text
    }
}

/// One label of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Its text, without quotes.
    pub text: String,
    /// Where it stands, with its quotes.
    pub span: Span,
}

/// An expression and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expression {
    /// What it is.
    pub kind: ExpressionKind,
    /// Where it stands.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpressionKind {
    /// A value as such: a number, a keyword, text without parts, or what an earlier evaluation left.
    Literal(Value),
    /// Text with parts. A lone interpolation yields its value unconverted.
    Template(Vec<TemplatePart>),
    /// `[a, b]`
    Tuple(Vec<Expression>),
    /// `{ a = b }`
    Object(Vec<ObjectItem>),
    /// A name: `var`
    Variable(String),
    /// `root.attribute[index].*`
    Traversal {
        /// What the steps start from.
        root: Box<Expression>,
        /// At least one.
        steps: Vec<Step>,
    },
    /// `name(arguments…)`
    Call(Call),
    /// `[for …]` or `{for …}`
    For(Box<For>),
    /// `condition ? then : otherwise`
    Conditional(Box<Conditional>),
    /// `-x` or `!x`
    Unary {
        /// Which.
        operator: UnaryOperator,
        /// What it applies to.
        operand: Box<Expression>,
    },
    /// `left operator right`
    Binary {
        /// Which.
        operator: BinaryOperator,
        /// Before it.
        left: Box<Expression>,
        /// After it.
        right: Box<Expression>,
    },
    /// `(inner)`
    Parentheses(Box<Expression>),
    /// Evaluation was tried ahead of time and failed; whoever needs the value gets these diagnostics. Only
    /// [`crate::deferred`] makes it.
    Failed(Diagnostics),
}

/// A part of a template. Strip markers and heredoc indentation have been applied to the literals already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplatePart {
    /// Text.
    Literal {
        /// After escapes and trimming.
        text: String,
        /// Where it stands.
        span: Span,
    },
    /// `${expression}`
    Interpolation(Expression),
    /// `%{if condition}…%{else}…%{endif}`
    If {
        /// Decides.
        condition: Expression,
        /// When true.
        then: Vec<TemplatePart>,
        /// When false.
        otherwise: Vec<TemplatePart>,
        /// The opening directive.
        span: Span,
    },
    /// `%{for key, value in collection}…%{endfor}`
    For {
        /// The name for keys or indices.
        key_variable: Option<String>,
        /// The name for values.
        value_variable: String,
        /// What is iterated over.
        collection: Expression,
        /// Repeated.
        body: Vec<TemplatePart>,
        /// The opening directive.
        span: Span,
    },
}

impl TemplatePart {
    /// Where it stands.
    pub fn span(&self) -> &Span {
        match self {
            TemplatePart::Literal { span, .. }
            | TemplatePart::If { span, .. }
            | TemplatePart::For { span, .. } => span,
            TemplatePart::Interpolation(expression) => &expression.span,
        }
    }
}

/// One `key = value` of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectItem {
    /// What stands before the `=` or `:`.
    pub key: ObjectKey,
    /// What stands after it.
    pub value: Expression,
}

/// The key of an object's item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKey {
    /// A bare word, taken as text.
    Name {
        /// The word.
        text: String,
        /// Where it stands.
        span: Span,
    },
    /// Anything else.
    Expression(Expression),
}

impl ObjectKey {
    /// Where it stands.
    pub fn span(&self) -> &Span {
        match self {
            ObjectKey::Name { span, .. } => span,
            ObjectKey::Expression(expression) => &expression.span,
        }
    }
}

/// One step of a traversal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// `.name`
    Attribute {
        /// The name.
        name: String,
        /// With the dot.
        span: Span,
    },
    /// `[key]`, or `.0`
    Index {
        /// Which member.
        key: Expression,
        /// With the brackets or the dot.
        span: Span,
    },
    /// `[*]` or `.*`: the steps that apply to each member.
    Splat {
        /// Those of the following steps that belong to it: all after `[*]`, attributes only after `.*`.
        each: Vec<Step>,
        /// The marker.
        span: Span,
    },
}

impl Step {
    /// Where it stands.
    pub fn span(&self) -> &Span {
        match self {
            Step::Attribute { span, .. } | Step::Index { span, .. } | Step::Splat { span, .. } => span,
        }
    }
}

/// A function call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The name, with its namespaces: `f`, `ns::f`.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// In order.
    pub arguments: Vec<Expression>,
    /// Whether the last argument is followed by `...`.
    pub expand: bool,
}

/// A for-expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct For {
    /// The name for keys or indices.
    pub key_variable: Option<String>,
    /// The name for values.
    pub value_variable: String,
    /// What is iterated over.
    pub collection: Expression,
    /// The key of each item: makes an object, without one a tuple.
    pub key: Option<Expression>,
    /// The value of each item.
    pub value: Expression,
    /// Whether `...` collects the values of one key.
    pub group: bool,
    /// Which items to take.
    pub condition: Option<Expression>,
}

/// `condition ? then : otherwise`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditional {
    /// Decides.
    pub condition: Expression,
    /// When true.
    pub then: Expression,
    /// When false.
    pub otherwise: Expression,
}

/// An operator before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnaryOperator {
    /// `-`
    Negate,
    /// `!`
    Not,
}

/// An operator between its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BinaryOperator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `&&`
    And,
    /// `||`
    Or,
}

impl Expression {
    /// An expression of that kind.
    pub fn new(kind: ExpressionKind, span: Span) -> Self {
        Self { kind, span }
    }

    /// A value as such.
    pub fn literal(value: Value, span: Span) -> Self {
        Self { kind: ExpressionKind::Literal(value), span }
    }

    /// Where it stands.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The value of a literal, if it is one.
    pub fn as_literal(&self) -> Option<&Value> {
        match &self.kind {
            ExpressionKind::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// The lone bare word that it is, if it is one: `string`, `any`, `null`.
    pub fn keyword(&self) -> Option<&str> {
        match &self.kind {
            ExpressionKind::Variable(name) => Some(name),
            _ => None,
        }
    }

    /// Every name that it refers to, wherever it stands: in dead branches too, and even where a `for`
    /// variable hides it. In the order of the text.
    pub fn references(&self) -> Vec<Reference> {
        references::of(self)
    }
}

/// Whether a word can name a variable: letters, digits, `_` and `-`, starting with a letter or `_`.
pub fn is_identifier(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && letters.all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}
