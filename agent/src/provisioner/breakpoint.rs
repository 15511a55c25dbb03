//! `breakpoint`: stops and waits for a person.

use async_trait::async_trait;
use kiln_component::factory::Made;
use kiln_component::{Factory, FinishedConfig, ProvisionContext, Provisioner};
use kiln_lang::Diagnostics;
use kiln_plan::schema::OptionType;
use kiln_plan::{Failure, Fault, OptionSchema};
use serde::Deserialize;

use super::remote;

/// The options, as a template gives them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    note: String,
    disable: bool,
}

/// How it is made.
pub fn factory() -> Factory {
    let options = vec![
        OptionSchema::new("note", OptionType::String, "what to tell the person"),
        OptionSchema::new("disable", OptionType::Bool, "don't stop").default("false"),
    ];
    Factory::provisioner("breakpoint", options, make)
}

fn make(config: FinishedConfig) -> Made<Box<dyn Provisioner>> {
    Ok((Box::new(Breakpoint { options: config.decode()? }), Diagnostics::new()))
}

/// The provisioner.
#[derive(Debug)]
pub struct Breakpoint {
    options: Options,
}

#[async_trait]
impl Provisioner for Breakpoint {
    async fn provision(&self, cx: &ProvisionContext<'_>) -> Result<(), Failure> {
        let reporter = &cx.task.reporter;
        let note = match self.options.note.as_str() {
            "" => String::new(),
            note => format!(" with note {note:?}"),
        };
        if self.options.disable {
            reporter.say(format!("Breakpoint provisioner{note} disabled; continuing..."));
            return Ok(());
        }
        reporter.say(format!("Pausing at breakpoint provisioner{note}."));
        let answer = reporter.ask("Press enter to continue.");
        match remote::unless_cancelled(cx, answer).await? {
            Some(_) => Ok(()),
            None => Err(Failure::new(Fault::Template, "nobody can press enter at the breakpoint")
                .hint("run the build on a terminal, or set disable = true")),
        }
    }
}
