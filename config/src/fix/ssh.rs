//! Options of the SSH communicator, in whatever builder.

use super::Rewrite;
use super::template::{Newer, Template, rename};

pub(super) const KEY_PATH: Rewrite = Rewrite {
    name: "sshkeypath",
    help: "Calls \"ssh_key_path\" of builders \"ssh_private_key_file\"",
    apply: |template| everywhere(template, "ssh_key_path", "ssh_private_key_file"),
};

pub(super) const DISABLE_AGENT: Rewrite = Rewrite {
    name: "sshdisableagent",
    help: "Calls \"ssh_disable_agent\" of builders \"ssh_disable_agent_forwarding\"",
    apply: |template| everywhere(template, "ssh_disable_agent", "ssh_disable_agent_forwarding"),
};

pub(super) const WAIT_TIMEOUT: Rewrite = Rewrite {
    name: "ssh-wait-timeout",
    help: "Calls \"ssh_wait_timeout\" of builders \"ssh_timeout\"",
    apply: |template| everywhere(template, "ssh_wait_timeout", "ssh_timeout"),
};

fn everywhere(template: &mut Template, old: &str, new: &str) {
    template.builders().for_each(|options| rename(options, old, new, Newer::Stays));
}
