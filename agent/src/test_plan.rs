//! The smallest plan, for tests.

use kiln_plan::build::TemplateContext;
use kiln_plan::{BuildPlan, ComponentConfig, ComponentKind};

/// A plan of one builder without options, named `test`, in the run `run-1`.
pub(crate) fn plan(builder: &str) -> BuildPlan {
    let builder = ComponentConfig::bare(ComponentKind::Builder, builder);
    let facts = TemplateContext { run_uuid: "run-1".into(), ..TemplateContext::default() };
    BuildPlan { facts, ..BuildPlan::of_builder(builder, "test") }
}
