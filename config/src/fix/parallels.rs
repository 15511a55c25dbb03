//! Options of the Parallels builders.

use super::Rewrite;
use super::template::{Newer, rename};

const TYPES: [&str; 2] = ["parallels-iso", "parallels-pvm"];

pub(super) const HEADLESS: Rewrite = Rewrite {
    name: "parallels-headless",
    help: "Drops \"headless\" of Parallels builders, which has no effect",
    apply: |template| {
        for options in template.builders_of(|kind| TYPES.contains(&kind)) {
            options.remove("headless");
        }
    },
};

pub(super) const OUT_OF_DATE: Rewrite = Rewrite {
    name: "parallels-deprecations",
    help: "Drops \"parallels_tools_host_path\" of Parallels builders and calls \"guest_os_distribution\" \
           \"guest_os_type\"",
    apply: |template| {
        for options in template.builders_of(|kind| TYPES.contains(&kind)) {
            options.remove("parallels_tools_host_path");
            rename(options, "guest_os_distribution", "guest_os_type", Newer::GivesWay);
        }
    },
};
