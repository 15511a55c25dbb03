//! Where a file may be had: the forms of an `iso_url`.

use std::path::{Path, PathBuf};

use reqwest::Url;

/// A place that files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of this machine, absolute.
    Local(PathBuf),
    /// A web server.
    Http(Url),
}

/// Why an address can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Of a scheme that isn't spoken.
    #[error("cannot fetch {scheme:?} addresses; use http, https, a file URL or a path")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// Not an address at all.
    #[error("{0:?} is not a URL")]
    Malformed(String),
}

impl Source {
    /// Reads an address. Paths resolve against `working_dir`. A `checksum` among the query's parts is taken out and
    /// returned: it overrides the template's.
    ///
    /// # Errors
    /// When it can't be used.
    pub fn parse(text: &str, working_dir: &Path) -> Result<(Self, Option<String>), SourceError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok((Self::Local(working_dir.join(text)), None));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => Ok((Self::Local(working_dir.join(rest)), None)),
            "http" | "https" => {
                let malformed = |_| SourceError::Malformed(without_password(text));
                let mut url = Url::parse(text).map_err(malformed)?;
                let sum = url.query_pairs().find(|(k, _)| k == "checksum").map(|(_, v)| v.into_owned());
                if sum.is_some() {
                    let others: Vec<_> =
                        url.query_pairs().into_owned().filter(|(k, _)| k != "checksum").collect();
                    url.set_query(None);
                    if !others.is_empty() {
                        url.query_pairs_mut().extend_pairs(others);
                    }
                }
                Ok((Self::Http(url), sum))
            }
            scheme => Err(SourceError::Scheme { scheme: scheme.to_owned() }),
        }
    }

    /// The path, as sums files may name it.
    pub fn path(&self) -> String {
        match self {
            Self::Local(path) => path.display().to_string(),
            Self::Http(url) => url.path().to_owned(),
        }
    }
}

/// The address as it may be shown: a password in it is hidden.
pub fn without_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            let _ = url.set_password(Some("***"));
            url.to_string()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_paths_or_urls() {
        let here = Path::new("/here");
        let local = |path: &str| Ok((Source::Local(path.into()), None));
        assert_eq!(Source::parse("a.iso", here), local("/here/a.iso"));
        assert_eq!(Source::parse("/iso/a.iso", here), local("/iso/a.iso"));
        assert_eq!(Source::parse("file:///iso/a.iso", here), local("/iso/a.iso"));
        assert_eq!(Source::parse("file://./a.iso", here), local("/here/./a.iso"));
        assert!(matches!(Source::parse("s3://b/a.iso", here), Err(SourceError::Scheme { .. })));
        assert!(matches!(Source::parse("http://", here), Err(SourceError::Malformed(_))));
        let (source, sum) = Source::parse("https://h/p/a.iso?x=1&checksum=md5:00", here).expect("a URL");
        assert_eq!(sum.as_deref(), Some("md5:00"));
        assert_eq!(source, Source::Http(Url::parse("https://h/p/a.iso?x=1").expect("a URL")));
    }

    #[test]
    fn a_password_in_an_address_is_never_shown() {
        assert_eq!(without_password("https://u:secret@h/a"), "https://u:***@h/a");
        assert_eq!(without_password("./a:b@c"), "./a:b@c");
    }
}
