//! Builders whose type has a new name. A builder without a name is called by its type, so that whoever refers to
//! it has to learn the new one.

use serde_json::Value;

use super::Rewrite;
use super::template::{Options, Template, kind};

pub(super) const VIRTUALBOX: Rewrite = Rewrite {
    name: "virtualbox-rename",
    help: "Calls \"virtualbox\" builders \"virtualbox-iso\"",
    apply: |template| retype(template, "virtualbox", "virtualbox-iso"),
};

pub(super) const VMWARE: Rewrite = Rewrite {
    name: "vmware-rename",
    help: "Calls \"vmware\" builders \"vmware-iso\"",
    apply: |template| retype(template, "vmware", "vmware-iso"),
};

pub(super) const PROXMOX: Rewrite = Rewrite {
    name: "proxmox-type",
    help: "Calls \"proxmox\" builders \"proxmox-iso\"",
    apply: |template| retype(template, "proxmox", "proxmox-iso"),
};

fn retype(template: &mut Template, old: &str, new: &str) {
    for options in template.builders_of(|kind| kind == old) {
        options.insert("type".to_owned(), new.into());
    }
    let (mut still_there, mut there_now) = (false, false);
    for options in template.builders() {
        still_there |= name(options) == old;
        there_now |= name(options) == new;
    }
    // Who refers to a builder that bears the old name still means that one.
    if still_there || !there_now {
        return;
    }
    for options in template.provisioners() {
        refer(options, old, new);
        if let Some(Value::Object(overrides)) = options.get_mut("override")
            && let Some(over) = overrides.remove(old)
        {
            overrides.insert(new.to_owned(), over);
        }
    }
    template.post_processors().for_each(|options| refer(options, old, new));
}

fn name(options: &Options) -> &str {
    let name = options.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| kind(options))
}

fn refer(options: &mut Options, old: &str, new: &str) {
    for key in ["only", "except"] {
        match options.get_mut(key) {
            Some(Value::Array(names)) => {
                names.iter_mut().filter(|n| n.as_str() == Some(old)).for_each(|n| *n = new.into());
            }
            Some(one) if one.as_str() == Some(old) => *one = new.into(),
            _ => {}
        }
    }
}
