//! The values that exist only while a build runs: what `build.ID` and `{{ build "ID" }}` stand for, before the guest is
//! there, while it is, and after it.

use std::collections::BTreeMap;

use kiln_component::{Factory, GeneratedData};
use kiln_lang::Value;
use kiln_plan::BuildPlan;
use kiln_plan::build::USUAL_VALUES;

/// What stands for a value that isn't known: a known text, as Packer's templates expect.
const UNKNOWN: &str = "<unknown>";

/// What a builder that doesn't know such a value lets templates see.
const NOT_IMPLEMENTED: [(&str, &str); 4] = [
    ("ID", "ERR_ID_NOT_IMPLEMENTED_BY_BUILDER"),
    ("PackerHTTPIP", "ERR_HTTP_IP_NOT_IMPLEMENTED_BY_BUILDER"),
    ("PackerHTTPPort", "ERR_HTTP_PORT_NOT_IMPLEMENTED_BY_BUILDER"),
    ("PackerHTTPAddr", "ERR_HTTP_ADDR_NOT_IMPLEMENTED_BY_BUILDER"),
];

/// The `build` object: `generated`, and `<unknown>` for whatever else the builder may offer.
pub(super) fn build_object(plan: &BuildPlan, builder: Option<&Factory>, generated: &GeneratedData) -> Value {
    let offered = builder.map(|f| f.schema.generated.as_slice()).unwrap_or_default();
    let names = USUAL_VALUES.into_iter().chain(offered.iter().map(|name| &**name));
    let mut values: BTreeMap<String, Value> =
        names.map(|name| (name.to_owned(), Value::from(UNKNOWN))).collect();
    values.extend(generated.values.clone());
    values.insert("name".to_owned(), Value::from(plan.facts.block_name.as_str()));
    Value::object(values)
}

/// What a builder tells of its guest, and what holds for every guest.
pub(super) fn of_guest(plan: &BuildPlan, told: &GeneratedData) -> GeneratedData {
    let mut all = told.clone();
    let run_uuid = ("PackerRunUUID", plan.facts.run_uuid.as_str());
    for (name, value) in NOT_IMPLEMENTED.into_iter().chain([run_uuid]) {
        all.values.entry(name.to_owned()).or_insert_with(|| Value::from(value));
    }
    all
}

/// The texts among `generated` that must not be shown. The guest's password isn't one by itself: where it is a
/// secret, the variable that holds it says so; where a template writes `vagrant` openly, hiding the word
/// everywhere would only mangle what people read.
pub(super) fn secrets(generated: &GeneratedData) -> impl Iterator<Item = &str> {
    let secret = |(name, value): &(&String, &Value)| value.sensitive && *name != "Password";
    generated.values.iter().filter(secret).filter_map(|(_, value)| value.as_str())
}
