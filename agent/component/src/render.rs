//! Go-template text on an agent: what a plan knows is said to the engine, and nothing of the world is asked any more.

use std::sync::Arc;

use kiln_lang::function::time::Moment;
use kiln_lang::go_template::{Place, Question, Renderer, TemplateFacts, World};
use kiln_plan::BuildPlan;
use kiln_plan::build::{Dialect, TemplateContext};

/// A renderer for the strings of a plan's components; the dot stands for nothing yet.
pub fn renderer(plan: &BuildPlan) -> Renderer {
    Renderer::new(Arc::new(facts(plan)), Arc::new(RunTime), Place::Component)
}

/// A renderer for the strings of a data source's config: there is no build and no builder yet.
pub fn before_the_build(known: &TemplateContext) -> Renderer {
    let facts = TemplateFacts {
        start: start(known),
        pwd: known.working_dir.clone(),
        packer_version: known.core_version.clone(),
        ..TemplateFacts::default()
    };
    Renderer::new(Arc::new(facts), Arc::new(RunTime), Place::Component)
}

fn start(known: &TemplateContext) -> Moment {
    const SECOND: i64 = 1_000_000_000;
    Moment {
        seconds: known.started_ns.div_euclid(SECOND),
        nanoseconds: u32::try_from(known.started_ns.rem_euclid(SECOND)).unwrap_or_default(),
    }
}

fn facts(plan: &BuildPlan) -> TemplateFacts {
    let legacy = plan.dialect == Dialect::LegacyJson;
    let known = &plan.facts;
    let variables = known.user_variables.iter();
    TemplateFacts {
        start: start(known),
        sensitive_variables: variables
            .clone()
            .filter(|(_, value)| plan.secrets.contains(value))
            .map(|(name, _)| name.clone())
            .collect(),
        // The engine needs the plain values; it marks what they flow into.
        user_variables: legacy.then(|| variables.map(|(n, v)| (n.clone(), v.reveal().clone())).collect()),
        build_name: Some(plan.source_name.clone()),
        build_type: Some(plan.builder.name.clone()),
        template_dir: legacy.then(|| known.template_dir.clone()),
        pwd: known.working_dir.clone(),
        packer_version: known.core_version.clone(),
    }
}

struct RunTime;

impl World for RunTime {
    fn uuid(&self) -> String {
        uuid::Uuid::now_v7().to_string()
    }

    fn ask(&self, _: Question<'_>) -> Result<String, String> {
        Err("an agent answers no questions about the world".to_owned())
    }
}
