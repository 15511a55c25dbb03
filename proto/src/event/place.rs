//! The places of a task's events: each number names one event for ever, whoever leads the farm when it is told.
//!
//! ```text
//!    63          32 31             0
//!   ├─── epoch ────┼─────── n ──────┤
//!                    0                why this attempt is made       told by the coordinator, from the ledger
//!                    1 … 2³²-2        what happens in it, in order   told by its agent, without gaps
//!                    2³²-1            how the task ended             told by the coordinator, from the ledger
//! ```
//!
//! The epoch of a grant is in the ledger, and an attempt is begun once under it. So no two attempts share a number, later
//! attempts have higher ones, and what a coordinator says of a task has a place that follows from the ledger alone: a new
//! leader says the same under the same number. Between two attempts numbers are left out; that is no loss.
//!
//! Up to the two millionth attempt of a task places are below 2⁵³, as far as JSON's numbers are safe.

use kiln_plan::id::Epoch;

/// The bits that count within an attempt.
const BITS: u32 = 32;

/// The place of the word on why the attempt under `epoch` is made. The first attempt of a task needs none.
pub const fn why(epoch: Epoch) -> u64 {
    epoch.0 << BITS
}

/// The place of the first event that the agent tells of the attempt under `epoch`.
pub const fn first(epoch: Epoch) -> u64 {
    why(epoch) + 1
}

/// The place of the word on how the task ended, if the grant under `epoch` was its last; 0 is the epoch of a task that was
/// never granted.
pub const fn end(epoch: Epoch) -> u64 {
    why(epoch) + (1 << BITS) - 1
}

/// The attempt to which a place belongs.
pub const fn epoch(place: u64) -> Epoch {
    Epoch(place >> BITS)
}

/// Whether the agent of the attempt under `epoch` may have numbered an event so.
pub const fn is_told_by_agent(place: u64, epoch: Epoch) -> bool {
    first(epoch) <= place && place < end(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_share_no_place_and_later_ones_are_higher() {
        for n in [0, 1, 2, 3, 70_000, (1 << 21) - 1] {
            let (this, next) = (Epoch(n), Epoch(n + 1));
            assert!(why(this) < first(this) && first(this) < end(this) && end(this) + 1 == why(next));
            for place in [why(this), first(this), first(this) + 5_000_000, end(this)] {
                assert_eq!(epoch(place), this);
            }
            assert!(end(this) < 1 << 53);
            assert!(is_told_by_agent(first(this), this) && is_told_by_agent(end(this) - 1, this));
            for other in [why(this), end(this), first(next), 0] {
                assert!(!is_told_by_agent(other, this), "{other}");
            }
        }
    }
}
