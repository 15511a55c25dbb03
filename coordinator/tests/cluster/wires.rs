//! The network between the coordinators: pipes in memory, each direction of which can be cut. What is said on a cut
//! wire is held back, as a network does that swallows packets; when it is mended, it arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use kiln_coordinator::{DialError, PeerDial, Pipe};
use kiln_proto::transport::{Arrival, Peer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// Who has been cut off from whom, in one direction.
type Cuts = BTreeSet<(u64, u64)>;

/// The network. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wires {
    doors: Arc<Mutex<BTreeMap<u64, mpsc::Sender<Pipe>>>>,
    cuts: watch::Sender<Cuts>,
}

impl Wires {
    /// The connections that come to a coordinator from now on.
    pub(crate) fn door(
        &self,
        of: u64,
    ) -> impl tokio_stream::Stream<Item = io::Result<Pipe>> + Send + 'static {
        let (door, opened) = mpsc::channel(16);
        self.doors.lock().unwrap().insert(of, door);
        ReceiverStream::new(opened).map(Ok)
    }

    /// Nobody is there any more.
    pub(crate) fn close(&self, of: u64) {
        self.doors.lock().unwrap().remove(&of);
    }

    /// What `from` says no longer reaches `to`.
    pub(crate) fn cut(&self, from: u64, to: u64) {
        self.cuts.send_modify(|cuts| {
            cuts.insert((from, to));
        });
    }

    /// Cuts a coordinator off from these others, in both directions.
    pub(crate) fn isolate(&self, one: u64, others: &[u64]) {
        for other in others {
            self.cut(one, *other);
            self.cut(*other, one);
        }
    }

    /// Mends everything.
    pub(crate) fn mend(&self) {
        self.cuts.send_replace(Cuts::new());
    }

    /// How one coordinator reaches the others.
    pub(crate) fn dial(&self, from: u64) -> Arc<dyn PeerDial> {
        Arc::new(Dial { wires: self.clone(), from })
    }

    /// A connection, carried by two tasks that stop where it is cut.
    async fn connect(&self, from: u64, to: u64) -> io::Result<DuplexStream> {
        self.mended(from, to).await;
        self.mended(to, from).await;
        let door = self.doors.lock().unwrap().get(&to).cloned();
        let door = door.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, near_end) = tokio::io::duplex(256 << 10);
        let (far, far_end) = tokio::io::duplex(256 << 10);
        let (near_reads, near_writes) = tokio::io::split(near_end);
        let (far_reads, far_writes) = tokio::io::split(far_end);
        tokio::spawn(self.clone().carry((from, to), near_reads, far_writes));
        tokio::spawn(self.clone().carry((to, from), far_reads, near_writes));
        let gone = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        let arrival = Arrival::of(Peer::Coordinator(from));
        door.send(Pipe::new(far, arrival)).await.map_err(gone)?;
        Ok(near)
    }

    async fn carry(
        self,
        (from, to): (u64, u64),
        mut reads: impl AsyncRead + Unpin,
        mut writes: impl AsyncWrite + Unpin,
    ) {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let Ok(count) = reads.read(&mut bytes).await else { return };
            self.mended(from, to).await;
            if count == 0 || writes.write_all(&bytes[..count]).await.is_err() {
                drop(writes.shutdown().await);
                return;
            }
        }
    }

    async fn mended(&self, from: u64, to: u64) {
        let mut cuts = self.cuts.subscribe();
        cuts.wait_for(|cuts| !cuts.contains(&(from, to))).await.unwrap();
    }
}

#[derive(Debug)]
struct Dial {
    wires: Wires,
    from: u64,
}

impl PeerDial for Dial {
    fn dial<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Channel, DialError>> {
        Box::pin(async move {
            let to: u64 = address.trim_start_matches("coordinator-").parse()?;
            let (wires, from) = (self.wires.clone(), self.from);
            let connect = move |_: Uri| {
                let wires = wires.clone();
                async move { wires.connect(from, to).await.map(TokioIo::new) }
            };
            let endpoint = Endpoint::from_static("http://farm.invalid")
                .connect_timeout(Duration::from_secs(5))
                .http2_keep_alive_interval(Duration::from_secs(10))
                .keep_alive_timeout(Duration::from_secs(10))
                .keep_alive_while_idle(true);
            Ok(endpoint.connect_with_connector_lazy(tower::service_fn(connect)))
        })
    }
}
