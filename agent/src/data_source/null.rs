//! The data source `null`: answers with what it was asked. For tests, and to order other data sources.

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{DataConfig, DataContext, DataSource, Factory};
use kiln_lang::types::ObjectAttribute;
use kiln_lang::{Diagnostic, Diagnostics, Type, Value};
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, OptionSchema};
use serde::Deserialize;

/// The data source and its option.
pub fn factory() -> Factory {
    let options =
        vec![OptionSchema::new("input", OptionType::String, "What it answers with, as `output`").required()];
    let answer = [("output".to_owned(), ObjectAttribute::required(Type::String))];
    Factory::data_source("null", options, Type::Object(answer.into()), make)
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    input: String,
}

#[derive(Debug)]
struct Echo {
    output: Value,
}

fn make(config: DataConfig) -> Made<Box<dyn DataSource>> {
    let Config { input } = config.decode()?;
    if input.is_empty() {
        let detail = "The data source null answers with its input, which must not be empty.";
        return Err(Diagnostic::error("input must be specified", detail).into());
    }
    let output = Value::from(input).marked(config.is_sensitive("input"));
    Ok((Box::new(Echo { output }), Diagnostics::new()))
}

#[async_trait]
impl DataSource for Echo {
    async fn read(&self, _: &DataContext) -> Result<Value, Failure> {
        Ok(Value::object([("output".to_owned(), self.output.clone())]))
    }
}
