//! The messages between voters: those of `peer.proto` to those of the Raft crate and back.

use kiln_proto::{Code, Problem, v1};
use openraft::error::{InstallSnapshotError, SnapshotMismatch};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, VoteRequest, VoteResponse,
};
use openraft::{CommittedLeaderId, SnapshotSegmentId};

use super::codec::{self, DecodeError};
use super::tail::Tail;
use super::types::{Entry, LogPlace, SnapshotMeta, Types, Vote};

type Result<T> = std::result::Result<T, Problem>;

fn missing(what: &str) -> Problem {
    Problem::new(Code::Invalid, format!("a message of a coordinator lacks its {what}"))
}

fn unreadable(error: &DecodeError) -> Problem {
    Problem::from_error(Code::Invalid, error)
}

fn place_out(place: LogPlace) -> v1::LogPlace {
    v1::LogPlace { term: place.leader_id.term, leader: place.leader_id.node_id, index: place.index }
}

fn place_in(place: v1::LogPlace) -> LogPlace {
    LogPlace::new(CommittedLeaderId::new(place.term, place.leader), place.index)
}

fn vote_out(vote: &Vote) -> v1::Ballot {
    let leader = vote.leader_id();
    v1::Ballot { term: leader.term, voter: leader.node_id, elected: vote.is_committed() }
}

fn vote_in(vote: Option<v1::Ballot>) -> Result<Vote> {
    let v1::Ballot { term, voter, elected } = vote.ok_or_else(|| missing("vote"))?;
    Ok(if elected { Vote::new_committed(term, voter) } else { Vote::new(term, voter) })
}

/// An append on its way out. Entries travel as they lie in the log.
pub(super) fn append_out(
    target: u64,
    request: &AppendEntriesRequest<Types>,
    tail: &Tail,
) -> v1::AppendRequest {
    v1::AppendRequest {
        target,
        vote: Some(vote_out(&request.vote)),
        previous: request.prev_log_id.map(place_out),
        committed: request.leader_commit.map(place_out),
        entries: request.entries.iter().map(|entry| tail.encode(entry)).collect(),
    }
}

/// An append that came in.
pub(super) fn append_in(request: v1::AppendRequest, tail: &Tail) -> Result<AppendEntriesRequest<Types>> {
    let entries = request.entries.into_iter().map(|record| {
        let entry: Entry = codec::decode("log entry", &record)?;
        tail.received(entry.log_id, record);
        Ok(entry)
    });
    Ok(AppendEntriesRequest {
        vote: vote_in(request.vote)?,
        prev_log_id: request.previous.map(place_in),
        leader_commit: request.committed.map(place_in),
        entries: entries
            .collect::<std::result::Result<_, _>>()
            .map_err(|error: DecodeError| unreadable(&error))?,
    })
}

/// What became of an append, on its way back.
pub(super) fn append_reply_out(reply: &AppendEntriesResponse<u64>) -> v1::AppendReply {
    use v1::append_reply::Result;
    let result = match reply {
        AppendEntriesResponse::Success => Result::Complete(v1::Complete {}),
        AppendEntriesResponse::PartialSuccess(last) => {
            Result::Partial(v1::Partial { last: last.map(place_out) })
        }
        AppendEntriesResponse::Conflict => Result::Conflict(v1::Conflict {}),
        AppendEntriesResponse::HigherVote(vote) => Result::Higher(vote_out(vote)),
    };
    v1::AppendReply { result: Some(result) }
}

/// What became of an append.
pub(super) fn append_reply_in(reply: v1::AppendReply) -> Result<AppendEntriesResponse<u64>> {
    use v1::append_reply::Result;
    Ok(match reply.result.ok_or_else(|| missing("result"))? {
        Result::Complete(_) => AppendEntriesResponse::Success,
        Result::Partial(partial) => AppendEntriesResponse::PartialSuccess(partial.last.map(place_in)),
        Result::Conflict(_) => AppendEntriesResponse::Conflict,
        Result::Higher(vote) => AppendEntriesResponse::HigherVote(vote_in(Some(vote))?),
    })
}

pub(super) fn vote_request_out(target: u64, request: &VoteRequest<u64>) -> v1::VoteRequest {
    let last = request.last_log_id.map(place_out);
    v1::VoteRequest { target, vote: Some(vote_out(&request.vote)), last }
}

pub(super) fn vote_request_in(request: v1::VoteRequest) -> Result<VoteRequest<u64>> {
    Ok(VoteRequest::new(vote_in(request.vote)?, request.last.map(place_in)))
}

pub(super) fn canvass_out(target: u64, last: Option<LogPlace>) -> v1::CanvassRequest {
    v1::CanvassRequest { target, last: last.map(place_out) }
}

/// The end of the log of the one who asks.
pub(super) fn canvass_in(request: &v1::CanvassRequest) -> Option<LogPlace> {
    request.last.map(place_in)
}

pub(super) fn vote_reply_out(reply: &VoteResponse<u64>) -> v1::VoteReply {
    let last = reply.last_log_id.map(place_out);
    v1::VoteReply { vote: Some(vote_out(&reply.vote)), granted: reply.vote_granted, last }
}

pub(super) fn vote_reply_in(reply: v1::VoteReply) -> Result<VoteResponse<u64>> {
    Ok(VoteResponse::new(vote_in(reply.vote)?, reply.last.map(place_in), reply.granted))
}

/// A part of a snapshot on its way out.
pub(super) fn part_out(target: u64, request: InstallSnapshotRequest<Types>) -> v1::SnapshotPart {
    v1::SnapshotPart {
        target,
        vote: Some(vote_out(&request.vote)),
        about: codec::encode(&request.meta).into(),
        offset: request.offset,
        data: request.data.into(),
        last: request.done,
    }
}

/// A part of a snapshot that came in.
pub(super) fn part_in(part: v1::SnapshotPart) -> Result<InstallSnapshotRequest<Types>> {
    let meta: SnapshotMeta =
        codec::decode("description of a snapshot", &part.about).map_err(|error| unreadable(&error))?;
    Ok(InstallSnapshotRequest {
        vote: vote_in(part.vote)?,
        meta,
        offset: part.offset,
        data: part.data.into(),
        done: part.last,
    })
}

/// What became of a part, on its way back.
pub(super) fn part_reply_out(vote: Option<&Vote>) -> v1::SnapshotReply {
    use v1::snapshot_reply::Result;
    let result = vote.map_or(Result::Restart(v1::Restart {}), |vote| Result::Vote(vote_out(vote)));
    v1::SnapshotReply { result: Some(result) }
}

/// The receiver's vote, or that it wants the snapshot from the beginning.
pub(super) fn part_reply_in(
    reply: v1::SnapshotReply,
) -> Result<std::result::Result<Vote, InstallSnapshotError>> {
    use v1::snapshot_reply::Result;
    Ok(match reply.result.ok_or_else(|| missing("result"))? {
        Result::Vote(vote) => Ok(vote_in(Some(vote))?),
        Result::Restart(_) => {
            let segment = || SnapshotSegmentId { id: String::new(), offset: 0 };
            Err(SnapshotMismatch { expect: segment(), got: segment() }.into())
        }
    })
}
