//! A port for VNC, by which people may watch the guest.

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext};
use kiln_plan::{Failure, Fault, Sensitive};
use uuid::Uuid;

use super::forward_port::Release;
use super::unless_cancelled;
use crate::builder::qemu::config::Config;
use crate::port::{self, PortRequest};

/// See the module.
#[derive(Debug)]
pub struct TakeVncPort<'a> {
    /// The config.
    pub config: &'a Config,
}

/// Where VNC will listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VncAddress {
    /// The port.
    pub port: u16,
    /// What viewers must give.
    pub password: Option<Sensitive<String>>,
}

#[async_trait]
impl Step for TakeVncPort<'_> {
    type Output = VncAddress;

    fn name(&self) -> &'static str {
        "take a port for VNC"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<VncAddress>, Failure> {
        let vnc = &self.config.vnc;
        let request = PortRequest { purpose: "VNC", range: vnc.ports, address: &vnc.bind_address };
        let taking = async {
            let taken = port::take(&request, &cx.cache_dir, &cx.reporter).await;
            taken.map_err(|e| Failure::from_error(Fault::Machine, &e))
        };
        let (port, _) = unless_cancelled(cx, taking).await?;
        let made_up = || Sensitive::new(Uuid::new_v4().simple().to_string()[..8].to_owned());
        let password = vnc.use_password.then(|| vnc.password.clone().unwrap_or_else(made_up));
        let address = VncAddress { port: port.number, password };
        Ok(Done::with_undo(address, Release(port)))
    }
}
