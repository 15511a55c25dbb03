//! What the other voters ask of this one.

use kiln_proto::{Code, Problem, v1};
use openraft::error::{Fatal, RaftError};
use openraft::raft::AppendEntriesResponse;

use super::{Ledger, wire};

type Answer<T> = Result<T, Problem>;

impl Ledger {
    /// A leader has entries, or only a sign of life.
    pub(crate) async fn append(&self, request: v1::AppendRequest) -> Answer<v1::AppendReply> {
        self.meant(request.target)?;
        let reply = self
            .raft
            .append_entries(wire::append_in(request, self.peers.tail())?)
            .await
            .map_err(|error| failed(&error))?;
        if !matches!(reply, AppendEntriesResponse::HigherVote(_)) {
            self.hearing.heard();
        }
        Ok(wire::append_reply_out(&reply))
    }

    /// A candidate wants this voter's vote.
    pub(crate) async fn vote(&self, request: v1::VoteRequest) -> Answer<v1::VoteReply> {
        self.meant(request.target)?;
        if self.raft.data_metrics().borrow().last_log.is_none() {
            // It may have lost its disk, and with it the vote that it gave to somebody else.
            return Err(Problem::new(
                Code::Refused,
                "this coordinator has no ledger yet and votes for nobody",
            ));
        }
        let reply = self.raft.vote(wire::vote_request_in(request)?).await.map_err(|error| failed(&error))?;
        if reply.vote_granted {
            self.hearing.promised();
        }
        Ok(wire::vote_reply_out(&reply))
    }

    /// A leader sends its state, because this voter lacks more than the leader's log has.
    pub(crate) async fn install_snapshot(&self, part: v1::SnapshotPart) -> Answer<v1::SnapshotReply> {
        self.meant(part.target)?;
        match self.raft.install_snapshot(wire::part_in(part)?).await {
            Ok(reply) => {
                self.hearing.heard();
                Ok(wire::part_reply_out(Some(&reply.vote)))
            }
            Err(RaftError::APIError(_)) => Ok(wire::part_reply_out(None)),
            Err(RaftError::Fatal(error)) => Err(stopped(&error)),
        }
    }

    /// Another voter asks whether it would have this one's vote.
    pub(crate) fn canvass(&self, request: v1::CanvassRequest) -> Answer<v1::CanvassReply> {
        self.meant(request.target)?;
        if self.leads() || !self.hearing.misses() {
            return Ok(v1::CanvassReply { agreed: false });
        }
        let last = self.raft.data_metrics().borrow().last_log;
        Ok(v1::CanvassReply { agreed: wire::canvass_in(&request) >= last })
    }

    /// Whether a request has come to the right one.
    fn meant(&self, target: u64) -> Answer<()> {
        if target == self.id {
            return Ok(());
        }
        let told =
            format!("this is coordinator {}, not {target}; look at the addresses of the cluster", self.id);
        Err(Problem::new(Code::Refused, told))
    }
}

fn failed(error: &RaftError<u64>) -> Problem {
    match error {
        RaftError::Fatal(error) => stopped(error),
        RaftError::APIError(never) => match *never {},
    }
}

fn stopped(error: &Fatal<u64>) -> Problem {
    Problem::new(Code::Unavailable, format!("the ledger of this coordinator has stopped: {error}"))
}
