//! The Docker post-processors.

use serde_json::Value;

use super::Rewrite;
use super::template::Template;

pub(super) const EMAIL: Rewrite = Rewrite {
    name: "docker-email",
    help: "Drops \"login_email\" of the Docker post-processors",
    apply: |template| {
        for options in template.post_processors_of(|kind| kind.starts_with("docker-")) {
            options.remove("login_email");
        }
    },
};

pub(super) const TAGS: Rewrite = Rewrite {
    name: "docker-tag-tags",
    help: "Puts \"tag\" of the docker-tag post-processor into the list \"tags\"",
    apply: collect,
};

fn collect(template: &mut Template) {
    for options in template.post_processors_of(|kind| kind == "docker-tag") {
        if !options.contains_key("tag") && !options.contains_key("tags") {
            continue;
        }
        let mut tags: Vec<String> = Vec::new();
        for old in [options.remove("tag"), options.remove("tags")].into_iter().flatten() {
            for tag in texts(&old) {
                if !tags.contains(&tag) {
                    tags.push(tag);
                }
            }
        }
        options.insert("tags".to_owned(), tags.into());
    }
}

/// The texts of a list, or the parts between the commas of one text.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::String(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
        _ => Vec::new(),
    }
}
