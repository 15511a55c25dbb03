//! A provisioner: changes the guest, or does something beside it while it is up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use kiln_lang::Value;
use kiln_plan::Failure;

use crate::communicator::Communicator;
use crate::context::TaskContext;

/// What a builder tells of its guest: the values behind `build.*` and `{{build}}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GeneratedData {
    /// `ID`, `Host`, `Port`, `User`, `Password`, `ConnType`, `PackerHTTPAddr`, … Secrets among them carry the
    /// sensitive mark.
    pub values: BTreeMap<String, Value>,
}

impl GeneratedData {
    /// Adds or replaces one value.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// A value as text; `None` when it isn't there.
    pub fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).and_then(kiln_lang::convert::primitive_text)
    }
}

/// What a provisioner works with.
#[derive(Clone, Debug)]
pub struct ProvisionContext<'a> {
    /// The task it is part of. `task.cancel` also fires when the provisioner's own timeout expires.
    pub task: &'a TaskContext,
    /// The way to the guest.
    pub communicator: Arc<dyn Communicator>,
    /// What is known of the guest.
    pub generated: &'a GeneratedData,
}

/// Changes a guest.
#[async_trait]
pub trait Provisioner: fmt::Debug + Send + Sync {
    /// Runs once. Must return soon after `cx.task.cancel` fires, with what it started removed.
    ///
    /// # Errors
    /// With fault `Guest` when a script failed, `Template` for a wrong config, `Machine` for what is local.
    async fn provision(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure>;
}
