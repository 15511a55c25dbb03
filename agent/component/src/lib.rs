//! What a thing that runs on an agent is, and how such things meet.
//!
//! Six kinds: a [`builder::Builder`] makes a guest and an artifact; a [`communicator::Communicator`] speaks
//! with the guest; a [`provisioner::Provisioner`] changes it; a [`post_processor::PostProcessor`] works on the
//! artifact; a [`data_source::DataSource`] answers a question before the build; a [`factory::Factory`] makes any of them from its config. Around them: steps with typed results
//! and undo ([`step`], [`pipeline`]), child processes ([`process`]), scratch space ([`scratch`]), a journal of
//! intents that outlives a crash ([`journal`]), and the voice with which all of them speak ([`reporter`]).

pub mod artifact;
pub mod builder;
pub mod communicator;
pub mod context;
pub mod data_source;
pub mod factory;
pub mod journal;
pub mod lines;
pub mod origins;
pub mod pipeline;
pub mod post_processor;
pub mod process;
pub mod provisioner;
pub mod render;
pub mod reporter;
pub mod scratch;
pub mod step;

pub use artifact::Artifact;
pub use builder::{Builder, ProvisionHook};
pub use communicator::{Communicator, CommunicatorError, Exit};
pub use context::TaskContext;
pub use data_source::{DataConfig, DataContext, DataSource};
pub use factory::{Factory, FinishedConfig};
pub use journal::{Intent, Journal};
pub use origins::{Origin, Origins};
pub use pipeline::Pipeline;
pub use post_processor::{Keep, PostProcessor, Processed};
pub use process::{ProcessError, Program};
pub use provisioner::{GeneratedData, ProvisionContext, Provisioner};
pub use reporter::Reporter;
pub use scratch::Scratch;
pub use step::{Done, Ending, Step, Undo};
