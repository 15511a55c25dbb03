//! The communicators that come with Kiln, their options, and how a guest is reached.
//!
//! A builder appends [`options`] to its own, reads them with [`CommunicatorConfig::parse`], makes the key pair
//! for its guest with [`keys::MakeKeys`], and lets the step [`connect::Connect`] wait until the guest answers.
//! What it gets is a [`kiln_component::Communicator`]: [`ssh`] or [`none`].

pub mod clear_keys;
pub mod config;
pub mod connect;
pub mod guest;
pub mod keys;
pub mod none;
pub mod scp;
pub mod ssh;
#[cfg(test)]
pub(crate) mod testing;
pub mod tree;

pub use config::{CommunicatorConfig, SshConfig, options};
pub use connect::{Connect, Connected};
pub use guest::{Address, Guest, NoAddress};
pub use keys::KeyPair;
