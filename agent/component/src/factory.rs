//! How a component comes to be: its schema as data, and a function from its finished config.

use std::fmt;
use std::sync::Arc;

use kiln_lang::go_template::{Dot, Renderer};
use kiln_lang::{Diagnostic, Diagnostics, Type, Value};
use kiln_plan::build::{BuildPlan, TemplateContext};
use kiln_plan::schema::Rule;
use kiln_plan::{ComponentKind, ComponentSchema, OptionSchema};
use serde::de::DeserializeOwned;

use crate::builder::Builder;
use crate::data_source::{DataConfig, DataSource};
use crate::post_processor::PostProcessor;
use crate::provisioner::{GeneratedData, Provisioner};
use crate::render;

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

    /// The options as a component's own type; see [`kiln_lang::decode`].
    ///
    /// # Errors
    /// One diagnostic for each option that does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Diagnostics> {
        decode(&self.options)
    }

    /// Renders late options with the guest's values and `data` of the component's own: `{{ .HTTPIP }}`,
    /// `{{ .Vars }}`. A name that is in neither reads `<no value>`.
    pub fn renderer(&self, data: impl IntoIterator<Item = (&'static str, Value)>) -> Renderer {
        let mut values = self.generated.values.clone();
        values.extend(data.into_iter().map(|(name, value)| (name.to_owned(), value)));
        render::renderer(&self.plan).with_dot(Dot::Map(Value::object(values)))
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

impl Factory {
    /// A builder by its name and options. `generated` names what it offers beyond the usual values of a guest.
    pub fn builder(
        name: &'static str,
        options: Vec<OptionSchema>,
        generated: &[&'static str],
        make: fn(FinishedConfig) -> Made<Box<dyn Builder>>,
    ) -> Self {
        let generated = generated.iter().map(|g| (*g).into()).collect();
        let schema = ComponentSchema { generated, ..schema(ComponentKind::Builder, name, options) };
        Self { schema, make: Make::Builder(make) }
    }

    /// A provisioner by its name and options.
    pub fn provisioner(
        name: &'static str,
        options: Vec<OptionSchema>,
        make: fn(FinishedConfig) -> Made<Box<dyn Provisioner>>,
    ) -> Self {
        Self { schema: schema(ComponentKind::Provisioner, name, options), make: Make::Provisioner(make) }
    }

    /// A post-processor by its name and options.
    pub fn post_processor(
        name: &'static str,
        options: Vec<OptionSchema>,
        make: fn(FinishedConfig) -> Made<Box<dyn PostProcessor>>,
    ) -> Self {
        Self { schema: schema(ComponentKind::PostProcessor, name, options), make: Make::PostProcessor(make) }
    }

    /// A data source by its name, its options, and the attributes of its answers.
    pub fn data_source(
        name: &'static str,
        options: Vec<OptionSchema>,
        answer: Type,
        make: fn(DataConfig) -> Made<Box<dyn DataSource>>,
    ) -> Self {
        let schema =
            ComponentSchema { answer: Some(answer), ..schema(ComponentKind::DataSource, name, options) };
        Self { schema, make: Make::DataSource(make) }
    }
}

impl Factory {
    /// The same, with rules between its options.
    #[must_use]
    pub fn with_rules(mut self, rules: impl IntoIterator<Item = Rule>) -> Self {
        self.schema.rules.extend(rules);
        self
    }
}

/// The options as a component's own type.
pub(crate) fn decode<T: DeserializeOwned>(options: &Value) -> Result<T, Diagnostics> {
    let diagnostic = |e: kiln_lang::decode::DecodeError| {
        Diagnostic::error("Incorrect attribute value type", e.to_string())
    };
    kiln_lang::decode::decode(options).map_err(|all| all.0.into_iter().map(diagnostic).collect())
}

fn schema(kind: ComponentKind, name: &'static str, options: Vec<OptionSchema>) -> ComponentSchema {
    ComponentSchema {
        kind,
        name: name.into(),
        options,
        generated: Vec::new(),
        answer: None,
        rules: Vec::new(),
    }
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
    /// A data source.
    DataSource(fn(DataConfig) -> Made<Box<dyn DataSource>>),
}

/// A component with the warnings about its config, or the errors.
pub type Made<T> = Result<(T, Diagnostics), Diagnostics>;

impl fmt::Debug for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Builder(_) => "Builder",
            Self::Provisioner(_) => "Provisioner",
            Self::PostProcessor(_) => "PostProcessor",
            Self::DataSource(_) => "DataSource",
        })
    }
}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Factory({} {})", self.schema.kind.noun(), self.schema.name)
    }
}
