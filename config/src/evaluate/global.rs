//! What every build of a template sees: variables, locals and the answers of data sources.

use std::collections::{BTreeMap, HashMap, HashSet};

use kiln_lang::evaluate::evaluate;
use kiln_lang::scope::Scope;
use kiln_lang::{Diagnostic, Diagnostics, Functions, Type, Value};
use kiln_plan::{ComponentConfig, ComponentKind};

use super::body::{self, Reading};
use super::{Inputs, missing};
use crate::data_source::{DataOrigin, DataQuery, Known};
use crate::locals::{self, Definition};
use crate::secret_desk::SecretDesk;
use crate::template::hcl2::Document;
use crate::template::hcl2::data::DataBlock;
use crate::variables::{self, Assignments};
use crate::world_function;

/// The names that stand for the same everywhere, and what must not be shown.
#[derive(Debug)]
pub(super) struct Globals {
    /// `var`, `local`, `data`, `path`, `packer`; `source` is unknown, and so is whatever has no value.
    pub(super) scope: Scope,
    pub(super) secrets: Vec<String>,
    /// Where the functions of `scope` ask for further ones.
    pub(super) desk: SecretDesk,
    /// The answers that went into them.
    pub(super) data: Vec<DataOrigin>,
    /// Every variable; those without a value are unknown.
    pub(super) variables: BTreeMap<String, Value>,
    /// The locals that have a value.
    pub(super) locals: BTreeMap<String, Value>,
    /// Questions that must be answered first.
    pub(super) queries: Vec<DataQuery>,
    /// What is wrong, and what data sources want to be known besides.
    pub(super) found: Diagnostics,
}

/// What stands in the place of a value that couldn't be evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Gaps {
    /// An unknown value, so that other mistakes are found and no consequences are told.
    #[default]
    Unknown,
    /// Nothing: `try` takes its second choice.
    Absent,
}

/// Evaluates variables, locals and data sources, as far as can be.
pub(super) fn evaluate_globals(
    document: &Document,
    assignments: &Assignments,
    root: &str,
    inputs: Inputs<'_>,
    gaps: Gaps,
) -> Globals {
    let started = inputs.request.started_ns;
    let desk = SecretDesk::new(inputs.host);
    let in_working_directory = world_function::all(inputs.host, "", started, &desk);
    let (variables, mut found) = variables::bind(&document.variables, assignments, &in_working_directory);
    let functions = world_function::all(inputs.host, root, started, &desk);
    let base = base_scope(&functions, variables.clone(), root, inputs);
    let order = locals::order(document);
    found.extend(order.complaints);
    let mut evaluated = Evaluated { failed: order.hopeless, gaps, ..Evaluated::default() };
    for (definition, needs) in order.definitions {
        if let Err(complaints) = evaluated.add(definition, &needs, (document, &base, root), inputs) {
            found.extend(complaints);
            evaluated.failed.insert(definition);
        }
    }
    found.extend(evaluated.notices.clone());
    let all: Vec<Definition> = evaluated.known().collect();
    let scope = evaluated.scope(&all, document, &base);
    let mut secrets = evaluated.secrets.clone();
    secrets.extend(desk.take());
    variables.values().for_each(|value| variables::secrets_in(value, &mut secrets));
    secrets.retain(|s| !s.is_empty());
    secrets.sort();
    secrets.dedup();
    let data = inputs.answers.origins.values().cloned().collect();
    let locals = evaluated.locals(document);
    Globals { scope, secrets, desk, data, variables, locals, queries: evaluated.queries, found }
}

fn base_scope(
    functions: &Functions,
    variables: BTreeMap<String, Value>,
    root: &str,
    inputs: Inputs<'_>,
) -> Scope {
    let unknown = || Value::unknown(Type::String);
    let object = |entries: &[(&str, Value)]| {
        Value::object(entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
    };
    let cwd = inputs.host.working_directory().replace('\\', "/");
    Scope::new(functions)
        .with("var", Value::object(variables))
        .with("path", object(&[("root", Value::from(root)), ("cwd", Value::from(cwd))]))
        .with(
            "packer",
            object(&[
                ("version", Value::from(inputs.request.core_version.as_str())),
                ("iterationID", unknown()),
                ("versionFingerprint", unknown()),
            ]),
        )
        .with("source", object(&[("name", unknown()), ("type", unknown())]))
}

/// What has been evaluated so far.
#[derive(Debug, Default)]
struct Evaluated {
    values: HashMap<Definition, Value>,
    needs: HashMap<Definition, Vec<Definition>>,
    /// Data sources without an answer, and what depends on them.
    open: HashSet<Definition>,
    /// What is wrong, and what is made of it.
    failed: HashSet<Definition>,
    gaps: Gaps,
    queries: Vec<DataQuery>,
    secrets: Vec<String>,
    notices: Diagnostics,
}

impl Evaluated {
    fn add(
        &mut self,
        definition: Definition,
        needs: &[Definition],
        place: (&Document, &Scope, &str),
        inputs: Inputs<'_>,
    ) -> Result<(), Diagnostics> {
        let (document, base, root) = place;
        if needs.iter().any(|need| self.open.contains(need)) {
            self.open.insert(definition);
            return Ok(());
        }
        if self.gaps == Gaps::Unknown && needs.iter().any(|need| self.failed.contains(need)) {
            self.failed.insert(definition);
        }
        let scope = self.scope(needs, document, base);
        self.needs.insert(definition, needs.to_vec());
        match definition {
            Definition::Local(i) => {
                let local = &document.locals[i];
                let value = match inputs.answers.locals.get(&local.name) {
                    Some(pinned) => pinned.clone(),
                    None => evaluate(&local.expression, &scope)?.marked(local.sensitive),
                };
                variables::secrets_in(&value, &mut self.secrets);
                self.values.insert(definition, value);
            }
            Definition::Data(i) => {
                let mut query = data_query(document, i, &scope, (root, inputs))?;
                let schema =
                    inputs.catalog.and_then(|c| c.get(ComponentKind::DataSource, &query.component.name));
                match inputs.answers.get(&query.id, schema.and_then(|s| s.answer.as_ref())) {
                    Known::Value(answer) => {
                        variables::secrets_in(&answer, &mut self.secrets);
                        self.values.insert(definition, answer);
                        self.notices.extend(notices(&query, inputs));
                    }
                    Known::Failed(reason) => {
                        return Err(unanswered(&query, reason, &document.data_blocks[i]).into());
                    }
                    Known::Open => {
                        query.locals = self.locals_behind(definition, document);
                        self.open.insert(definition);
                        self.queries.push(query);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whatever has been tried.
    fn known(&self) -> impl Iterator<Item = Definition> {
        self.values.keys().chain(&self.failed).chain(&self.open).copied()
    }

    /// The locals that have a value.
    fn locals(&self, document: &Document) -> BTreeMap<String, Value> {
        let sound = self.values.iter().filter(|(definition, _)| !self.failed.contains(definition));
        let local = |(definition, value): (&Definition, &Value)| match definition {
            Definition::Local(i) => Some((document.locals[*i].name.clone(), value.clone())),
            Definition::Data(_) => None,
        };
        sound.filter_map(local).collect()
    }

    /// Every local that a definition is made of, directly or not.
    fn locals_behind(&self, definition: Definition, document: &Document) -> BTreeMap<String, Value> {
        let mut found = BTreeMap::new();
        let mut seen = HashSet::new();
        let mut waiting = vec![definition];
        while let Some(next) = waiting.pop() {
            let needs = self.needs.get(&next).into_iter().flatten();
            waiting.extend(needs.filter(|need| seen.insert(**need)));
            if let (Definition::Local(i), Some(value)) = (next, self.values.get(&next)) {
                found.insert(document.locals[i].name.clone(), value.clone());
            }
        }
        found
    }

    /// The scope in which these definitions have their values.
    fn scope(&self, definitions: &[Definition], document: &Document, base: &Scope) -> Scope {
        let mut locals = BTreeMap::new();
        let mut data: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
        for definition in definitions {
            let value = match (self.values.get(definition), self.gaps) {
                (Some(value), _) => value.clone(),
                (None, Gaps::Unknown) => Value::unknown(Type::Any),
                (None, Gaps::Absent) => continue,
            };
            match definition {
                Definition::Local(i) => {
                    locals.insert(document.locals[*i].name.clone(), value);
                }
                Definition::Data(i) => {
                    let source = &document.data_blocks[*i];
                    data.entry(source.kind.clone()).or_default().insert(source.name.clone(), value);
                }
            }
        }
        let data = data.into_iter().map(|(kind, named)| (kind, Value::object(named)));
        base.clone().with("local", Value::object(locals)).with("data", Value::object(data))
    }
}

/// The error of a data source without an answer: its words are the summary, as in Packer.
fn unanswered(query: &DataQuery, reason: String, source: &DataBlock) -> Diagnostic {
    let detail = format!("The data source {} gave no answer.", query.id);
    Diagnostic::error(reason, detail).at(source.block.header.clone()).within(source.block.header_text())
}

fn notices(query: &DataQuery, inputs: Inputs<'_>) -> Vec<Diagnostic> {
    let told = inputs.answers.notices.get(&query.id).into_iter().flatten();
    let warning = |notice: &String| {
        let summary = format!("Answer of data source {}", query.id);
        Diagnostic::warning(summary, format!("{notice}.")).at(query.component.span.clone())
    };
    told.map(warning).collect()
}

fn data_query(
    document: &Document,
    index: usize,
    scope: &Scope,
    place: (&str, Inputs<'_>),
) -> Result<DataQuery, Diagnostics> {
    let (root, inputs) = place;
    let source = &document.data_blocks[index];
    let wanted = missing::Wanted {
        kind: ComponentKind::DataSource,
        name: &source.kind,
        summary: &format!("Unknown data type {}", source.kind),
        span: &source.block.header,
    };
    let required = missing::Required::Hcl2(&document.required_plugins);
    if let Some(complaint) = missing::complaint(wanted, inputs, required) {
        return Err(complaint.into());
    }
    let mut found = Diagnostics::new();
    for dynamic in source.block.body.blocks_of("dynamic") {
        let detail = "Blocks of type \"dynamic\" are not expected here.";
        found.push(Diagnostic::error("Unsupported block type", detail).at(dynamic.kind_span.clone()));
    }
    let reading = Reading { skip: &[], run_time: None };
    let body = body::read(&source.block.body, scope, reading, &mut found);
    let component = ComponentConfig {
        kind: ComponentKind::DataSource,
        name: source.kind.clone(),
        span: Some(source.block.header.clone()),
        body,
    };
    if let Some(catalog) = inputs.catalog {
        found.extend(crate::check::hcl2(&component, catalog));
    }
    match found.has_errors() {
        true => Err(found.into_iter().map(|d| d.within(source.block.header_text())).collect()),
        false => Ok(DataQuery {
            id: format!("{}.{}", source.kind, source.name),
            component,
            facts: inputs.facts(root),
            locals: BTreeMap::new(),
        }),
    }
}
