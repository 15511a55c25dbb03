//! Takes the temporary key out of the guest, where the template asks for it.

use std::sync::Arc;

use async_trait::async_trait;
use kiln_component::{Communicator, Done, Step, TaskContext};
use kiln_plan::Failure;

use super::unless_cancelled;
use crate::communicator::clear_keys::clear_keys;
use crate::communicator::{KeyPair, SshConfig};

/// See the module.
#[derive(Debug)]
pub struct ClearKeys<'a> {
    /// Whether, and which.
    pub config: &'a SshConfig,
    /// The way to the guest.
    pub communicator: Arc<dyn Communicator>,
    /// The key.
    pub key: Option<KeyPair>,
}

#[async_trait]
impl Step for ClearKeys<'_> {
    type Output = ();

    fn name(&self) -> &'static str {
        "clear the temporary keys"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<()>, Failure> {
        let clearing = async {
            clear_keys(self.communicator.as_ref(), self.config, self.key.as_ref()).await;
            Ok(())
        };
        unless_cancelled(cx, clearing).await.map(Done::plain)
    }
}
