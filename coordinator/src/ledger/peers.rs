//! The way to the other voters.
//!
//! Calls of three kinds go over connections of their own, so that a snapshot of some hundred megabytes doesn't hold
//! up a heartbeat: consensus, bulk, and what is passed on to the leader for others.
//!
//! The Raft crate gives an append as long as a heartbeat interval and no longer, then sends it again. A follower that
//! needs longer for a large batch, because its disk or its processor is busy, would never come to its end. So a call that the
//! crate has given up goes on here, and the next one that wants the same waits for it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use kiln_proto::transport::{Credentials, Dialler, Endpoint};
use kiln_proto::v1::peer_client::PeerClient;
use kiln_proto::{MESSAGE_LIMIT, Problem, v1};
use openraft::BasicNode;
use openraft::error::{InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::transport::Channel;

use super::tail::Tail;
use super::types::{LogPlace, Types, Vote};
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

    /// The same for consensus alone, so that the other end can give it threads of its own where the wire tells
    /// such a channel from others.
    ///
    /// # Errors
    /// As [`PeerDial::dial`].
    fn dial_for_consensus<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Channel, DialError>> {
        self.dial(address)
    }
}

/// Dials over the farm's wire, as this coordinator.
#[derive(Clone, Debug)]
pub struct TlsDial(pub Credentials);

impl TlsDial {
    fn dialler(&self, address: &str) -> Result<Dialler, DialError> {
        Ok(Dialler::new(&[address.parse::<Endpoint>()?], &self.0))
    }
}

impl PeerDial for TlsDial {
    fn dial<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Channel, DialError>> {
        Box::pin(async { Ok(self.dialler(address)?.channel()) })
    }

    fn dial_for_consensus<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Channel, DialError>> {
        Box::pin(async { Ok(self.dialler(address)?.for_consensus().channel()) })
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
    tail: Tail,
}

impl Peers {
    pub(super) fn new(dial: Arc<dyn PeerDial>, tail: Tail) -> Self {
        Self { dial, channels: Arc::default(), tail }
    }

    /// The end of the log.
    pub(super) const fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The channel to an address.
    pub(crate) async fn channel(&self, address: &str, purpose: Purpose) -> Result<Channel, ReachError> {
        let key = (address.to_owned(), purpose);
        if let Some(channel) = self.with(|channels| channels.get(&key).cloned()) {
            return Ok(channel);
        }
        let dial = match purpose {
            Purpose::Consensus => self.dial.dial_for_consensus(address),
            Purpose::Bulk | Purpose::Forward(_) => self.dial.dial(address),
        };
        let dialled = tokio::time::timeout(DIAL_LIMIT, dial).await;
        let dialled = dialled.map_err(|_| ReachError::TimedOut { address: address.to_owned() })?;
        let channel = dialled.map_err(|source| ReachError::Dial { address: address.to_owned(), source })?;
        self.with(|channels| channels.insert(key, channel.clone()));
        Ok(channel)
    }

    /// Whether the voter at an address would vote for this one, whose log ends at `last`.
    pub(super) async fn canvass(
        &self,
        target: u64,
        address: &str,
        last: Option<LogPlace>,
    ) -> Result<bool, ReachError> {
        let mut client = PeerClient::new(self.channel(address, Purpose::Consensus).await?);
        let reply = client
            .canvass(wire::canvass_out(target, last))
            .await
            .map_err(|status| ReachError::Status { address: address.to_owned(), status: Box::new(status) })?;
        Ok(reply.into_inner().agreed)
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
    /// An append that the crate may have given up.
    under_way: Option<UnderWay>,
}

/// An append that goes on whether or not anybody waits for it.
#[derive(Debug)]
struct UnderWay {
    vote: Vote,
    /// Its last entry.
    last: LogPlace,
    call: JoinHandle<Result<AppendEntriesResponse<u64>, ReachError>>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.call.abort();
    }
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Way;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Way {
        Way { peers: self.clone(), target, address: node.addr.clone(), under_way: None }
    }
}

type CallError<E> = RPCError<u64, BasicNode, E>;

async fn client(peers: &Peers, address: &str, purpose: Purpose) -> Result<PeerClient<Channel>, ReachError> {
    let client = PeerClient::new(peers.channel(address, purpose).await?);
    Ok(client.max_decoding_message_size(MESSAGE_LIMIT).max_encoding_message_size(MESSAGE_LIMIT))
}

async fn append(
    peers: Peers,
    address: String,
    request: v1::AppendRequest,
) -> Result<AppendEntriesResponse<u64>, ReachError> {
    let mut client = client(&peers, &address, Purpose::Consensus).await?;
    match client.append(request).await {
        Ok(reply) => {
            wire::append_reply_in(reply.into_inner()).map_err(|source| ReachError::Answer { address, source })
        }
        Err(status) => Err(ReachError::Status { address, status: Box::new(status) }),
    }
}

impl Way {
    async fn client(&self, purpose: Purpose) -> Result<PeerClient<Channel>, ReachError> {
        client(&self.peers, &self.address, purpose).await
    }

    /// Begins an append that goes on by itself.
    fn begin(&self, rpc: &AppendEntriesRequest<Types>, last: LogPlace) -> UnderWay {
        let (peers, address) = (self.peers.clone(), self.address.clone());
        let request = wire::append_out(self.target, rpc, &self.peers.tail);
        UnderWay { vote: rpc.vote, last, call: tokio::spawn(append(peers, address, request)) }
    }

    /// Waits for the append that is under way, which stays so when this is given up.
    async fn finish(&mut self) -> Result<Option<AppendEntriesResponse<u64>>, ReachError> {
        let Some(under_way) = &mut self.under_way else { return Ok(None) };
        let answered = (&mut under_way.call).await;
        self.under_way = None;
        // It breaks off when the process ends.
        answered.map_or(Ok(None), |answered| answered.map(Some))
    }

    /// What an earlier append has achieved that the crate had given up, if that is part of what is wanted now.
    async fn resume(
        &mut self,
        rpc: &AppendEntriesRequest<Types>,
    ) -> Result<Option<AppendEntriesResponse<u64>>, ReachError> {
        let wanted = |under_way: &UnderWay| {
            under_way.vote == rpc.vote && rpc.entries.iter().any(|entry| entry.log_id == under_way.last)
        };
        let Some(last) = self.under_way.as_ref().filter(|under_way| wanted(under_way)).map(|on| on.last)
        else {
            self.under_way = None;
            return Ok(None);
        };
        if !matches!(self.finish().await, Ok(Some(AppendEntriesResponse::Success))) {
            return Ok(None);
        }
        // Its answer is old, and the crate would take it for a sign of life of just now. So ask again, which is little.
        let probe = AppendEntriesRequest {
            vote: rpc.vote,
            prev_log_id: Some(last),
            entries: Vec::new(),
            leader_commit: rpc.leader_commit,
        };
        let request = wire::append_out(self.target, &probe, &self.peers.tail);
        Ok(match append(self.peers.clone(), self.address.clone(), request).await? {
            AppendEntriesResponse::Success => Some(AppendEntriesResponse::PartialSuccess(Some(last))),
            higher @ AppendEntriesResponse::HigherVote(_) => Some(higher),
            AppendEntriesResponse::Conflict | AppendEntriesResponse::PartialSuccess(_) => None,
        })
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
        let called = async {
            let Some(last) = rpc.entries.last().map(|entry| entry.log_id) else {
                let request = wire::append_out(self.target, &rpc, &self.peers.tail);
                return append(self.peers.clone(), self.address.clone(), request).await;
            };
            if let Some(answer) = self.resume(&rpc).await? {
                return Ok(answer);
            }
            self.under_way = Some(self.begin(&rpc, last));
            let broke_off = || Problem::new(kiln_proto::Code::Unavailable, "the call broke off");
            self.finish().await?.ok_or_else(|| self.answer(broke_off()))
        };
        called.await.map_err(|error| call_error(&error))
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
