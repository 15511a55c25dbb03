//! The way to the other voters.
//!
//! Calls of three kinds go over connections of their own, so that a snapshot of some hundred megabytes doesn't hold
//! up a heartbeat: consensus, bulk, and what is passed on to the leader for others.
//!
//! The Raft crate gives an append as long as a heartbeat interval and no longer. A follower whose disk is slow
//! would time out for ever over a large batch, so a batch that was cut off is offered again in halves.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use kiln_proto::transport::{self, Credentials, Endpoint};
use kiln_proto::v1::peer_client::PeerClient;
use kiln_proto::{MESSAGE_LIMIT, Problem, v1};
use openraft::BasicNode;
use openraft::error::{
    InstallSnapshotError, NetworkError, PayloadTooLarge, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use tonic::Code;
use tonic::transport::Channel;

use super::types::Types;
use super::wire;

/// How long making a channel may take.
const DIAL_LIMIT: Duration = Duration::from_secs(5);

/// How long a part of a snapshot may be on its way that isn't the last.
const PART_LIMIT: Duration = Duration::from_secs(10);

/// How long a voter that can't be reached is left alone.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Why a coordinator could not be dialled.
pub type DialError = Box<dyn std::error::Error + Send + Sync>;

/// Makes channels to other coordinators: over TLS in a daemon, over pipes in tests.
pub trait PeerDial: Debug + Send + Sync + 'static {
    /// A channel to the coordinator at `address`. Best one that connects when it is used and again when the
    /// connection breaks: it is kept and shared. Must keep the connection alive, else one that a network swallowed would
    /// never end.
    ///
    /// # Errors
    /// When there can be no channel to this address.
    fn dial<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Channel, DialError>>;
}

/// Dials over the farm's wire, as this coordinator.
#[derive(Clone, Debug)]
pub struct TlsDial(pub Credentials);

impl PeerDial for TlsDial {
    fn dial<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Channel, DialError>> {
        let endpoint = address.parse::<Endpoint>();
        let dialled = endpoint.map(|endpoint| transport::dial(&[endpoint], &self.0));
        Box::pin(std::future::ready(dialled.map_err(DialError::from)))
    }
}

/// For a coordinator that has no others: there is no way to anywhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoPeers;

#[derive(Debug, thiserror::Error)]
#[error("this coordinator was started without a way to others")]
struct Alone;

impl PeerDial for NoPeers {
    fn dial<'a>(&'a self, _address: &'a str) -> BoxFuture<'a, Result<Channel, DialError>> {
        Box::pin(async { Err(DialError::from(Alone)) })
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// Appends, votes: small and urgent.
    Consensus,
    /// Snapshots: large.
    Bulk,
    /// What others asked, passed on to the leader; several connections share it.
    Forward(u8),
}

/// A coordinator could not be reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    /// There can be no channel.
    #[error("failed to dial the coordinator at {address}")]
    Dial {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: DialError,
    },
    /// Making the channel took too long.
    #[error("the coordinator at {address} could not be dialled within {} s", DIAL_LIMIT.as_secs())]
    TimedOut {
        /// Where.
        address: String,
    },
    /// It answered with an error.
    #[error("the coordinator at {address} answers: {}", status.message())]
    Status {
        /// Where.
        address: String,
        /// What it said.
        status: Box<tonic::Status>,
    },
    /// Its answer makes no sense.
    #[error("the coordinator at {address} gave an answer that makes no sense")]
    Answer {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: Problem,
    },
}

/// The channels to the others, by address. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    dial: Arc<dyn PeerDial>,
    channels: Arc<Mutex<BTreeMap<(String, Purpose), Channel>>>,
}

impl Peers {
    pub(super) fn new(dial: Arc<dyn PeerDial>) -> Self {
        Self { dial, channels: Arc::default() }
    }

    /// The channel to an address.
    pub(crate) async fn channel(&self, address: &str, purpose: Purpose) -> Result<Channel, ReachError> {
        let key = (address.to_owned(), purpose);
        if let Some(channel) = self.with(|channels| channels.get(&key).cloned()) {
            return Ok(channel);
        }
        let dialled = tokio::time::timeout(DIAL_LIMIT, self.dial.dial(address)).await;
        let dialled = dialled.map_err(|_| ReachError::TimedOut { address: address.to_owned() })?;
        let channel = dialled.map_err(|source| ReachError::Dial { address: address.to_owned(), source })?;
        self.with(|channels| channels.insert(key, channel.clone()));
        Ok(channel)
    }

    /// Whether the coordinator at an address misses its leader, too.
    pub(super) async fn canvass(&self, target: u64, address: &str) -> Result<bool, ReachError> {
        let mut client = PeerClient::new(self.channel(address, Purpose::Consensus).await?);
        let reply = client
            .canvass(v1::CanvassRequest { target })
            .await
            .map_err(|status| ReachError::Status { address: address.to_owned(), status: Box::new(status) })?;
        Ok(reply.into_inner().missed)
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<(String, Purpose), Channel>) -> T) -> T {
        work(&mut self.channels.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The way to one voter.
#[derive(Debug)]
pub(super) struct Way {
    peers: Peers,
    target: u64,
    address: String,
    /// How many entries an append had that has not been answered.
    unanswered: Option<usize>,
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Way;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Way {
        Way { peers: self.clone(), target, address: node.addr.clone(), unanswered: None }
    }
}

type CallError<E> = RPCError<u64, BasicNode, E>;

impl Way {
    async fn client(&self, purpose: Purpose) -> Result<PeerClient<Channel>, ReachError> {
        let client = PeerClient::new(self.peers.channel(&self.address, purpose).await?);
        Ok(client.max_decoding_message_size(MESSAGE_LIMIT).max_encoding_message_size(MESSAGE_LIMIT))
    }

    async fn append(
        &self,
        rpc: &AppendEntriesRequest<Types>,
    ) -> Result<AppendEntriesResponse<u64>, ReachError> {
        let mut client = self.client(Purpose::Consensus).await?;
        let request = wire::append_out(self.target, rpc);
        let reply = client.append(request).await.map_err(|status| self.status(status))?;
        wire::append_reply_in(reply.into_inner()).map_err(|problem| self.answer(problem))
    }

    fn status(&self, status: tonic::Status) -> ReachError {
        ReachError::Status { address: self.address.clone(), status: Box::new(status) }
    }

    fn answer(&self, source: Problem) -> ReachError {
        ReachError::Answer { address: self.address.clone(), source }
    }
}

/// Whoever can't be reached is left alone for a moment; any other error may be over at once.
fn call_error<E: std::error::Error>(error: &ReachError) -> CallError<E> {
    tracing::debug!(error = kiln_plan::fault::chain(error), "a voter did not answer");
    match error {
        ReachError::Status { status, .. } if status.code() != Code::Unavailable => {
            NetworkError::new(error).into()
        }
        _ => Unreachable::new(error).into(),
    }
}

impl RaftNetwork<Types> for Way {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, CallError<RaftError<u64>>> {
        if let Some(before) = self.unanswered.take()
            && before > 1
            && rpc.entries.len() >= before
        {
            return Err(PayloadTooLarge::new_entries_hint(before as u64 / 2).into());
        }
        let entries = rpc.entries.len();
        // The crate drops this call when its time is up; the next one then learns of it from here.
        self.unanswered = (entries > 0).then_some(entries);
        let answered = self.append(&rpc).await;
        self.unanswered = None;
        answered.map_err(|error| call_error(&error))
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, CallError<RaftError<u64, InstallSnapshotError>>> {
        // Only after the last part the receiver has to take the snapshot in.
        let limit = if rpc.done { option.hard_ttl() } else { PART_LIMIT };
        let part = wire::part_out(self.target, rpc);
        let call = async {
            let mut client = self.client(Purpose::Bulk).await?;
            let mut request = tonic::Request::new(part);
            request.set_timeout(limit);
            let reply = client.install_snapshot(request).await.map_err(|status| self.status(status))?;
            wire::part_reply_in(reply.into_inner()).map_err(|problem| self.answer(problem))
        };
        match call.await {
            Ok(Ok(vote)) => Ok(InstallSnapshotResponse { vote }),
            Ok(Err(restart)) => Err(RemoteError::new(self.target, RaftError::APIError(restart)).into()),
            Err(error) => Err(call_error(&error)),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, CallError<RaftError<u64>>> {
        let call = async {
            let mut client = self.client(Purpose::Consensus).await?;
            let request = wire::vote_request_out(self.target, &rpc);
            let reply = client.vote(request).await.map_err(|status| self.status(status))?;
            wire::vote_reply_in(reply.into_inner()).map_err(|problem| self.answer(problem))
        };
        call.await.map_err(|error| call_error(&error))
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACK_OFF))
    }
}
