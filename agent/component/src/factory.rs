//! How a component comes to be: its schema as data, and a function from its finished config.

use std::fmt;
use std::sync::Arc;

use kiln_lang::{Diagnostics, Value};
use kiln_plan::ComponentSchema;
use kiln_plan::build::{BuildPlan, TemplateContext};

use crate::builder::Builder;
use crate::post_processor::PostProcessor;
use crate::provisioner::{GeneratedData, Provisioner};

/// A component's config with its deferred leaves finished and its strings rendered, except for the options
/// that the schema marks `late`.
#[derive(Clone, Debug)]
pub struct FinishedConfig {
    /// An object: option name to value; nested blocks are tuples of objects.
    pub options: Value,
    /// The plan it belongs to.
    pub plan: Arc<BuildPlan>,
    /// Whether this is a check before the run: values of the run are placeholders, and nothing may be started,
    /// fetched or written.
    pub dry: bool,
    /// The guest's values, for rendering late options; empty before the run.
    pub generated: GeneratedData,
}

impl FinishedConfig {
    /// The facts that Go-template actions may ask for.
    pub fn facts(&self) -> &TemplateContext {
        &self.plan.facts
    }
}

/// Makes components of one kind and name.
#[derive(Clone)]
pub struct Factory {
    /// What it takes.
    pub schema: ComponentSchema,
    /// Makes it.
    pub make: Make,
}

/// Makes a component from its config, or says everything that is wrong with it. Warnings may come along with
/// the component.
#[derive(Clone, Copy)]
pub enum Make {
    /// A builder.
    Builder(fn(FinishedConfig) -> Made<Box<dyn Builder>>),
    /// A provisioner.
    Provisioner(fn(FinishedConfig) -> Made<Box<dyn Provisioner>>),
    /// A post-processor.
    PostProcessor(fn(FinishedConfig) -> Made<Box<dyn PostProcessor>>),
}

/// A component with the warnings about its config, or the errors.
pub type Made<T> = Result<(T, Diagnostics), Diagnostics>;

impl fmt::Debug for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Builder(_) => "Builder",
            Self::Provisioner(_) => "Provisioner",
            Self::PostProcessor(_) => "PostProcessor",
        })
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Factory({} {})", self.schema.kind.noun(), self.schema.name)
    }
}
