//! Expressions that can't be evaluated yet, because they ask for what only the build will tell.
//!
//! ```text
//!  expression ──reduce──► Value                       nothing in it waits for the build
//!                  └────► Deferred ──wire──► finish ──► Value
//! ```
//!
//! Reducing evaluates every part that doesn't wait, as large as possible, and leaves its value in the tree, so
//! that the agent needs neither the template's variables nor its files. A part that fails leaves its error: it
//! counts only if the whole turns out to need it (`try`, the arm of a conditional). For any values of the
//! names that were waited for, finishing yields what evaluating at once would have yielded.

mod reduce;
#[cfg(test)]
mod tests;
mod waiting;

use serde::{Deserialize, Serialize};

use self::waiting::Waiting;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::evaluate::evaluate;
use crate::scope::Scope;
use crate::span::Span;
use crate::syntax::{Expression, Reference};
use crate::types::Type;
use crate::value::Value;

/// The version of the serialised form.
pub const FORMAT: u32 = 1;

/// Deferred expressions may nest this deep. Each level costs several levels of the serialised form, and
/// readers of that form have a limit of their own (128 in `serde_json`).
const DEEPEST: usize = 22;

/// What became of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reduced {
    /// It could be evaluated.
    Value(Value),
    /// It waits.
    Deferred(Deferred),
}

/// An expression that waits for values that only the build has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferred {
    /// The version of this form: [`FORMAT`].
    pub format: u32,
    /// What is left to evaluate.
    pub expression: Expression,
    /// Where the whole stands in the template.
    pub span: Span,
}

/// Evaluates what can be evaluated now. `runtime` lists the names that only the build has: roots such as
/// `build`, or a root and an attribute such as `local.x` for a local that is deferred itself. When the scope
/// has a value for such a root, that stands in for it in checking, so that its attributes can be checked;
/// otherwise an unknown value does.
///
/// # Errors
/// Every error that can be known now: those of the whole expression when the names of `runtime` are unknown.
pub fn reduce(expression: &Expression, scope: &Scope, runtime: &[&str]) -> Result<Reduced, Diagnostics> {
    let mut checked = scope.clone();
    for name in runtime {
        let root = name.split('.').next().unwrap_or(name);
        if checked.get(root).is_none() {
            checked = checked.with(root, Value::unknown(Type::Any));
        }
    }
    let value = evaluate(expression, &checked)?;
    let waiting = Waiting::new(runtime);
    if !waiting.concerns(expression) {
        return Ok(Reduced::Value(value));
    }
    let span = expression.span.clone();
    let expression = reduce::remains(expression, scope, &waiting);
    if reduce::depth(&expression) > DEEPEST {
        let detail =
            format!("An expression that waits for the build can be nested at most {DEEPEST} levels deep.");
        return Err(Diagnostic::error("Nesting too deep", detail)
            .at(span)
            .hint("move a part that doesn't wait for the build to a local")
            .into());
    }
    Ok(Reduced::Deferred(Deferred { format: FORMAT, expression, span }))
}

impl Deferred {
    /// Evaluates the rest. The scope needs the names that were waited for, and the same functions.
    ///
    /// # Errors
    /// What is wrong with the rest, or a version of the form that this program doesn't know.
    pub fn finish(&self, scope: &Scope) -> Result<Value, Diagnostics> {
        if self.format != FORMAT {
            let detail =
                format!("The expression has format {}, this program knows format {FORMAT}.", self.format);
            return Err(Diagnostic::error("Unknown format of a deferred expression", detail)
                .at(self.span.clone())
                .hint("run the same version on the coordinator and on its agents")
                .into());
        }
        evaluate(&self.expression, scope)
    }

    /// The names that are left in it; variables of its own `for` expressions among them.
    pub fn references(&self) -> Vec<Reference> {
        self.expression.references()
    }
}
