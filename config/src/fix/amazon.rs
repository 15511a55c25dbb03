//! Options of the Amazon builders.

use serde_json::{Value, json};

use super::Rewrite;
use super::template::{Newer, rename, weak_bool};

/// The builders that can ask for spot instances.
const SPOT: [&str; 4] = ["amazon-ebs", "amazon-ebssurrogate", "amazon-ebsvolume", "amazon-instance"];

fn is_amazon(kind: &str) -> bool {
    kind.starts_with("amazon-")
}

pub(super) const SHUTDOWN_BEHAVIOR: Rewrite = Rewrite {
    name: "amazon-shutdown_behavior",
    help: "Spells \"shutdown_behaviour\" of Amazon builders \"shutdown_behavior\"",
    apply: |template| {
        for options in template.builders_of(is_amazon) {
            rename(options, "shutdown_behaviour", "shutdown_behavior", Newer::GivesWay);
        }
    },
};

pub(super) const ENHANCED_NETWORKING: Rewrite = Rewrite {
    name: "amazon-enhanced-networking",
    help: "Calls \"enhanced_networking\" of Amazon builders \"ena_support\"",
    apply: |template| {
        for options in template.builders_of(is_amazon) {
            rename(options, "enhanced_networking", "ena_support", Newer::GivesWay);
        }
    },
};

pub(super) const PRIVATE_IP: Rewrite = Rewrite {
    name: "amazon-private-ip",
    help: "Replaces \"ssh_private_ip\" of Amazon builders by \"ssh_interface\"",
    apply: |template| {
        for options in template.builders_of(is_amazon) {
            let Some(private) = options.get("ssh_private_ip").and_then(weak_bool) else { continue };
            if options.contains_key("ssh_interface") {
                continue;
            }
            options.remove("ssh_private_ip");
            let interface = if private { "private_ip" } else { "public_ip" };
            options.insert("ssh_interface".to_owned(), interface.into());
        }
    },
};

pub(super) const SOURCE_RANGES: Rewrite = Rewrite {
    name: "amazon-temp-sec-cidrs",
    help: "Replaces \"temporary_security_group_source_cidr\" of Amazon builders by the list \
           \"temporary_security_group_source_cidrs\"",
    apply: |template| {
        for options in template.builders_of(is_amazon) {
            let old = "temporary_security_group_source_cidr";
            if options.get(old).is_some_and(Value::is_string) {
                let range = options.remove(old);
                options.insert(format!("{old}s"), json!([range]));
            }
        }
    },
};

pub(super) const SPOT_PRICE: Rewrite = Rewrite {
    name: "spot-price-auto-product",
    help: "Drops \"spot_price_auto_product\" of Amazon builders",
    apply: |template| {
        for options in template.builders_of(|kind| SPOT.contains(&kind)) {
            options.remove("spot_price_auto_product");
        }
    },
};
