//! The `manifest` post-processor.

use super::Rewrite;
use super::template::{Newer, rename};

pub(super) const REWRITE: Rewrite = Rewrite {
    name: "manifest-filename",
    help: "Calls \"filename\" of the manifest post-processor \"output\"",
    apply: |template| {
        for options in template.post_processors_of(|kind| kind == "manifest") {
            rename(options, "filename", "output", Newer::GivesWay);
        }
    },
};
