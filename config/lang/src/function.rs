//! What a function is, and the table that the evaluator looks them up in.
//!
//! The pure ones live in `function/`, one file per group; those that ask the world something (a file, the
//! clock, the environment) are added to a table by whoever may ask. `try` and `can` are not here: they are
//! special forms of the evaluator, because their arguments may fail.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::scope::Allowance;
use crate::types::Type;
use crate::value::Value;

pub use template_file::template_file;

mod argument;
mod collection;
mod csv;
mod encoding;
mod format;
pub mod hash;
mod json;
mod mapping;
mod network;
mod numeric;
mod path;
mod pattern;
mod sequence;
mod set;
mod template_file;
pub(crate) mod text;
pub mod time;
mod yaml;

/// The functions that depend on their arguments alone, as Packer 1.16 has them (cty 1.13). Those that need the
/// clock or chance are made by [`time::legacy_isotime`], [`time::legacy_strftime`] and [`hash::bcrypt`].
pub fn pure() -> Functions {
    static PURE: LazyLock<Functions> = LazyLock::new(|| {
        let groups = [
            numeric::functions(),
            text::functions(),
            format::functions(),
            pattern::functions(),
            collection::functions(),
            sequence::functions(),
            mapping::functions(),
            set::functions(),
            encoding::functions(),
            json::functions(),
            csv::functions(),
            yaml::functions(),
            time::functions(),
            hash::functions(),
            network::functions(),
            path::functions(),
        ];
        groups.into_iter().flatten().map(argument::discreet).fold(Functions::none(), Functions::with)
    });
    PURE.clone()
}

/// The functions that can be called without a world to ask: the pure ones, and those halves of others that only need what
/// their first halves carry ([`Function::carrying`]).
pub fn carried() -> Functions {
    pure().with(template_file::carried(pure()))
}

/// One parameter. The evaluator converts arguments to `ty` before the call; a conversion failure names it.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name in messages.
    pub name: &'static str,
    /// What arguments are converted to; `Any` leaves them alone.
    pub ty: Type,
    /// Whether null may be passed; otherwise null is an error.
    pub allow_null: bool,
    /// Whether the function handles unknown arguments itself; otherwise one makes the whole result unknown.
    /// An argument that is known but has unknown parts reaches the function in any case.
    pub allow_unknown: bool,
}

impl Parameter {
    /// A parameter that takes known values that aren't null.
    pub fn new(name: &'static str, ty: Type) -> Self {
        Self { name, ty, allow_null: false, allow_unknown: false }
    }

    /// The same, taking null too.
    #[must_use]
    pub fn nullable(self) -> Self {
        Self { allow_null: true, ..self }
    }

    /// The same, taking unknown values too.
    #[must_use]
    pub fn unknowable(self) -> Self {
        Self { allow_unknown: true, ..self }
    }
}

/// Why a call failed. The text is a sentence that can follow "invalid value for …" or stand alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FunctionError {
    /// The argument at fault (from 0), if it is one.
    pub argument: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl FunctionError {
    /// A failure of the call as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self { argument: None, message: message.into() }
    }

    /// A failure that one argument is to blame for.
    pub fn argument(index: usize, message: impl Into<String>) -> Self {
        Self { argument: Some(index), message: message.into() }
    }
}

/// The body of a function. Sensitive marks are handled around it: a result is marked when any argument
/// contains a mark.
pub type Body = dyn Fn(&[Value]) -> Result<Value, FunctionError> + Send + Sync;

/// A function that templates can call.
#[derive(Clone)]
pub struct Function {
    /// What templates call it.
    pub name: &'static str,
    /// Its positional parameters.
    pub parameters: Vec<Parameter>,
    /// The parameter that takes any further arguments.
    pub rest: Option<Parameter>,
    /// How many of the trailing `parameters` may be left out.
    pub optional: usize,
    /// The type of its results when they can't be known yet.
    pub returns: Type,
    /// What it does.
    pub body: Arc<Body>,
    /// What a call costs beyond reading its arguments and making its result, in steps of an evaluation's budget.
    pub work: Option<Work>,
    /// What becomes of the first argument when a call has to wait for the build.
    pub carry: Option<Arc<Carry>>,
}

/// Turns a first argument into one that the function's other half in [`carried`] takes, while the world can be asked.
pub type Carry = dyn Fn(&Value) -> Result<Value, FunctionError> + Send + Sync;

/// The cost of a call, told from its arguments before it is made.
pub type Work = fn(&[Value]) -> u64;

impl Function {
    /// A function of fixed arity.
    pub fn new(
        name: &'static str,
        parameters: impl Into<Vec<Parameter>>,
        returns: Type,
        body: impl Fn(&[Value]) -> Result<Value, FunctionError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            parameters: parameters.into(),
            rest: None,
            optional: 0,
            returns,
            body: Arc::new(body),
            work: None,
            carry: None,
        }
    }

    /// The same, taking any number of further arguments.
    #[must_use]
    pub fn variadic(self, rest: Parameter) -> Self {
        Self { rest: Some(rest), ..self }
    }

    /// The same, whose calls cost as much as `work` says.
    #[must_use]
    pub fn costing(self, work: Work) -> Self {
        Self { work: Some(work), ..self }
    }

    /// The same, which can be called in the midst of the build too: with what `carry` makes of its first argument.
    #[must_use]
    pub fn carrying(
        self,
        carry: impl Fn(&Value) -> Result<Value, FunctionError> + Send + Sync + 'static,
    ) -> Self {
        Self { carry: Some(Arc::new(carry)), ..self }
    }

    /// The same, with the last `count` parameters optional.
    #[must_use]
    pub fn optional(self, count: usize) -> Self {
        Self { optional: count, ..self }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("name", &self.name)
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

/// The functions that an expression may call.
#[derive(Clone, Debug, Default)]
pub struct Functions {
    // Shared, because every scope holds the table.
    table: Arc<BTreeMap<&'static str, Function>>,
    allowance: Option<Allowance>,
}

impl Functions {
    /// No functions at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds one; a later one of the same name replaces the earlier.
    #[must_use]
    pub fn with(mut self, function: Function) -> Self {
        Arc::make_mut(&mut self.table).insert(function.name, function);
        self
    }

    /// Adds several.
    #[must_use]
    pub fn with_all(self, functions: impl IntoIterator<Item = Function>) -> Self {
        functions.into_iter().fold(self, Self::with)
    }

    /// The same functions, whose every use draws on this allowance.
    #[must_use]
    pub fn with_allowance(self, allowance: Allowance) -> Self {
        Self { allowance: Some(allowance), ..self }
    }

    /// What their use draws on, besides the limits of each evaluation.
    pub fn allowance(&self) -> Option<&Allowance> {
        self.allowance.as_ref()
    }

    /// The function of that name.
    pub fn get(&self, name: &str) -> Option<&Function> {
        self.table.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.table.keys().copied()
    }
}

#[cfg(test)]
mod tests;
