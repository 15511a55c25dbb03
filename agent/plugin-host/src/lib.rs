//! External plug-ins of Packer on this machine: which are installed, and how they get there.
//!
//! ```text
//!  required_plugins ──► Requirement ──► Store::find ── there? ──► done
//!                                            │ no
//!                                            ▼
//!  releases.hashicorp.com, GitHub   ──► Installer: versions ─► sums ─► archive ─► verified ─► describe ─► Store
//!  or a mirror: a URL, a directory
//! ```
//!
//! The layout and the rules of the store are Packer's, so that both share one: what Packer installed Kiln finds, and
//! the other way round. Nothing in a store is half there: a plug-in counts once its program and its checksum lie
//! beside each other and agree.
//!
//! Running plug-ins isn't done here yet; only `describe` is.

pub mod api_version;
mod archive;
pub mod checksum;
pub mod describe;
pub mod directory;
pub mod file_name;
pub mod installer;
pub mod platform;
pub mod requirement;
pub mod source;
pub mod store;
#[cfg(test)]
mod testing;

pub use api_version::ApiVersion;
pub use describe::Description;
pub use file_name::PluginFileName;
pub use installer::{InstallError, Installer, Outcome, Placed};
pub use platform::Platform;
pub use requirement::Requirement;
pub use source::{Releases, Watch};
pub use store::{Installed, Query, Store};
