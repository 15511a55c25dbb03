//! The `vsphere-iso` builder can have several networks and disks: the options of the only one become the first
//! of a list.

use serde_json::{Map, Value};

use super::Rewrite;
use super::template::{Options, Template};

pub(super) const REWRITE: Rewrite = Rewrite {
    name: "vsphere-iso-net-disk",
    help: "Puts the network and the disk of \"vsphere-iso\" builders into \"network_adapters\" and \"storage\"",
    apply: lists,
};

fn lists(template: &mut Template) {
    for options in template.builders_of(|kind| kind == "vsphere-iso") {
        let old_card = options.remove("networkCard");
        if let (Some(card), false) = (old_card, options.contains_key("network_card")) {
            options.insert("network_card".to_owned(), card);
        }
        first_of(options, "network_adapters", &["network", "network_card"]);
        first_of(options, "storage", &["disk_size", "disk_thin_provisioned", "disk_eagerly_scrub"]);
    }
}

/// Makes the options of these names the first object of a list. A list that is none stays as it is, and so do
/// the options.
fn first_of(options: &mut Options, list: &str, names: &[&str]) {
    let mut items = match options.get(list) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(Value::Object(one)) => vec![Value::Object(one.clone())],
        Some(_) => return,
    };
    let taken = names.iter().filter_map(|name| Some(((*name).to_owned(), options.remove(*name)?)));
    let first: Map<String, Value> = taken.collect();
    if !first.is_empty() {
        items.insert(0, Value::Object(first));
        options.insert(list.to_owned(), Value::Array(items));
    }
}
