//! The expression language of templates, and nothing about images.
//!
//! Text becomes a syntax tree with spans; a tree and a scope become a [`value::Value`]. Values carry two
//! marks: *unknown* (not known before the build runs) and *sensitive* (never shown). What can't be known
//! yet is kept as a [`deferred::Deferred`] expression and finished on the agent.
//!
//! Deliberately absent: files, clocks, environment, network, async, and any word about builders or builds.
//! Functions that ask the world something are given to the evaluator by its caller.

pub mod convert;
pub mod decode;
pub mod deferred;
pub mod diagnostic;
pub mod duration;
pub mod evaluate;
pub mod format_source;
pub mod format_value;
pub mod function;
pub mod go_template;
pub mod json_text;
pub mod parse;
pub mod scope;
pub mod span;
pub mod syntax;
pub mod type_expression;
pub mod types;
pub mod value;

pub use deferred::{Deferred, Reduced, reduce};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use evaluate::evaluate;
pub use function::{Function, Functions};
pub use scope::Scope;
pub use span::{SourceFile, SourceMap, Span};
pub use types::Type;
pub use value::Value;
