//! Submissions that cost nothing to evaluate: a request is a number, and as many plans come of it.

use kiln_coordinator::{Asked, Evaluated, Evaluator};
use kiln_lang::Diagnostics;
use kiln_plan::build::{Dialect, PLAN_FORMAT, TemplateContext};
use kiln_plan::id::RequestId;
use kiln_plan::{BuildPlan, ComponentConfig, ComponentKind, ConfigBody, Requirements, RunOptions};
use kiln_proto::submission::SubmitRequest;

/// Makes as many plans as the request's number says.
#[derive(Debug)]
pub(super) struct Plans;

impl Evaluator for Plans {
    fn evaluate(&self, asked: &Asked<'_>) -> Evaluated {
        let tasks: u64 = serde_json::from_slice(asked.request).unwrap_or(1);
        let plans = (0..tasks).map(plan).collect();
        Evaluated { plans, diagnostics: Diagnostics::new(), questions: Vec::new() }
    }
}

/// The request for so many tasks. Sent again, it makes no second build.
pub(super) fn request(tasks: u64) -> SubmitRequest {
    let key = Some(RequestId::new(uuid::Uuid::new_v4()));
    SubmitRequest { request: tasks.to_string().into_bytes().into(), key, ..SubmitRequest::default() }
}

fn plan(n: u64) -> BuildPlan {
    BuildPlan {
        format: PLAN_FORMAT,
        name: format!("null.t{n}"),
        source_name: format!("t{n}"),
        dialect: Dialect::Hcl2,
        builder: ComponentConfig {
            kind: ComponentKind::Builder,
            name: "null".into(),
            span: None,
            body: ConfigBody::default(),
        },
        provisioners: vec![],
        error_cleanup: None,
        post_processors: vec![],
        facts: TemplateContext::default(),
        options: RunOptions::default(),
        secrets: vec![],
        requirements: Requirements { components: ["builder/null".into()].into(), ..Requirements::default() },
        data: Vec::new(),
        bundle: None,
    }
}
