//! The `ansible-local` provisioner.

use super::Rewrite;
use super::template::{Newer, kind, rename};

pub(super) const GALAXY_COMMAND: Rewrite = Rewrite {
    name: "galaxy-command",
    help: "Spells \"galaxycommand\" of the ansible-local provisioner \"galaxy_command\"",
    apply: |template| {
        for options in template.provisioners().filter(|options| kind(options) == "ansible-local") {
            rename(options, "galaxycommand", "galaxy_command", Newer::Stays);
        }
    },
};
