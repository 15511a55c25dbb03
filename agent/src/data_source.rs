//! Data sources: questions of an evaluation, answered on this machine before the build.

pub mod http;
pub mod null;

use std::collections::BTreeMap;
use std::time::Duration;

use kiln_component::factory::Make;
use kiln_component::{DataConfig, DataContext, Factory, render};
use kiln_lang::{Diagnostics, Severity, Value};
use kiln_plan::{BodyItem, ConfigBody, DataAnswer, DataQuery, Failure, Fault, Leaf, Redactor};
use tokio_util::sync::CancellationToken;

use crate::catalog::Factories;

/// The longest that one question may take, and what is then left to the evaluation is to fail.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The data sources that are part of this program.
pub fn factories() -> [Factory; 2] {
    [http::factory(), null::factory()]
}

/// Answers a question; never longer than [`PATIENCE`]. What is sensitive in the question is told in no failure.
pub async fn answer(query: &DataQuery, factories: &Factories, cancel: CancellationToken) -> DataAnswer {
    let context = DataContext::new(cancel.clone());
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(PATIENCE, read(query, factories, &context)) => {
            outcome.unwrap_or_else(|_| {
                let told = format!("data source {} gave no answer within {} s", query.id, PATIENCE.as_secs());
                Err(Failure::new(Fault::Machine, told))
            })
        }
        () = cancel.cancelled() => Err(Failure::cancelled()),
    };
    let redactor = Redactor::new(query.secrets());
    let told = |text: &str| redactor.redact(text).into_owned();
    DataAnswer {
        outcome: outcome.map_err(|failure| match &failure.hint {
            Some(hint) => told(&format!("{failure}; {hint}")),
            None => told(&failure.message),
        }),
        notices: context.notices().iter().map(|notice| told(notice)).collect(),
    }
}

async fn read(query: &DataQuery, factories: &Factories, context: &DataContext) -> Result<Value, Failure> {
    let component = &query.component;
    let factory = factories.get(component.kind, &component.name).ok_or_else(|| {
        Failure::new(Fault::Machine, format!("this machine has no data source {:?}", component.name))
    })?;
    let Make::DataSource(make) = factory.make else {
        let told = format!("{:?} is a {}, no data source", component.name, component.kind.noun());
        return Err(Failure::new(Fault::Template, told));
    };
    let renderer = render::before_the_build(&query.facts);
    let late = |name: &str| factory.schema.option(name).is_some_and(|option| option.late);
    let options = renderer.render_tree(&options(&component.body), &late).map_err(|errors| {
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(Fault::Template, told.join("; "))
    })?;
    let (source, _) = make(DataConfig { options }).map_err(|found| wrong(&found))?;
    source.read(context).await
}

/// A body as an object: option name to value, nested blocks as tuples of objects.
fn options(body: &ConfigBody) -> Value {
    let mut options: BTreeMap<String, Value> = BTreeMap::new();
    let mut blocks: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for item in &body.items {
        match item {
            BodyItem::Attribute { name, leaf: Leaf::Value(value), .. } => {
                options.insert(name.clone(), value.clone());
            }
            // Nothing waits for a build that there isn't yet.
            BodyItem::Attribute { .. } => {}
            BodyItem::Block { name, body, .. } => blocks.entry(name).or_default().push(self::options(body)),
        }
    }
    options.extend(blocks.into_iter().map(|(name, objects)| (name.to_owned(), Value::tuple(objects))));
    Value::object(options)
}

fn wrong(found: &Diagnostics) -> Failure {
    let errors = found.iter().filter(|d| d.severity == Severity::Error);
    let told: Vec<String> = errors.map(|d| format!("{}: {}", d.summary, d.detail)).collect();
    Failure::new(Fault::Template, told.join("; "))
}

#[cfg(test)]
mod tests;
