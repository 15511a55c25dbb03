//! Stand-in until the adapter branch lands.
use kiln_component::ProvisionContext;
use kiln_plan::Failure;
use std::path::{Path, PathBuf};
pub struct AdapterOptions {
    pub user: String,
    pub local_port: u16,
    pub rsa: bool,
    pub host_key_file: Option<PathBuf>,
    pub authorized_key_file: Option<PathBuf>,
    pub sftp_command: String,
    pub directory: PathBuf,
}
pub struct Adapter;
impl Adapter {
    pub async fn start(_: &ProvisionContext<'_>, _: AdapterOptions) -> Result<Self, Failure> {
        Err(Failure::cancelled())
    }
    pub fn port(&self) -> u16 {
        0
    }
    pub fn private_key(&self) -> Option<&Path> {
        None
    }
    pub async fn stop(self) {}
}
