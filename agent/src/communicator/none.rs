//! `communicator = "none"`: the guest isn't spoken with. Commands succeed without being run, as in Packer, so that
//! builders need no second road; transfers say that they are impossible.

use std::path::Path;

use async_trait::async_trait;
use kiln_component::communicator::RemoteCommand;
use kiln_component::{Communicator, CommunicatorError, Exit};

/// Speaks with nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCommunicator;

fn unsupported(operation: String) -> CommunicatorError {
    CommunicatorError::Unsupported { communicator: "none", operation }
}

#[async_trait]
impl Communicator for NoCommunicator {
    async fn start(&self, _command: &str) -> Result<RemoteCommand, CommunicatorError> {
        let (ended, exit) = tokio::sync::oneshot::channel();
        // The receiver is right here.
        let _ = ended.send(Exit::Code(0));
        Ok(RemoteCommand {
            stdin: Some(Box::new(tokio::io::sink())),
            stdout: Box::new(tokio::io::empty()),
            stderr: Box::new(tokio::io::empty()),
            exit,
        })
    }

    async fn upload_bytes(&self, _: &[u8], destination: &str, _: u32) -> Result<(), CommunicatorError> {
        Err(unsupported(format!("write {destination} in the guest")))
    }

    async fn upload(&self, source: &Path, destination: &str) -> Result<(), CommunicatorError> {
        Err(unsupported(format!("copy {} to {destination} in the guest", source.display())))
    }

    async fn upload_dir(&self, source: &Path, destination: &str, _: bool) -> Result<(), CommunicatorError> {
        Err(unsupported(format!("copy {} to {destination} in the guest", source.display())))
    }

    async fn download(&self, source: &str, _: &Path) -> Result<(), CommunicatorError> {
        Err(unsupported(format!("fetch {source} from the guest")))
    }

    async fn download_dir(&self, source: &str, _: &Path) -> Result<(), CommunicatorError> {
        Err(unsupported(format!("fetch {source} from the guest")))
    }

    async fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn commands_succeed_and_transfers_say_that_they_cannot() {
        let command = NoCommunicator.start("false").await.unwrap();
        assert_eq!(command.exit.await, Ok(Exit::Code(0)));
        let error = NoCommunicator.upload(Path::new("a"), "/b").await.unwrap_err();
        assert_eq!(error.to_string(), "the communicator \"none\" cannot copy a to /b in the guest");
    }
}
