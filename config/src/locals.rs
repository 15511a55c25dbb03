//! The order in which locals and data sources are evaluated: each after those that it mentions.
//!
//! Mentions are textual: what stands in a branch that is never taken counts too, and so does a name that a
//! `for` variable hides.

use std::collections::{BTreeSet, HashMap, HashSet};

use kiln_lang::diagnostic::nearest;
use kiln_lang::syntax::Reference;
use kiln_lang::{Diagnostic, Diagnostics, Span};

use crate::template::hcl2::{Document, data};

/// Something that is evaluated once for the whole template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Definition {
    /// The local at this index of the document.
    Local(usize),
    /// The data source at this index.
    Data(usize),
}

/// Definitions in an order in which they can be evaluated, each with what it mentions.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) definitions: Vec<(Definition, Vec<Definition>)>,
    /// Those that can't be: they mention what isn't declared, or go round in a circle, or wait for one that does.
    pub(crate) hopeless: HashSet<Definition>,
    /// What is wrong with them.
    pub(crate) complaints: Diagnostics,
}

/// After so many undeclared names no more are looked for.
const MOST_FINDINGS: usize = 500;

/// How many parts of a cycle are told.
const LONGEST_CYCLE: usize = 20;

const SUMMARY: &str = "failed to prepare execution graph";

/// Finds an order.
pub(crate) fn order(document: &Document) -> Order {
    let names = Names::of(document);
    let mut complaints = Diagnostics::new();
    let mut hopeless = HashSet::new();
    let mut needs = Vec::new();
    for definition in names.definitions() {
        let (name, references) = names.describe(definition);
        let mut mentioned = Vec::new();
        let mut seen = HashSet::new();
        let mut sound = true;
        for reference in references {
            match names.target(&reference) {
                Some(Ok(target)) if target == definition => {
                    sound = false;
                    let detail = format!("Self reference: {name}");
                    complaints.push(Diagnostic::error(SUMMARY, detail).at(names.span(definition)));
                }
                Some(Ok(target)) if seen.insert(target) => mentioned.push(target),
                Some(Err(missing)) => {
                    sound = false;
                    if complaints.len() < MOST_FINDINGS {
                        complaints.push(names.undeclared(&name, &missing, &reference));
                    }
                }
                _ => {}
            }
        }
        if !sound {
            hopeless.insert(definition);
        }
        needs.push((definition, mentioned));
    }
    let (mut definitions, waiting, index) = take_ready(&needs);
    if let Some(start) = (0..needs.len()).find(|i| waiting[*i] > 0) {
        complaints.push(cycle(start, &needs, &index, &waiting, &names));
    }
    hopeless.extend((0..needs.len()).filter(|i| waiting[*i] > 0).map(|i| needs[i].0));
    definitions.retain(|(definition, _)| !hopeless.contains(definition));
    Order { definitions, hopeless, complaints }
}

type Needs = (Definition, Vec<Definition>);

/// Takes what needs nothing more, until nothing is left or the rest is in cycles; how many needs of each are left, and
/// where each stands.
fn take_ready(needs: &[Needs]) -> (Vec<Needs>, Vec<usize>, HashMap<Definition, usize>) {
    let index: HashMap<Definition, usize> = needs.iter().enumerate().map(|(i, (n, _))| (*n, i)).collect();
    let mut waiting: Vec<usize> = needs.iter().map(|(_, mentioned)| mentioned.len()).collect();
    let mut wanted_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (i, (_, mentioned)) in needs.iter().enumerate() {
        for target in mentioned {
            wanted_by[index[target]].push(i);
        }
    }
    let mut ready: BTreeSet<usize> = (0..needs.len()).filter(|i| waiting[*i] == 0).collect();
    let mut definitions = Vec::with_capacity(needs.len());
    while let Some(i) = ready.pop_first() {
        definitions.push(needs[i].clone());
        for &later in &wanted_by[i] {
            waiting[later] -= 1;
            if waiting[later] == 0 {
                ready.insert(later);
            }
        }
    }
    (definitions, waiting, index)
}

/// Follows what is left until it comes round.
fn cycle(
    start: usize,
    needs: &[(Definition, Vec<Definition>)],
    index: &HashMap<Definition, usize>,
    waiting: &[usize],
    names: &Names<'_>,
) -> Diagnostic {
    let mut path = vec![start];
    let mut places = HashMap::from([(start, 0)]);
    let round = loop {
        let last = path[path.len() - 1];
        let next = needs[last].1.iter().map(|n| index[n]).find(|i| waiting[*i] > 0).unwrap_or(start);
        if let Some(at) = places.get(&next) {
            break &path[*at..];
        }
        places.insert(next, path.len());
        path.push(next);
    };
    // A long one says no more in whole.
    let round: Vec<String> =
        round.iter().take(LONGEST_CYCLE).map(|i| names.describe(needs[*i].0).0).collect();
    Diagnostic::error(SUMMARY, format!("Cycle: {}", round.join(", "))).at(names.span(needs[start].0))
}

struct Names<'a> {
    document: &'a Document,
    locals: HashMap<&'a str, usize>,
    data: HashMap<(&'a str, &'a str), usize>,
}

impl<'a> Names<'a> {
    fn of(document: &'a Document) -> Self {
        let locals = document.locals.iter().enumerate().map(|(i, l)| (l.name.as_str(), i)).collect();
        let data = document.data_blocks.iter().enumerate();
        let data = data.map(|(i, d)| ((d.kind.as_str(), d.name.as_str()), i)).collect();
        Self { document, locals, data }
    }

    fn definitions(&self) -> Vec<Definition> {
        let data = (0..self.document.data_blocks.len()).map(Definition::Data);
        data.chain((0..self.document.locals.len()).map(Definition::Local)).collect()
    }

    /// What messages call a definition, and what it mentions.
    fn describe(&self, definition: Definition) -> (String, Vec<Reference>) {
        match definition {
            Definition::Local(i) => {
                let local = &self.document.locals[i];
                (format!("local.{}", local.name), local.expression.references())
            }
            Definition::Data(i) => {
                let source = &self.document.data_blocks[i];
                (format!("data.{}.{}", source.kind, source.name), data::references(&source.block.body))
            }
        }
    }

    /// The complaint about a name that isn't declared.
    fn undeclared(&self, name: &str, missing: &str, reference: &Reference) -> Diagnostic {
        let detail = format!("{name} refers to {missing}, which is not declared.");
        let complaint = Diagnostic::error(SUMMARY, detail).at(reference.span.clone());
        match self.similar(missing) {
            Some(similar) => complaint.hint(format!("did you mean {similar}?")),
            None => complaint,
        }
    }

    /// The declared local or data source whose name is nearest to one that isn't declared.
    fn similar(&self, missing: &str) -> Option<String> {
        if let Some(name) = missing.strip_prefix("local.") {
            let near = nearest(name, self.locals.keys().copied());
            let variable = || self.document.variables.iter().find(|v| v.name == name);
            return near
                .map(|near| format!("local.{near}"))
                .or_else(|| variable().map(|v| format!("var.{}", v.name)));
        }
        let known: Vec<String> = self.data.keys().map(|(kind, name)| format!("data.{kind}.{name}")).collect();
        nearest(missing, known.iter().map(String::as_str)).map(str::to_owned)
    }

    fn span(&self, definition: Definition) -> Span {
        match definition {
            Definition::Local(i) => self.document.locals[i].span.clone(),
            Definition::Data(i) => self.document.data_blocks[i].block.header.clone(),
        }
    }

    /// What a reference means: nothing of ours, a definition, or something that isn't declared.
    fn target(&self, reference: &Reference) -> Option<Result<Definition, String>> {
        match (reference.root.as_str(), reference.step(0), reference.step(1)) {
            ("local", Some(name), _) => {
                let definition = self.locals.get(name).map(|i| Definition::Local(*i));
                Some(definition.ok_or_else(|| format!("local.{name}")))
            }
            ("data", Some(kind), Some(name)) => {
                let definition = self.data.get(&(kind, name)).map(|i| Definition::Data(*i));
                Some(definition.ok_or_else(|| format!("data.{kind}.{name}")))
            }
            _ => None,
        }
    }
}
