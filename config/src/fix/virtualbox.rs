//! Options of the VirtualBox builders.

use serde_json::Value;

use super::Rewrite;
use super::template::{Newer, rename, weak_bool};

pub(super) const GUEST_ADDITIONS: Rewrite = Rewrite {
    name: "virtualbox-gaattach",
    help: "Replaces \"guest_additions_attach\" of VirtualBox builders by \"guest_additions_mode\"",
    apply: |template| {
        for options in template.builders_of(|kind| kind == "virtualbox") {
            let Some(attach) = options.get("guest_additions_attach").and_then(weak_bool) else { continue };
            options.remove("guest_additions_attach");
            let mode = if attach { "attach" } else { "upload" };
            options.insert("guest_additions_mode".to_owned(), Value::from(mode));
        }
    },
};

pub(super) const PORTS: Rewrite = Rewrite {
    name: "comm-config",
    help: "Takes \"ssh_\" from the names of the options about forwarded ports of VirtualBox builders",
    apply: |template| {
        for options in template.builders_of(|kind| kind.starts_with("virtualbox")) {
            for new in ["host_port_min", "host_port_max", "skip_nat_mapping"] {
                rename(options, &format!("ssh_{new}"), new, Newer::Stays);
            }
        }
    },
};
