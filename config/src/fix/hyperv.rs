//! Options of the Hyper-V builders.

use super::Rewrite;
use super::template::{Newer, rename};

pub(super) const OUT_OF_DATE: Rewrite = Rewrite {
    name: "hyperv-deprecations",
    help: "Drops \"vhd_temp_path\" of \"hyperv-iso\" builders",
    apply: |template| {
        for options in template.builders_of(|kind| kind == "hyperv-iso") {
            options.remove("vhd_temp_path");
        }
    },
};

pub(super) const MISSPELT: Rewrite = Rewrite {
    name: "hyperv-vmxc-typo",
    help: "Spells \"clone_from_vmxc_path\" of \"hyperv-vmcx\" builders \"clone_from_vmcx_path\"",
    apply: |template| {
        for options in template.builders_of(|kind| kind == "hyperv-vmcx") {
            rename(options, "clone_from_vmxc_path", "clone_from_vmcx_path", Newer::GivesWay);
        }
    },
};

pub(super) const PROCESSORS_AND_MEMORY: Rewrite = Rewrite {
    name: "hyperv-cpu-and-ram",
    help: "Calls \"cpu\" and \"ram_size\" of Hyper-V builders \"cpus\" and \"memory\"",
    apply: |template| {
        for options in template.builders_of(|kind| kind.starts_with("hyperv-")) {
            rename(options, "cpu", "cpus", Newer::GivesWay);
            rename(options, "ram_size", "memory", Newer::GivesWay);
        }
    },
};
