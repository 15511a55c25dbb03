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
use crate::template::hcl2::Document;
use crate::template::hcl2::data::DataBlock;
use crate::variables::{self, Assignments};
use crate::world_function;

/// The names that stand for the same everywhere, and what must not be shown.
#[derive(Debug)]
pub(super) struct Globals {
    /// `var`, `local`, `data`, `path`, `packer`; `source` is unknown.
    pub(super) scope: Scope,
    pub(super) secrets: Vec<String>,
    /// The answers that went into them.
    pub(super) data: Vec<DataOrigin>,
    /// What data sources want to be known besides.
    pub(super) notices: Diagnostics,
}

/// Why there are no globals.
#[derive(Debug)]
pub(super) enum Stop {
    /// Questions come first.
    NeedsData(Vec<DataQuery>),
    /// Something is wrong.
    Failed(Diagnostics),
}

impl From<Diagnostics> for Stop {
    fn from(found: Diagnostics) -> Self {
        Stop::Failed(found)
    }
}

/// Evaluates variables, locals and data sources.
pub(super) fn evaluate_globals(
    document: &Document,
    assignments: &Assignments,
    root: &str,
    inputs: Inputs<'_>,
) -> Result<Globals, Stop> {
    let started = inputs.request.started_ns;
    let in_working_directory = world_function::all(inputs.host, "", started);
    let (values, found) = variables::bind(&document.variables, assignments, &in_working_directory);
    if found.has_errors() {
        return Err(found.into());
    }
    let mut secrets = Vec::new();
    for value in values.values() {
        variables::secrets_in(value, &mut secrets);
    }
    let functions = world_function::all(inputs.host, root, started);
    let base = base_scope(&functions, values, root, inputs);
    let mut evaluated = Evaluated::default();
    for (definition, needs) in locals::order(document)?.definitions {
        evaluated.add(definition, &needs, (document, &base, root), inputs)?;
    }
    if !evaluated.queries.is_empty() {
        return Err(Stop::NeedsData(evaluated.queries));
    }
    let all: Vec<Definition> = evaluated.values.keys().copied().collect();
    let scope = evaluated.scope(&all, document, &base);
    secrets.extend(evaluated.secrets);
    secrets.retain(|s| !s.is_empty());
    secrets.sort();
    secrets.dedup();
    let data = inputs.answers.origins.values().cloned().collect();
    Ok(Globals { scope, secrets, data, notices: evaluated.notices })
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
            let Some(value) = self.values.get(definition) else { continue };
            match definition {
                Definition::Local(i) => {
                    locals.insert(document.locals[*i].name.clone(), value.clone());
                }
                Definition::Data(i) => {
                    let source = &document.data_blocks[*i];
                    data.entry(source.kind.clone()).or_default().insert(source.name.clone(), value.clone());
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
    if let Some(complaint) = missing::complaint(wanted, inputs.catalog, &document.required_plugins) {
        return Err(complaint.into());
    }
    let mut found = Diagnostics::new();
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
