//! A guest that isn't there: every command succeeds and says nothing, every transfer goes nowhere.

use std::path::Path;

use async_trait::async_trait;
use kiln_component::communicator::RemoteCommand;
use kiln_component::{Communicator, CommunicatorError, Exit};

#[derive(Debug)]
pub(crate) struct MockCommunicator;

#[async_trait]
impl Communicator for MockCommunicator {
    async fn start(&self, _: &str) -> Result<RemoteCommand, CommunicatorError> {
        let (tell, exit) = tokio::sync::oneshot::channel();
        // Whoever started the command may have lost interest.
        let _unheard = tell.send(Exit::Code(0));
        Ok(RemoteCommand {
            stdin: Some(Box::new(tokio::io::sink())),
            stdout: Box::new(tokio::io::empty()),
            stderr: Box::new(tokio::io::empty()),
            exit,
        })
    }

    async fn upload_bytes(&self, _: &[u8], _: &str, _: u32) -> Result<(), CommunicatorError> {
        Ok(())
    }

    async fn upload(&self, _: &Path, _: &str) -> Result<(), CommunicatorError> {
        Ok(())
    }

    async fn upload_dir(&self, _: &Path, _: &str, _: bool) -> Result<(), CommunicatorError> {
        Ok(())
    }

    async fn download(&self, _: &str, _: &Path) -> Result<(), CommunicatorError> {
        Ok(())
    }

    async fn download_dir(&self, _: &str, _: &Path) -> Result<(), CommunicatorError> {
        Ok(())
    }

    async fn close(&self) {}
}
