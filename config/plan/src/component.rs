//! A component of a plan: its kind, its name, and its config as a tree whose leaves may be deferred.

use std::sync::Arc;

use kiln_lang::Span;
use kiln_lang::deferred::Deferred;
use kiln_lang::value::Value;
use serde::{Deserialize, Serialize};

/// The kinds of component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ComponentKind {
    /// Makes a guest or an artifact.
    Builder,
    /// Changes a guest, or does something while it is up.
    Provisioner,
    /// Works on an artifact.
    PostProcessor,
    /// Answers a question before the build.
    DataSource,
}

impl ComponentKind {
    /// What messages call it.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Builder => "builder",
            Self::Provisioner => "provisioner",
            Self::PostProcessor => "post-processor",
            Self::DataSource => "data source",
        }
    }
}

/// Which component, and its config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentConfig {
    /// What kind of component.
    pub kind: ComponentKind,
    /// What templates call it, such as `qemu`.
    pub name: String,
    /// Where its block stands, for messages.
    pub span: Option<Span>,
    /// Its options.
    pub body: ConfigBody,
}

impl ComponentConfig {
    /// A component without options.
    pub fn bare(kind: ComponentKind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into(), span: None, body: ConfigBody::default() }
    }
}

/// The options of a component or of a nested block, in the order of the template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigBody {
    /// Attributes and nested blocks.
    pub items: Vec<BodyItem>,
}

impl ConfigBody {
    /// The last attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&Leaf> {
        self.items.iter().rev().find_map(|item| match item {
            BodyItem::Attribute { name: n, leaf, .. } if n == name => Some(leaf),
            _ => None,
        })
    }

    /// Sets an attribute, replacing attributes and blocks of that name.
    pub fn set(&mut self, name: &str, value: Value) {
        self.items.retain(|item| item.name() != name);
        self.items.push(BodyItem::Attribute { name: name.to_owned(), leaf: Leaf::Value(value), span: None });
    }
}

/// One thing that stands in a body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum BodyItem {
    /// `name = …`
    Attribute {
        /// Its name.
        name: String,
        /// What it is set to.
        leaf: Leaf,
        /// Where it stands.
        span: Option<Span>,
    },
    /// `name { … }`
    Block {
        /// Its name.
        name: String,
        /// What stands inside.
        body: ConfigBody,
        /// Where its header stands.
        span: Option<Span>,
    },
}

impl BodyItem {
    /// The name of the attribute or block.
    pub fn name(&self) -> &str {
        match self {
            Self::Attribute { name, .. } | Self::Block { name, .. } => name,
        }
    }

    /// Where it stands.
    pub fn span(&self) -> Option<&Span> {
        match self {
            Self::Attribute { span, .. } | Self::Block { span, .. } => span.as_ref(),
        }
    }
}

/// What an attribute is set to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Leaf {
    /// A value. Its strings may still hold Go-template actions.
    Value(Value),
    /// An expression over values that exist only at run time (`build.ID`), finished right before use.
    Deferred(Arc<Deferred>),
}
