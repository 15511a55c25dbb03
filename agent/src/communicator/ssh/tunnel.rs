//! Ports carried over a connection, in both directions.
//!
//! Local ones listen on this machine for the life of the communicator, whatever happens to the connection;
//! remote ones are asked for anew on each connection, since the guest's server forgets them.

use std::net::Ipv4Addr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use russh::client::{ChannelOpenHandle, Handle, Msg};
use russh::{Channel, ChannelOpenFailure};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Inner;
use super::connection::{AttemptError, Events};
use crate::communicator::config::Tunnel;

/// The ports of the guest that lead to this side.
#[derive(Clone, Debug, Default)]
pub(super) struct RemoteTunnels(Arc<Vec<(u16, (String, u16))>>);

impl RemoteTunnels {
    pub(super) fn new(tunnels: &[Tunnel]) -> Self {
        let remote = tunnels.iter().filter_map(|t| match t {
            Tunnel::Remote { port, to } => Some((*port, to.clone())),
            Tunnel::Local { .. } => None,
        });
        Self(Arc::new(remote.collect()))
    }

    /// Asks the guest's server to listen.
    pub(super) async fn open(&self, handle: &Handle<Events>, limit: Duration) -> Result<(), AttemptError> {
        for (port, _) in self.0.iter() {
            let failed = |source| AttemptError::Tunnel { port: *port, source };
            let asked = timeout(limit, handle.tcpip_forward("localhost", u32::from(*port))).await;
            asked.map_err(|e| failed(e.into()))?.map_err(|e| failed(e.into()))?;
        }
        Ok(())
    }

    /// Carries one connection that somebody in the guest has made.
    pub(super) async fn serve(&self, port: u32, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let found = self.0.iter().find(|(p, _)| u32::from(*p) == port);
        let Some((_, (host, to))) = found else {
            return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        };
        match TcpStream::connect((host.as_str(), *to)).await {
            Ok(mut stream) => {
                reply.accept().await;
                // Either side may hang up at any time; that is no news.
                let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut stream).await;
            }
            Err(error) => {
                tracing::debug!(%error, host, to, "nothing at the end of the tunnel");
                reply.reject(ChannelOpenFailure::ConnectFailed).await;
            }
        }
    }
}

/// Listens on the ports of this machine that lead to the guest's side. The listeners end with the set.
pub(super) async fn listen(tunnels: &[Tunnel], inner: &Arc<Inner>) -> Result<JoinSet<()>, AttemptError> {
    let mut listeners = JoinSet::new();
    for tunnel in tunnels {
        let Tunnel::Local { port, to } = tunnel else { continue };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).await;
        let listener = listener.map_err(|e| AttemptError::Tunnel { port: *port, source: Box::new(e) })?;
        listeners.spawn(accept(listener, to.clone(), Arc::downgrade(inner)));
    }
    Ok(listeners)
}

async fn accept(listener: TcpListener, to: (String, u16), inner: Weak<Inner>) {
    let mut open = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let Some(inner) = inner.upgrade() else { return };
        let to = to.clone();
        while open.try_join_next().is_some() {}
        open.spawn(async move { carry(stream, to, inner).await });
    }
}

async fn carry(mut stream: TcpStream, (host, port): (String, u16), inner: Arc<Inner>) {
    let connection = match inner.connection("carry a tunnel").await {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(%error, "no connection for the tunnel"),
    };
    match connection.handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0).await {
        Ok(channel) => {
            drop(inner);
            // Either side may hang up at any time; that is no news.
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut channel.into_stream()).await;
        }
        Err(error) => tracing::debug!(%error, "the guest cannot reach the end of the tunnel"),
    }
}
