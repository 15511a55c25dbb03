//! Lines that are expressions over an HCL2 template.

use std::collections::BTreeMap;

use kiln_lang::evaluate::evaluate;
use kiln_lang::format_value::{console_text, go_quoted};
use kiln_lang::scope::Scope;
use kiln_lang::{Diagnostics, SourceFile, Type, Value, parse};
use kiln_plan::secret::Redactor;

use super::super::global::{self, Gaps};
use super::super::{Inputs, inspect};
use crate::data_source::DataQuery;
use crate::template::hcl2::Document;
use crate::variables::Assignments;

/// What `help` says.
pub(super) const HELP: &str = "\
This console evaluates expressions of HCL2 as the template would. An example:

  > upper(var.name)

variables    shows every variable and local with its value
help         shows this
exit         leaves, as Control-C on an empty line does

Text with actions such as {{timestamp}} belongs to JSON templates and stays as it is.";

/// What lines see.
#[derive(Debug)]
pub(super) struct Session {
    scope: Scope,
    variables: BTreeMap<String, Value>,
    locals: BTreeMap<String, Value>,
    redactor: Redactor,
}

impl Session {
    /// # Errors
    /// Questions that come first.
    pub(super) fn open(
        document: &Document,
        assignments: &Assignments,
        root: &str,
        inputs: Inputs<'_>,
    ) -> Result<Self, Vec<DataQuery>> {
        let globals = global::evaluate_globals(document, assignments, root, inputs, Gaps::Absent);
        if !globals.queries.is_empty() {
            return Err(globals.queries);
        }
        let secrets = inspect::secrets(document, &globals);
        let redactor = Redactor::new(secrets.iter().map(String::as_str));
        // What exists only while a build runs has no names yet; data sources are seen through locals alone.
        let build = Value::unknown(Type::Object(BTreeMap::new()));
        let scope = globals.scope.with("build", build).without("data");
        Ok(Self { scope, variables: globals.variables, locals: globals.locals, redactor })
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn evaluate(&self, line: &SourceFile) -> Result<String, Diagnostics> {
        let expression = parse::expression(line)?;
        Ok(self.shown(&evaluate(&expression, &self.scope)?))
    }

    /// Variables and locals as `inspect` lists them.
    pub(super) fn variables(&self) -> String {
        let lines = |root: &str, values: &BTreeMap<String, Value>| -> String {
            let line = |(name, value)| format!("{root}.{name}: {}\n", go_quoted(&self.shown(value)));
            values.iter().map(line).collect()
        };
        format!(
            "> input-variables:\n\n{}\n> local-variables:\n\n{}",
            lines("var", &self.variables),
            lines("local", &self.locals)
        )
    }

    fn shown(&self, value: &Value) -> String {
        console_text(&inspect::open(value, &self.redactor))
    }
}
