//! Where a bundle lies, in plans that were made before anybody knew where it would lie.
//!
//! A coordinator evaluates a template with [`BUNDLE_ROOT`] as its directory; the agent that carries out a plan puts the
//! directory in its place into which it unpacked the bundle. So `path.cwd`, `abspath` and their kin tell the truth on every
//! machine.

use std::path::Path;

/// The directory that stands for the top of a bundle. No machine has it, and no template names it by chance.
pub const BUNDLE_ROOT: &str = "/.kiln-bundle-4c1be0f2a5d94f0f";

/// A plan's JSON with `root` in the place of [`BUNDLE_ROOT`], wherever a text begins with it or contains it.
///
/// # Panics
/// Never: text always serialises.
pub fn relocated(plan: &str, root: &Path) -> String {
    let quoted = serde_json::to_string(&root.to_string_lossy()).expect("text always serialises");
    plan.replace(BUNDLE_ROOT, &quoted[1..quoted.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mention_of_the_root_is_replaced_and_the_json_stays_whole() {
        let plan =
            serde_json::json!({ "a": format!("{BUNDLE_ROOT}/x"), "b": [format!("-v {BUNDLE_ROOT}:/src")] });
        let moved = relocated(&plan.to_string(), Path::new("/run/a \"b\"\\c\""));
        let read: serde_json::Value = serde_json::from_str(&moved).unwrap();
        assert_eq!(
            read,
            serde_json::json!({ "a": "/run/a \"b\"\\c\"/x", "b": ["-v /run/a \"b\"\\c\":/src"] })
        );
    }
}
