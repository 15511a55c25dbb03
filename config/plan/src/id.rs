//! A type per identifier, from one list, so that mixing two of them does not compile.
//!
//! All are UUIDs underneath; this crate reads no clock and no randomness, so they are handed in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The identifier made of `uuid`.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

identifiers! {
    /// A machine's agent, for as long as it is enrolled.
    AgentId,
    /// One try of a task.
    AttemptId,
    /// One submission being carried out.
    BuildId,
    /// A published artifact, in one version.
    ImageId,
    /// An object with chunks of images. Never used again after its end, so that a late deletion hits nothing new.
    PackId,
    /// One request, as its sender names it, so that it can be sent again without being carried out twice.
    RequestId,
    /// One source of one build: the unit an agent takes.
    TaskId,
    /// A token that an operator made for an agent, a coordinator or a person. Not secret.
    TokenId,
}

/// The fencing number of a lease: grows with each lease of a task, never repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
