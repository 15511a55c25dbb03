//! Who votes: members are added, removed and replaced, one change at a time.
//!
//! ```text
//!   add:      learner ── brought up to date ──► voter
//!   remove:   voter ──► gone; if it led, the others elect another
//!   replace:  add the new one, then remove the old: never fewer voters than before
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers, Raft};

use super::cluster::{ChangeError, Member};
use super::types::{Metrics, Types};

/// How long a new member may take to come up to date.
const CATCH_UP: Duration = Duration::from_secs(60);

/// How long the agreement of the others may take.
const AGREEMENT: Duration = Duration::from_secs(10);

/// A member that lacks no more entries than this is up to date: the rest reaches it within a heartbeat.
const UP_TO_DATE: u64 = 64;

type Change<T = ()> = Result<T, ChangeError>;

/// The members, as this coordinator knows them.
pub(super) fn members(metrics: &Metrics) -> Vec<Member> {
    let membership = metrics.membership_config.membership();
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let member = |(id, node): (&u64, &BasicNode)| Member {
        id: *id,
        address: node.addr.clone(),
        votes: voters.contains(id),
        leads: metrics.current_leader == Some(*id),
        lag: lag(metrics, *id),
    };
    membership.nodes().map(member).collect()
}

fn lag(metrics: &Metrics, id: u64) -> Option<u64> {
    let last = metrics.last_log_index.unwrap_or(0);
    let matched = metrics.replication.as_ref()?.get(&id)?.as_ref()?;
    Some(last.saturating_sub(matched.index))
}

/// Makes a coordinator a voter; does nothing when it is one at this address, and tells all its new address when it is
/// one elsewhere.
pub(super) async fn add(raft: &Raft<Types>, id: u64, address: &str) -> Change {
    let known = find(raft, id);
    if let Some(known) = &known
        && known.votes
    {
        return if known.address == address { Ok(()) } else { move_to(raft, id, address).await };
    }
    if known.is_some_and(|known| known.address != address) {
        change(raft, ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await?;
    }
    let node = BasicNode::new(address);
    change(raft, ChangeMembers::AddNodes(BTreeMap::from([(id, node)]))).await?;
    let near = |metrics: &Metrics| lag(metrics, id).is_some_and(|lag| lag <= UP_TO_DATE);
    if raft.wait(Some(CATCH_UP)).metrics(near, "a new member to come up to date").await.is_err() {
        // It may come back as what nobody waits for any more.
        let taken_back = change(raft, ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await;
        if let Err(error) = taken_back {
            tracing::warn!(
                error = kiln_plan::fault::chain(&error),
                id,
                "a member that never came was left behind"
            );
        }
        return Err(ChangeError::NotReached { id, address: address.to_owned(), limit: CATCH_UP });
    }
    change(raft, ChangeMembers::AddVoterIds(BTreeSet::from([id]))).await
}

/// Tells all where a voter is reached from now on.
pub(super) async fn move_to(raft: &Raft<Types>, id: u64, address: &str) -> Change {
    change(raft, ChangeMembers::SetNodes(BTreeMap::from([(id, BasicNode::new(address))]))).await
}

/// Takes a coordinator out of the cluster.
pub(super) async fn remove(raft: &Raft<Types>, id: u64) -> Change {
    let known = find(raft, id).ok_or(ChangeError::UnknownMember(id))?;
    if !known.votes {
        return change(raft, ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await;
    }
    if members(&raft.metrics().borrow()).iter().filter(|member| member.votes).count() == 1 {
        return Err(ChangeError::OnlyVoter(id));
    }
    change(raft, ChangeMembers::RemoveVoters(BTreeSet::from([id]))).await
}

fn find(raft: &Raft<Types>, id: u64) -> Option<Member> {
    members(&raft.metrics().borrow()).into_iter().find(|member| member.id == id)
}

async fn change(raft: &Raft<Types>, change: ChangeMembers<u64, BasicNode>) -> Change {
    let changed = tokio::time::timeout(AGREEMENT, raft.change_membership(change, false)).await;
    let error = match changed {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => error,
        Err(_) => return Err(ChangeError::TimedOut(AGREEMENT)),
    };
    Err(match error {
        RaftError::Fatal(_) => ChangeError::Stopped,
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => ChangeError::NotLeader,
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
            ChangeMembershipError::InProgress(_) => ChangeError::InProgress,
            ChangeMembershipError::EmptyMembership(_) => ChangeError::OnlyVoter(0),
            ChangeMembershipError::LearnerNotFound(missing) => ChangeError::UnknownMember(missing.node_id),
        },
    })
}
