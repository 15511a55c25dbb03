//! What an expression can see: names, functions, and how much work it may cause.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

    /// How much work one evaluation may cause: its own limit, or what is left of the template's allowance.
    pub fn budget(&self) -> Budget {
        let Some(left) = self.functions.allowance().map(Allowance::left) else { return self.budget };
        Budget { steps: self.budget.steps.min(left.steps), bytes: self.budget.bytes.min(left.bytes) }
    }

    /// Takes steps for work outside of expressions that a template causes; false when there are not enough left.
    pub fn charge(&self, steps: u64) -> bool {
        let enough = self.budget().steps >= steps;
        self.spent(Budget { steps, bytes: 0 });
        enough
    }

    /// Takes what an evaluation used.
    pub(crate) fn spent(&self, used: Budget) {
        if let Some(allowance) = self.functions.allowance() {
            allowance.take(used);
        }
    }
}

/// How much work all evaluations that share it may cause together. Every set of functions made for one template
/// carries one, and every scope made with those functions draws on it.
#[derive(Clone, Debug)]
pub struct Allowance {
    left: Arc<[AtomicU64; 2]>,
}

impl Allowance {
    /// One of this size.
    pub fn new(budget: Budget) -> Self {
        Self { left: Arc::new([AtomicU64::new(budget.steps), AtomicU64::new(budget.bytes)]) }
    }

    /// What is left.
    pub fn left(&self) -> Budget {
        let [steps, bytes] = &*self.left;
        Budget { steps: steps.load(Ordering::Relaxed), bytes: bytes.load(Ordering::Relaxed) }
    }

    /// Takes what was used; what is not there counts as gone.
    pub fn take(&self, used: Budget) {
        for (left, used) in self.left.iter().zip([used.steps, used.bytes]) {
            // The closure never declines.
            let _ = left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(used)));
        }
    }
}

impl Default for Allowance {
    /// What a whole template may cost: 8 million steps, 512 MiB of text.
    fn default() -> Self {
        Self::new(Budget { steps: 8_000_000, bytes: 512 << 20 })
    }
}

/// How much work one evaluation may cause, so that no template can hang its reader or eat its memory. The
/// defaults are far above what templates need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Expressions evaluated, values copied, and 64 bytes of text read by a function or a comparison. Default
    /// 2 million, some seconds at most.
    pub steps: u64,
    /// Bytes of text produced, keys included. Default 64 MiB.
    pub bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: 2_000_000, bytes: 64 << 20 }
    }
}
