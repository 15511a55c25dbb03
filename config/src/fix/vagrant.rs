//! The `vagrant` post-processor: what is meant for one provider stands under `override`.

use serde_json::{Map, Value};

use super::Rewrite;

/// The providers that could once be named beside the other options.
const PROVIDERS: [&str; 4] = ["aws", "digitalocean", "virtualbox", "vmware"];

pub(super) const REWRITE: Rewrite = Rewrite {
    name: "pp-vagrant-override",
    help: "Moves what is meant for one provider of the Vagrant post-processor under \"override\"",
    apply: |template| {
        for options in template.post_processors_of(|kind| kind == "vagrant") {
            let moved: Map<String, Value> = PROVIDERS
                .iter()
                .filter_map(|provider| Some(((*provider).to_owned(), options.remove(*provider)?)))
                .collect();
            if moved.is_empty() {
                continue;
            }
            match options.get_mut("override") {
                Some(Value::Object(there)) => there.extend(moved),
                _ => drop(options.insert("override".to_owned(), Value::Object(moved))),
            }
        }
    },
};
