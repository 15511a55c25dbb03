//! `{{.CreateTime}}`, which no builder offers any longer.

use super::Rewrite;
use super::template::change_texts;

pub(super) const REWRITE: Rewrite = Rewrite {
    name: "createtime",
    help: "Replaces \".CreateTime\" in builders by \"{{timestamp}}\"",
    apply: |template| {
        for options in template.builders() {
            options.values_mut().for_each(|value| change_texts(value, &replace));
        }
    },
};

fn replace(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (before, action) = rest.split_at(start);
        out.push_str(before);
        match action.find("}}") {
            Some(end) if action[2..end].trim() == ".CreateTime" => {
                out.push_str("{{timestamp}}");
                rest = &action[end + 2..];
            }
            _ => {
                out.push_str("{{");
                rest = &action[2..];
            }
        }
    }
    out.push_str(rest);
    out
}
