//! The functions that make a text fit for the name of an image have become one.

use super::Rewrite;
use super::template::change_texts;

pub(super) const REWRITE: Rewrite = Rewrite {
    name: "clean-image-name",
    help: "Replaces \"clean_ami_name\" and \"clean_image_name\" in builders by \"clean_resource_name\"",
    apply: |template| {
        for options in template.builders() {
            options.values_mut().for_each(|value| change_texts(value, &replace));
        }
    },
};

fn replace(text: &str) -> String {
    let new = "clean_resource_name";
    text.replace("clean_ami_name", new).replace("clean_image_name", new)
}
