//! The Scaleway builder: what was called an access key names the organisation.

use super::Rewrite;
use super::template::{Newer, rename};

pub(super) const REWRITE: Rewrite = Rewrite {
    name: "scaleway-access-key",
    help: "Calls \"access_key\" of Scaleway builders \"organization_id\"",
    apply: |template| {
        for options in template.builders_of(|kind| kind == "scaleway") {
            rename(options, "access_key", "organization_id", Newer::Stays);
        }
    },
};
