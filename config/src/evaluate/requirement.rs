//! What a machine must offer, read off a plan's builder.

use kiln_lang::convert::primitive_text;
use kiln_plan::{BuildPlan, ComponentConfig, Leaf, Requirements};

/// The requirements of a plan that is otherwise complete.
pub(super) fn of(plan: &BuildPlan) -> Requirements {
    let builder = std::iter::once(&plan.builder);
    let provisioners = plan.provisioners.iter().chain(&plan.error_cleanup).map(|p| &p.component);
    let post_processors = plan.post_processors.iter().flatten().map(|p| &p.component);
    let all = builder.chain(provisioners).chain(post_processors);
    Requirements {
        components: all.map(|c| format!("{}/{}", c.kind.noun().replace(' ', "-"), c.name)).collect(),
        cpus: u32::try_from(whole(&plan.builder, "cpus")).unwrap_or(0),
        memory_mib: whole(&plan.builder, "memory"),
        ..Requirements::default()
    }
}

/// An option that is a whole number, 0 when it isn't known.
fn whole(component: &ComponentConfig, option: &str) -> u64 {
    match component.body.attribute(option) {
        Some(Leaf::Value(value)) => {
            primitive_text(value).and_then(|text| text.parse().ok()).unwrap_or_default()
        }
        _ => 0,
    }
}
