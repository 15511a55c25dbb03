//! What a guest begins with, noted for the record of the image: its address without secrets, its digest and its size.
//!
//! The digest is the one that was verified if it is a strong one, and found out otherwise. It costs a second look at
//! the file, so nothing is done when nobody wants to know.

use std::path::Path;

use kiln_component::{Origin, TaskContext};
use reqwest::Url;

use super::checksum::{ChecksumError, Sum, SumKind};

/// Notes a file that came from `url`, which was found to have this sum.
///
/// # Errors
/// When the file can't be read.
pub(super) async fn fetched(
    cx: &TaskContext,
    (url, path): (&str, &Path),
    sum: Option<&Sum>,
) -> Result<(), ChecksumError> {
    let name = if url.contains("://") { address(url) } else { place(cx, path) };
    note(cx, (name, path), sum).await
}

/// Notes a file of this machine, as firmware.
///
/// # Errors
/// When it can't be read.
pub async fn file(cx: &TaskContext, path: &Path) -> Result<(), ChecksumError> {
    note(cx, (place(cx, path), path), None).await
}

/// Notes what the guest reads from `url` by itself, so that nobody here sees all of it.
pub fn unread(cx: &TaskContext, url: &str) {
    cx.origins.medium(Origin { name: cx.reporter.redact(&address(url)), digest: None, size: None });
}

async fn note(
    cx: &TaskContext,
    (name, path): (String, &Path),
    sum: Option<&Sum>,
) -> Result<(), ChecksumError> {
    if !cx.origins.are_wanted() {
        return Ok(());
    }
    let unreadable = |source| ChecksumError::Read { path: path.to_owned(), source };
    let size = tokio::fs::metadata(path).await.map_err(unreadable)?.len();
    let digest = match sum {
        Some(sum) if matches!(sum.kind, SumKind::Sha256 | SumKind::Sha512) => sum.to_string().to_lowercase(),
        _ => Sum::of(SumKind::Sha256, path).await?.to_string(),
    };
    cx.origins.medium(Origin { name: cx.reporter.redact(&name), digest: Some(digest), size: Some(size) });
    Ok(())
}

/// A path as the template would have it.
fn place(cx: &TaskContext, path: &Path) -> String {
    path.strip_prefix(&cx.working_dir).unwrap_or(path).display().to_string()
}

/// An address without what may be a secret: user, password, query (signatures, tokens) and fragment.
fn address(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return text.split(['?', '#']).next().unwrap_or_default().to_owned();
    };
    // An address without a host has no user either.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use kiln_component::Origins;

    use super::*;
    use crate::test_task;

    #[test]
    fn an_address_is_noted_without_secrets() {
        for (text, noted) in [
            ("https://u:p@h:81/a/b.iso?X-Amz-Signature=5&a=b#c", "https://h:81/a/b.iso"),
            ("https://token@h/a.iso", "https://h/a.iso"),
            ("https://h/a.iso", "https://h/a.iso"),
            ("file:///iso/a.iso", "file:///iso/a.iso"),
            ("file://./a.iso?checksum=md5:0", "file://./a.iso"),
        ] {
            assert_eq!(address(text), noted, "{text}");
        }
    }

    #[tokio::test]
    async fn a_weak_sum_or_none_is_no_digest() {
        let mut task = test_task::task();
        task.cx.origins = Origins::wanted();
        let path = task.cx.working_dir.join("a.iso");
        std::fs::write(&path, "x").unwrap();
        let sum = |kind, hex: &str| Sum { kind, hex: hex.into() };
        let (md5, sha512) = (sum(SumKind::Md5, "00"), sum(SumKind::Sha512, "AB"));
        let of_x = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        for (known, digest) in [(None, of_x), (Some(&md5), of_x), (Some(&sha512), "sha512:ab")] {
            fetched(&task.cx, ("./a.iso", &path), known).await.unwrap();
            let noted = task.cx.origins.noted().media.pop().unwrap();
            assert_eq!(
                (noted.name.as_str(), noted.digest.as_deref(), noted.size),
                ("a.iso", Some(digest), Some(1))
            );
        }
        assert_eq!(task.cx.origins.noted().media.len(), 2, "what was noted is not noted again");
        let gone = fetched(&task.cx, ("./b.iso", &task.cx.working_dir.join("b.iso")), None).await;
        assert!(matches!(gone, Err(ChecksumError::Read { .. })), "{gone:?}");
    }
}
