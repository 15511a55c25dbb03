//! The world of a template that is evaluated elsewhere: its files as a bundle, and what only the machine of whoever
//! submitted it knew.
//!
//! ```text
//!   client:       Recorder(this machine) ── evaluate ──► World: the environment, files and secrets that were asked for
//!                                                          │ travels with the request
//!   coordinator:  BundleHost(World, files of the bundle) ◄─┘ ── evaluate ──► plans, with BUNDLE_ROOT for the directory
//! ```
//!
//! Only what an evaluation asked for travels, so that a farm never learns more of an environment than the template does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kiln_plan::bundle_root::BUNDLE_ROOT;
use kiln_plan::{SecretQuestion, Sensitive};
use serde::{Deserialize, Serialize};

use crate::host::{DirectoryEntry, FileKind, Host, HostError, SharedHost};
use crate::request::Request;

mod bundle_host;
mod recorder;
#[cfg(test)]
mod tests;

pub use bundle_host::{BundleHost, Found, Shelf};
pub use recorder::Recorder;

/// A request that carries its world with it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Submission {
    /// What is asked for; paths are relative to the working directory, which is a place in the bundle.
    pub request: Request,
    /// What only the submitter's machine knew.
    pub world: World,
}

/// What an evaluation asked of the machine of whoever submitted it, besides the files of the bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    /// The directory from which the build was started, relative to the bundle's top; empty for the top itself.
    pub working_directory: String,
    /// The environment variables that were asked for, and what they were; `None` for one that was not set.
    pub environment: BTreeMap<String, Option<Sensitive<String>>>,
    /// Files outside of the bundle that were named on the command line, by their names there.
    pub files: BTreeMap<String, Sensitive<Vec<u8>>>,
    /// What came on standard input, if it was read.
    pub standard_input: Option<Sensitive<Vec<u8>>>,
    /// What secret stores answered, by the call as HCL2 writes it.
    pub secrets: BTreeMap<String, Sensitive<String>>,
    /// The user's home directory.
    pub home_directory: Option<String>,
}

impl World {
    /// The absolute directory that stands for the one from which the build was started.
    pub fn directory(&self) -> String {
        match self.working_directory.as_str() {
            "" => BUNDLE_ROOT.to_owned(),
            below => format!("{BUNDLE_ROOT}/{below}"),
        }
    }
}
