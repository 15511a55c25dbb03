//! The HTTP server beside the guest, and the address under which the guest finds it.

use std::path::PathBuf;

use async_trait::async_trait;
use kiln_component::{Done, Ending, Step, TaskContext, Undo};
use kiln_plan::{Failure, Fault};

use super::unless_cancelled;
use crate::builder::qemu::bridge;
use crate::builder::qemu::config::Config;
use crate::http_server::config::HttpSource;
use crate::http_server::{Fetches, HttpServer, Served};
use crate::port::{self, Port, PortRequest};

/// This machine as a guest on QEMU's own network sees it.
const HOST_OF_USER_NETWORK: &str = "10.0.2.2";

/// See the module.
#[derive(Debug)]
pub struct ServeHttp<'a> {
    /// The config.
    pub config: &'a Config,
}

/// How the guest finds the server.
#[derive(Clone, Debug)]
pub struct HttpAddress {
    /// This machine, as the guest sees it.
    pub ip: String,
    /// 0 when nothing is served.
    pub port: u16,
    /// What the guest asked for; `None` when nothing is served.
    pub fetches: Option<Fetches>,
}

#[async_trait]
impl Step for ServeHttp<'_> {
    type Output = HttpAddress;

    fn name(&self) -> &'static str {
        "serve HTTP"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<HttpAddress>, Failure> {
        let ip = self.ip()?;
        let served = match &self.config.http.served {
            None => return Ok(Done::plain(HttpAddress { ip, port: 0, fetches: None })),
            Some(HttpSource::Content(texts)) => Served::Content(texts.clone()),
            Some(HttpSource::Directory(directory)) => Served::Directory(self.existing(directory)?),
        };
        let request = PortRequest {
            purpose: "the HTTP server",
            range: self.config.http.ports,
            address: self.bind_address(),
        };
        let taking = async {
            let taken = port::take(&request, &cx.cache_dir, &cx.reporter).await;
            taken.map_err(|e| Failure::from_error(Fault::Machine, &e))
        };
        let (port, listener) = unless_cancelled(cx, taking).await?;
        let server = HttpServer::start(listener, served).map_err(|error| {
            Failure::new(Fault::Machine, format!("cannot serve HTTP on port {}: {error}", port.number))
        })?;
        cx.reporter.say(format!("Serving HTTP to the guest on port {}", port.number));
        let address = HttpAddress { ip, port: port.number, fetches: Some(server.fetches.clone()) };
        Ok(Done::with_undo(address, Stop { _server: server, _port: port }))
    }
}

impl ServeHttp<'_> {
    fn ip(&self) -> Result<String, Failure> {
        let Some(bridge) = &self.config.network.bridge else { return Ok(HOST_OF_USER_NETWORK.to_owned()) };
        let address = bridge::own_address(bridge).map_err(|e| Failure::from_error(Fault::Machine, &e))?;
        address.map(|ip| ip.to_string()).ok_or_else(|| {
            let text = format!("the bridge {bridge:?} has no IPv4 address on this machine");
            Failure::new(Fault::Machine, text).hint("Give it one, or name another bridge in net_bridge.")
        })
    }

    fn existing(&self, directory: &str) -> Result<PathBuf, Failure> {
        let path = self.config.resolve(directory);
        match path.is_dir() {
            true => Ok(path),
            false => {
                let text = format!("http_directory {directory:?} is not a directory");
                Err(Failure::new(Fault::Template, text).hint("Make it, or correct its path."))
            }
        }
    }

    /// Where to listen: as the template says. A silent one gets the loopback where only the guest's own network can
    /// be meant, and every address of this machine where the template arranges the network by itself.
    fn bind_address(&self) -> &str {
        let own_network = |flag: &str| matches!(flag.trim_start_matches('-'), "netdev" | "nic" | "net");
        let arranged =
            self.config.hardware.qemuargs.iter().any(|a| a.first().is_some_and(|f| own_network(f)));
        match &self.config.http.bind_address {
            Some(address) => address,
            None if self.config.network.bridge.is_none() && !arranged => "127.0.0.1",
            None => "0.0.0.0",
        }
    }
}

struct Stop {
    _server: HttpServer,
    _port: Port,
}

#[async_trait]
impl Undo for Stop {
    async fn undo(self: Box<Self>, _: &TaskContext, _: Ending) {}
}
