//! Components as data: which there are and which options they take. One catalog serves checking, help,
//! completion and documents, and is what an agent tells the coordinator it can do.

use std::borrow::Cow;

use kiln_lang::Type;
use serde::{Deserialize, Serialize};

use crate::component::ComponentKind;

/// The components that a machine offers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Every component, sorted by kind and name.
    pub components: Vec<ComponentSchema>,
}

impl Catalog {
    /// The schema of one component.
    pub fn get(&self, kind: ComponentKind, name: &str) -> Option<&ComponentSchema> {
        self.components.iter().find(|c| c.kind == kind && c.name == name)
    }

    /// The names of all components of a kind.
    pub fn names(&self, kind: ComponentKind) -> impl Iterator<Item = &str> {
        self.components.iter().filter(move |c| c.kind == kind).map(|c| &*c.name)
    }
}

/// One component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentSchema {
    /// Builder, provisioner, …
    pub kind: ComponentKind,
    /// What templates call it.
    pub name: Cow<'static, str>,
    /// Its options.
    pub options: Vec<OptionSchema>,
    /// Names under which a builder offers values to later components (`build.X`), beyond the usual ones.
    pub generated: Vec<Cow<'static, str>>,
    /// What a data source answers with: an object type. None for other components.
    #[serde(default)]
    pub answer: Option<Type>,
    /// What must hold between options.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// What must hold between options of a component. An option that is null, an empty text or an empty list counts as not given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// At most one of these may be given.
    AtMostOne(Vec<Cow<'static, str>>),
    /// At least one of these must be given.
    AtLeastOne(Vec<Cow<'static, str>>),
}

impl Rule {
    /// At most one of these may be given.
    pub fn at_most_one(names: &[&'static str]) -> Self {
        Self::AtMostOne(names.iter().map(|name| (*name).into()).collect())
    }

    /// At least one of these must be given.
    pub fn at_least_one(names: &[&'static str]) -> Self {
        Self::AtLeastOne(names.iter().map(|name| (*name).into()).collect())
    }

    /// The options that it is about.
    pub fn options(&self) -> &[Cow<'static, str>] {
        match self {
            Self::AtMostOne(names) | Self::AtLeastOne(names) => names,
        }
    }
}

impl ComponentSchema {
    /// A component with these options, that offers nothing beyond the usual and has no rules.
    pub fn new(kind: ComponentKind, name: impl Into<Cow<'static, str>>, options: Vec<OptionSchema>) -> Self {
        Self { kind, name: name.into(), options, generated: Vec::new(), answer: None, rules: Vec::new() }
    }

    /// The option of that name.
    pub fn option(&self, name: &str) -> Option<&OptionSchema> {
        self.options.iter().find(|o| o.name == name)
    }
}

/// One option of a component or of a nested block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionSchema {
    /// What templates call it.
    pub name: Cow<'static, str>,
    /// What it takes.
    pub ty: OptionType,
    /// Whether a template must give it.
    pub required: bool,
    /// What holds when it isn't given, in words or as a literal; empty when nothing does.
    pub default: Cow<'static, str>,
    /// Whether its strings are left alone before the run, because the component renders them itself with
    /// values of its own (`boot_command`).
    pub late: bool,
    /// What to write instead, when the option is out of date.
    pub deprecated: Option<Cow<'static, str>>,
    /// The values it takes, when they can be listed; empty otherwise.
    pub values: Vec<Cow<'static, str>>,
    /// What it does, one sentence.
    pub help: Cow<'static, str>,
}

/// What an option takes. Values convert weakly, as Packer's do: see `kiln_lang::decode`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptionType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Bool,
    /// `true`, `false` or unset, which differs from both.
    Trilean,
    /// A duration such as `10s`.
    Duration,
    /// A list of texts.
    Strings,
    /// A list of whole numbers.
    Integers,
    /// A list of lists of texts.
    StringLists,
    /// Texts by key.
    StringMap,
    /// A nested block, or an object, that may stand once.
    Block(Vec<OptionSchema>),
    /// A nested block that may be repeated, or a list of objects.
    Blocks(Vec<OptionSchema>),
    /// Anything.
    Any,
}

impl OptionSchema {
    /// An optional option without default.
    pub const fn new(name: &'static str, ty: OptionType, help: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            ty,
            required: false,
            default: Cow::Borrowed(""),
            late: false,
            deprecated: None,
            values: Vec::new(),
            help: Cow::Borrowed(help),
        }
    }

    /// The same, required.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, with a default told.
    #[must_use]
    pub fn default(self, default: &'static str) -> Self {
        Self { default: default.into(), ..self }
    }

    /// The same, rendered by the component itself.
    #[must_use]
    pub fn late(self) -> Self {
        Self { late: true, ..self }
    }

    /// The same, out of date.
    #[must_use]
    pub fn deprecated(self, instead: &'static str) -> Self {
        Self { deprecated: Some(instead.into()), ..self }
    }

    /// The same, taking only these values.
    #[must_use]
    pub fn values(self, values: &[&'static str]) -> Self {
        Self { values: values.iter().map(|v| (*v).into()).collect(), ..self }
    }
}
