//! A coordinator's place in the cluster, and who else is in it.

use std::time::Duration;

/// How a coordinator takes part in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Its number among the voters, from 1. Never given to another, and not even to the same one after its disk was
    /// lost: a voter that forgot what it promised may undo what was agreed.
    pub id: u64,
    /// Where the others reach it, as their dialler understands it; told to all when it is added.
    pub address: String,
    /// What it does when it has no ledger yet.
    pub begin: Begin,
    /// After how many entries of the log a snapshot makes them dispensable, default 4096. An eighth of as many is
    /// kept behind it, for voters that are only a little late.
    pub compact_after: u64,
    /// Whether its ledger runs on threads of its own, default not. Needed where thousands of agents come.
    pub own_threads: bool,
}

/// What a coordinator does that has no ledger yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It founds a cluster with itself as the only voter.
    Found,
    /// It waits until a leader adds it.
    Wait,
}

impl ClusterSettings {
    /// A coordinator that founds a cluster, and may stay alone in it.
    pub fn alone() -> Self {
        Self { id: 1, address: String::new(), begin: Begin::Found, compact_after: 4_096, own_threads: false }
    }
}

/// One coordinator of the cluster, as another sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: u64,
    /// Where it is reached.
    pub address: String,
    /// Whether it votes; one that is being added doesn't yet.
    pub votes: bool,
    /// Whether it leads.
    pub leads: bool,
    /// By how many entries its log is known to be behind the leader's; `None` where that isn't known: on others than the
    /// leader, and before it was heard of.
    pub lag: Option<u64>,
}

/// Who leads, as one coordinator knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Leadership {
    /// Nobody that is known of: no election has been won yet, or this coordinator is cut off.
    #[default]
    Nobody,
    /// Another.
    Follows {
        /// Its number.
        leader: u64,
        /// Where it is reached.
        address: String,
    },
    /// This one. A majority has confirmed it a moment ago, and everything that earlier leaders committed is
    /// applied here.
    Leads {
        /// Since which election: grows with each.
        term: u64,
    },
}

/// The cluster could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Another coordinator leads.
    #[error("this coordinator doesn't lead the farm at the moment; ask the leader")]
    NotLeader,
    /// It could not be brought up to date.
    #[error(
        "coordinator {id} at {address} did not come up to date within {} s; is it running there, under this number \
         and waiting to be added?",
        limit.as_secs()
    )]
    NotReached {
        /// Its number.
        id: u64,
        /// Where it should be.
        address: String,
        /// How long was waited.
        limit: Duration,
    },
    /// It is not in the cluster.
    #[error("coordinator {0} is not a member of the cluster")]
    UnknownMember(u64),
    /// The only voter can't go.
    #[error("coordinator {0} is the only voter; add another before you remove it")]
    OnlyVoter(u64),
    /// Another change is under way.
    #[error("another change of the cluster is under way; try again when it is done")]
    InProgress,
    /// No majority agreed in time.
    #[error("no majority of the coordinators agreed to the change within {} s; it may still come about", .0.as_secs())]
    TimedOut(Duration),
    /// The ledger has stopped.
    #[error("the ledger has stopped")]
    Stopped,
}

/// The ledger can't go on: its disk failed. What it answered before stands; it answers nothing more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the ledger has failed and this coordinator can't serve any more ({reason}); mend its disk and start it again"
)]
pub struct LedgerFailure {
    /// What the disk said.
    pub reason: String,
}

/// The exit code of a coordinator whose ledger failed: `EX_IOERR` of `sysexits.h`.
pub const LEDGER_FAILED_EXIT: u8 = 74;
