//! What goes into an attempt with its order, for the record of its image: the template's files and the answers of its
//! data sources. The attempt's own process has no say in it; what guests begin with it tells itself
//! ([`kiln_component::Origins`]).
//!
//! A digest of little that is secret lets whoever sees it try what the secret is. So nothing in which a secret lies has one
//! of its own; the digests of the bundle and of the plan bind it all the same.

use std::borrow::Cow;

use kiln_plan::fingerprint::Fingerprint;
use kiln_plan::{BuildPlan, Redactor};
use kiln_proto::bundle::{BundleFiles, Entry};
use kiln_proto::image::InputDigest;

/// A template of more files has only the digest of its bundle.
const MOST_FILES: usize = 256;

/// What is larger hides a secret well enough, in bytes.
const GUESSABLE: usize = 1 << 20;

/// What goes in, files first.
pub(super) fn of(plan: &BuildPlan, files: Option<&BundleFiles>) -> Vec<InputDigest> {
    let secrets = Redactor::new(plan.secrets.iter().map(|secret| secret.reveal().as_str()));
    let files = files.filter(|files| files.iter().count() <= MOST_FILES);
    let files = files.into_iter().flat_map(BundleFiles::iter).map(|(name, entry)| match entry {
        Entry::File { contents, .. } => InputDigest {
            name: secrets.redact(name).into_owned(),
            digest: (!holds(&secrets, contents)).then(|| Fingerprint::of_bytes(contents).to_string()),
            size: Some(contents.len() as u64),
        },
        Entry::Link { target } => InputDigest {
            name: secrets.redact(&format!("{name} -> {target}")).into_owned(),
            ..InputDigest::default()
        },
    });
    let answers = plan.data.iter().map(|origin| InputDigest {
        name: format!("data.{}", origin.id),
        digest: (!origin.secret).then(|| origin.answered.to_string()),
        size: None,
    });
    files.chain(answers).collect()
}

fn holds(secrets: &Redactor, contents: &[u8]) -> bool {
    !secrets.is_empty()
        && contents.len() <= GUESSABLE
        && matches!(secrets.redact(&String::from_utf8_lossy(contents)), Cow::Owned(_))
}

#[cfg(test)]
mod tests {
    use kiln_plan::{DataOrigin, Sensitive};

    use super::*;
    use crate::test_plan;

    fn told(inputs: &[InputDigest]) -> Vec<String> {
        let digest =
            |input: &InputDigest| input.digest.as_ref().map_or("-".to_owned(), |d| d[..11].to_owned());
        inputs.iter().map(|i| format!("{} {} {:?}", i.name, digest(i), i.size)).collect()
    }

    #[test]
    fn files_and_answers_are_told_apart_from_secrets() {
        let mut plan = test_plan::plan("null");
        plan.secrets = vec![Sensitive::new("hunter2".into())];
        let origin = |id: &str, secret| DataOrigin {
            id: id.into(),
            asked: Fingerprint::of_bytes(b"?"),
            answered: Fingerprint::of_bytes(b"x"),
            secret,
        };
        plan.data = vec![origin("http.a", false), origin("http.b", true)];
        let file = |text: &str| Entry::File { contents: text.as_bytes().to_vec().into(), executable: false };
        let mut files = BundleFiles::default();
        files.add("a.sh", file("x")).unwrap();
        files.add("b.pkrvars.hcl", file("password = \"hunter2\"")).unwrap();
        files.add("c", Entry::Link { target: "a.sh".into() }).unwrap();
        let expected = [
            "a.sh sha256:2d71 Some(1)",
            "b.pkrvars.hcl - Some(20)",
            "c -> a.sh - None",
            "data.http.a sha256:2d71 None",
            "data.http.b - None",
        ];
        assert_eq!(told(&of(&plan, Some(&files))), expected);
        assert_eq!(told(&of(&plan, None)), expected[3..]);
        (0..MOST_FILES).for_each(|n| files.add(&format!("files/{n}"), file("x")).unwrap());
        assert_eq!(told(&of(&plan, Some(&files))), expected[3..], "the bundle's digest stands for them");
    }
}
