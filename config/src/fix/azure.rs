//! The `azure-chroot` builder: a word of its gallery was misspelt.

use serde_json::Value;

use super::Rewrite;
use super::template::{Newer, rename};

pub(super) const REWRITE: Rewrite = Rewrite {
    name: "azure-exclude_from_latest",
    help: "Spells \"exlude_from_latest\" of Azure builders \"exclude_from_latest\"",
    apply: |template| {
        for options in template.builders_of(|kind| kind.starts_with("azure-")) {
            if let Some(Value::Object(destination)) = options.get_mut("shared_image_destination") {
                rename(destination, "exlude_from_latest", "exclude_from_latest", Newer::GivesWay);
            }
        }
    },
};
