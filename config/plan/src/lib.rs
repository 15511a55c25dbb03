//! The agreement between deciding and doing: what a build consists of, said so that nobody has to choose
//! anything any more, except for values that exist only at run time.
//!
//! The coordinator makes plans, agents carry them out, and both speak of identifiers, faults and events in
//! the words of this crate. Pure: no async, clock, file or network.

pub mod artifact;
pub mod build;
pub mod bundle_root;
pub mod byte_count;
pub mod component;
pub mod data;
pub mod event;
pub mod fault;
pub mod fingerprint;
pub mod id;
pub mod plugin;
pub mod requirements;
pub mod schema;
pub mod secret;
pub mod secret_question;
pub mod trace_parent;
pub mod version;

pub use artifact::ArtifactRecord;
pub use build::{BuildPlan, OnError, PostProcessorPlan, ProvisionerPlan, RunOptions};
pub use component::{BodyItem, ComponentConfig, ComponentKind, ConfigBody, Leaf};
pub use data::{DataAnswer, DataOrigin, DataQuery};
pub use event::{Event, EventKind};
pub use fault::{Failure, Fault};
pub use plugin::PluginSource;
pub use requirements::{Acceleration, Accelerator, Requirements, Terms};
pub use schema::{Catalog, ComponentSchema, OptionSchema};
pub use secret::{Redactor, Sensitive};
pub use secret_question::SecretQuestion;
pub use trace_parent::TraceParent;
pub use version::{Constraints, Version};
