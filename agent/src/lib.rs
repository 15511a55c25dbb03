//! The agent: does exactly what a plan says, and never chooses what to run.
//!
//! A [`link`] to the coordinator brings attempts, which are carried out in this process ([`attempts`]: the farm of one) or
//! in processes of their own ([`hosted`]: a farm's agent). An [`attempt`] finishes the plan's deferred leaves, makes the
//! components and carries them out; the components themselves lie in [`builder`], [`communicator`],
//! [`provisioner`], [`post_processor`] and [`data_source`], and are listed in the [`catalog`].

pub mod agent;
pub mod artifact;
pub mod attempt;
pub mod attempts;
pub mod builder;
pub mod capability;
pub mod catalog;
pub mod communicator;
pub mod config;
pub mod daemon;
pub mod data_source;
pub mod download;
pub mod hosted;
pub mod http_server;
pub mod image;
pub mod isolation;
pub mod link;
pub mod media;
pub mod port;
pub mod post_processor;
pub mod provisioner;
pub mod secret_store;
pub mod spool;

#[cfg(test)]
mod test_plan;

pub use attempt::check::check;
pub use catalog::Factories;

#[cfg(test)]
mod test_task;
#[cfg(test)]
mod test_voice;
