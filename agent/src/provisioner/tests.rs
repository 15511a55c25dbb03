//! What holds for all provisioners.

use kiln_lang::decode::field_names;

use super::factories;

#[test]
fn every_provisioner_stands_once_in_the_list() {
    let names: Vec<String> = factories().iter().map(|f| f.schema.name.to_string()).collect();
    let expected = ["ansible", "ansible-local", "breakpoint", "file", "shell", "shell-local", "sleep"];
    assert_eq!(names, expected);
}

/// Fails unless the options of a schema are the fields that they are decoded into.
#[track_caller]
pub(super) fn expect_fields<T: serde::de::DeserializeOwned>(schema: &[kiln_plan::OptionSchema]) {
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let options = sorted(schema.iter().map(|option| option.name.to_string()).collect());
    let fields = sorted(field_names::<T>().iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(options, fields, "schema on the left, struct on the right");
}
