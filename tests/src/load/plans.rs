//! Submissions that cost nothing to evaluate: a request is a number, and as many plans come of it.

use kiln_coordinator::{Asked, Evaluated, Evaluator};
use kiln_lang::Diagnostics;
use kiln_plan::id::RequestId;
use kiln_plan::{BuildPlan, ComponentConfig, ComponentKind, Requirements};
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
    let builder = ComponentConfig::bare(ComponentKind::Builder, "null");
    let requirements = Requirements { components: ["builder/null".into()].into(), ..Requirements::default() };
    BuildPlan { requirements, ..BuildPlan::of_builder(builder, format!("t{n}")) }
}
