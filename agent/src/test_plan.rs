//! The smallest plan, for tests.

use kiln_plan::build::{Dialect, PLAN_FORMAT, TemplateContext};
use kiln_plan::{BuildPlan, ComponentConfig, ComponentKind, ConfigBody, Requirements, RunOptions};

/// A plan of one builder without options, named `test`, in the run `run-1`.
pub(crate) fn plan(builder: &str) -> BuildPlan {
    BuildPlan {
        format: PLAN_FORMAT,
        name: format!("{builder}.test"),
        source_name: "test".into(),
        dialect: Dialect::Hcl2,
        builder: ComponentConfig {
            kind: ComponentKind::Builder,
            name: builder.to_owned(),
            span: None,
            body: ConfigBody::default(),
        },
        provisioners: vec![],
        error_cleanup: None,
        post_processors: vec![],
        facts: TemplateContext { run_uuid: "run-1".into(), ..Default::default() },
        options: RunOptions::default(),
        secrets: vec![],
        requirements: Requirements::default(),
        data: Vec::new(),
        bundle: None,
    }
}
