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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::communicator::testing::bounded;
    use crate::provisioner::testing::Bench;
    use crate::provisioner::tests::expect_fields;

    #[test]
    fn the_schema_is_what_is_decoded() {
        expect_fields::<Options>(&factory().schema.options);
    }

    #[tokio::test]
    async fn a_disabled_breakpoint_says_so_and_goes_on() {
        let bench = Bench::alone();
        bounded(bench.run("breakpoint", json!({"disable": true, "note": "look"}))).await.unwrap();
        assert!(bench.said("Breakpoint provisioner with note \"look\" disabled; continuing..."));
    }

    #[tokio::test]
    async fn a_breakpoint_that_nobody_can_answer_fails_instead_of_waiting_for_ever() {
        let bench = Bench::alone();
        let failure = bounded(bench.run("breakpoint", json!({}))).await.unwrap_err();
        assert!(failure.message.contains("nobody can press enter"), "{failure:?}");
        assert!(failure.hint.unwrap().contains("disable = true"));
        assert!(bench.said("Pausing at breakpoint provisioner."));
    }

    #[tokio::test]
    async fn a_cancelled_breakpoint_ends() {
        let bench = Bench::alone();
        bench.task.cx.cancel.cancel();
        assert!(bounded(bench.run("breakpoint", json!({}))).await.unwrap_err().cancelled);
    }
}
