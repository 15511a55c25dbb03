//! The check of a plan before it runs: every component is made, with placeholders for the values of the run, and
//! dropped again. Starts nothing, fetches nothing, writes nothing.

use std::sync::Arc;

use kiln_lang::Diagnostics;
use kiln_plan::BuildPlan;

use super::finish_config::Moment;
use super::make::Maker;
use crate::catalog::Factories;

/// Everything that is wrong with a plan's components, as far as it can be known without running them.
pub fn check(plan: &Arc<BuildPlan>, factories: &Factories) -> Diagnostics {
    let maker = Maker { plan, factories };
    let mut found = Diagnostics::new();
    found.extend(findings(maker.builder(Moment::Check)));
    for provisioner in plan.provisioners.iter().chain(&plan.error_cleanup) {
        found.extend(findings(maker.provisioner(&provisioner.component, Moment::Check)));
    }
    for post_processor in plan.post_processors.iter().flatten() {
        found.extend(findings(maker.post_processor(&post_processor.component, Moment::Check)));
    }
    found
}

fn findings<T>(made: Result<(T, Diagnostics), Diagnostics>) -> Diagnostics {
    match made {
        Ok((_, warnings)) => warnings,
        Err(all) => all,
    }
}
