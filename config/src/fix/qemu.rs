//! Options of the QEMU builder.

use serde_json::Value;

use super::Rewrite;
use super::template::{Newer, rename};

pub(super) const DISK_SIZE: Rewrite = Rewrite {
    name: "qemu-disk-size",
    help: "Writes the number \"disk_size\" of QEMU builders as a text with its unit",
    apply: |template| {
        for options in template.builders_of(|kind| kind == "qemu") {
            if let Some(Value::Number(size)) = options.get("disk_size") {
                let whole = size.as_f64().unwrap_or_default().trunc();
                let text = size.as_i64().map_or_else(|| format!("{whole}M"), |whole| format!("{whole}M"));
                options.insert("disk_size".to_owned(), text.into());
            }
        }
    },
};

pub(super) const PORTS: Rewrite = Rewrite {
    name: "qemu-host-port",
    help: "Calls \"ssh_host_port_min\" and \"ssh_host_port_max\" of QEMU builders \"host_port_min\" and \
           \"host_port_max\"",
    apply: |template| {
        for options in template.builders_of(|kind| kind == "qemu") {
            rename(options, "ssh_host_port_min", "host_port_min", Newer::GivesWay);
            rename(options, "ssh_host_port_max", "host_port_max", Newer::GivesWay);
        }
    },
};
