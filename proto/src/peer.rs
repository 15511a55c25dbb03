//! What coordinators agree on among themselves besides the messages: the headers of a request that one of them
//! passes on to the leader, and how a request is known to come from one of them.

/// Names who really asks, when a coordinator passes a request on. Taken from nobody but a coordinator.
pub const CALLER_HEADER: &str = "x-kiln-caller";

/// Marks a request that a coordinator passed on, with that coordinator's number. It isn't passed on again, so that two
/// coordinators that each take the other for the leader don't play ball with it.
pub const FORWARDED_HEADER: &str = "x-kiln-forwarded-by";

/// The most bytes of a snapshot in one message.
pub const SNAPSHOT_PART: usize = 1 << 20;
