//! What an expression can see: names, functions, and how much work it may cause.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::function::Functions;
use crate::value::Value;

/// The names and functions that an expression may use. Cheap to clone, so that a scope with one name more can
/// be made from another.
#[derive(Clone, Debug)]
pub struct Scope {
    variables: BTreeMap<String, Arc<Value>>,
    functions: Functions,
    special_forms: bool,
    budget: Budget,
}

impl Scope {
    /// A scope without names, with these functions and the special forms `try`, `can` and `convert`.
    pub fn new(functions: &Functions) -> Self {
        Self {
            variables: BTreeMap::new(),
            functions: functions.clone(),
            special_forms: true,
            budget: Budget::default(),
        }
    }

    /// A scope without names and functions: for variable files and other places where only values may stand.
    pub fn literals_only() -> Self {
        Self::new(&Functions::none()).without_special_forms()
    }

    /// The same scope with one name more; it replaces an earlier one.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: Value) -> Self {
        self.variables.insert(name.into(), Arc::new(value));
        self
    }

    /// The same scope without that name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// The same scope without `try`, `can` and `convert`, as in the defaults of variables.
    #[must_use]
    pub fn without_special_forms(self) -> Self {
        Self { special_forms: false, ..self }
    }

    /// The same scope with another limit of work.
    #[must_use]
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.variables.get(name).map(|value| &**value)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// The functions.
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// Whether `try`, `can` and `convert` may be used.
    pub fn has_special_forms(&self) -> bool {
        self.special_forms
    }

    /// How much work one evaluation may cause.
    pub fn budget(&self) -> Budget {
        self.budget
    }
}

/// How much work one evaluation may cause, so that no template can hang its reader or eat its memory. The
/// defaults are far above what templates need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Expressions evaluated and values copied. Default 2 million, some seconds at most.
    pub steps: u64,
    /// Bytes of text produced. Default 64 MiB.
    pub bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: 2_000_000, bytes: 64 << 20 }
    }
}
