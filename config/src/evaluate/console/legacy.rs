//! Lines that are texts of a legacy template, with its variables.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiln_lang::go_template::{Place, Renderer, World};
use kiln_lang::{Diagnostic, Diagnostics, Span};
use kiln_plan::secret::Redactor;

use super::super::Inputs;
use super::super::legacy::{HostWorld, template_facts};
use super::INPUT;
use crate::secret_desk::SecretDesk;
use crate::template::legacy::{Document, Variables};

/// What `help` says.
pub(super) const HELP: &str = "\
This console renders text as a JSON template would. An example:

  > {{user `name`}}-{{timestamp}}

variables    shows every variable with its value
help         shows this
exit         leaves, as Control-C on an empty line does

For expressions of HCL2 without a template, start it with -config-type=hcl2.";

/// What lines see.
pub(super) struct Session {
    variables: BTreeMap<String, String>,
    renderer: Renderer,
    redactor: Redactor,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("renderer", &self.renderer).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn open(
        document: &Document,
        given: &BTreeMap<String, String>,
        root: &str,
        inputs: Inputs<'_>,
    ) -> Self {
        let facts = template_facts(&inputs.facts(root), inputs);
        let desk = SecretDesk::new(inputs.host);
        let world: Arc<dyn World> = Arc::new(HostWorld::new(inputs.host, &desk));
        let variables = Variables::possible(document, given, facts, &world);
        let answers = desk.take();
        let secrets = variables.secrets().chain(&answers);
        Self {
            variables: variables.values().clone(),
            redactor: Redactor::new(secrets.map(String::as_str)),
            renderer: Renderer::new(variables.facts.clone(), world, Place::Component),
        }
    }

    /// The names of the variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    pub(super) fn render(&self, line: &str) -> Result<String, Diagnostics> {
        match self.renderer.render(line) {
            Ok(rendered) => Ok(self.redactor.redact(&rendered.text).into_owned()),
            Err(error) => {
                let reason = match error.position {
                    Some((_, column)) => format!("{} at column {column}", error.reason),
                    None => error.reason.to_string(),
                };
                let span = Span::new(INPUT, 0, line.len());
                Err(Diagnostic::error("Interpolation error", reason).at(span).into())
            }
        }
    }

    pub(super) fn variables(&self) -> String {
        let line = |(name, value): (&String, &String)| format!("{name}: {},\n", self.redactor.redact(value));
        format!("\n{}", self.variables.iter().map(line).collect::<String>())
    }
}
