//! Waits for the guest to let us in; when it doesn't, tells what is known of it.

use std::sync::Arc;

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext};
use kiln_plan::Failure;

use crate::builder::qemu::evidence;
use crate::builder::qemu::guest::QemuGuest;
use crate::communicator::{CommunicatorConfig, Connect, Connected, KeyPair};
use crate::http_server::Fetches;

/// See the module.
#[derive(Debug)]
pub struct ConnectToGuest<'a> {
    /// How.
    pub config: &'a CommunicatorConfig,
    /// The guest's key pair.
    pub key: Option<KeyPair>,
    /// The guest.
    pub guest: &'a QemuGuest,
    /// What it asked for over HTTP.
    pub fetches: Option<Fetches>,
}

#[async_trait]
impl Step for ConnectToGuest<'_> {
    type Output = Connected;

    fn name(&self) -> &'static str {
        "connect to the guest"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<Connected>, Failure> {
        let connect = Connect::new(self.config.clone(), self.key.clone(), Arc::new(self.guest.clone()));
        match connect.run(cx).await {
            Ok(done) => Ok(done),
            Err(failure) => Err(evidence::gather(cx, self.guest, self.fetches.as_ref(), failure).await),
        }
    }
}
