//! The port of this machine that leads to the guest.

use async_trait::async_trait;
use kiln_component::{Done, Ending, Step, TaskContext, Undo};
use kiln_plan::{Failure, Fault};

use super::unless_cancelled;
use crate::builder::qemu::config::Config;
use crate::communicator::CommunicatorConfig;
use crate::port::{self, Port, PortRequest};

/// See the module.
#[derive(Debug)]
pub struct ForwardPort<'a> {
    /// The config.
    pub config: &'a Config,
}

#[async_trait]
impl Step for ForwardPort<'_> {
    /// `None` for a guest that isn't spoken with, or is reached behind a bridge.
    type Output = Option<u16>;

    fn name(&self) -> &'static str {
        "forward a port to the guest"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<Option<u16>>, Failure> {
        let network = &self.config.network;
        let ssh = match &self.config.communicator {
            CommunicatorConfig::Ssh(ssh) if network.bridge.is_none() => ssh,
            _ => return Ok(Done::plain(None)),
        };
        if network.skip_nat_mapping {
            return Ok(Done::plain(Some(ssh.port)));
        }
        // QEMU listens on every address; Packer tries the port where VNC listens.
        let request = PortRequest {
            purpose: "the communicator",
            range: network.host_ports,
            address: &self.config.vnc.bind_address,
        };
        let taking = async {
            let taken = port::take(&request, &cx.cache_dir, &cx.reporter).await;
            taken.map_err(|e| Failure::from_error(Fault::Machine, &e))
        };
        let (port, _) = unless_cancelled(cx, taking).await?;
        let number = port.number;
        cx.reporter.say(format!("Port {number} of this machine leads to the guest"));
        Ok(Done::with_undo(Some(number), Release(port)))
    }
}

/// Keeps the port's lock until the guest is gone.
pub(super) struct Release(#[expect(dead_code, reason = "held for its lock")] pub(super) Port);

#[async_trait]
impl Undo for Release {
    async fn undo(self: Box<Self>, _: &TaskContext, _: Ending) {}
}
