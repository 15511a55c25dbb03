//! What answers from files and from texts have in common: paths, content types, ranges.

use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// A request's path without percent signs; `None` when it isn't UTF-8 or holds a NUL.
pub(super) fn decoded_path(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// A path's names, with `.` and `..` resolved; `..` stops at the root. Whether it ends in a slash is lost.
pub(super) fn cleaned(path: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names
}

/// A short text for people.
pub(super) fn text(status: StatusCode, words: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{words}\n")));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The content type by the name's extension, else by the beginning of the content.
pub(super) fn content_type(name: &str, beginning: &[u8]) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, e)| e).to_ascii_lowercase();
    match extension.as_str() {
        "htm" | "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "xml" => "text/xml; charset=utf-8",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        _ => sniffed(beginning),
    }
}

fn sniffed(beginning: &[u8]) -> &'static str {
    let start = &beginning[..beginning.len().min(512)];
    let opening = String::from_utf8_lossy(start).trim_start().to_ascii_lowercase();
    match opening {
        o if o.starts_with("<?xml") => "text/xml; charset=utf-8",
        o if o.starts_with("<!doctype html") || o.starts_with("<html") => "text/html; charset=utf-8",
        _ if start.starts_with(&[0x1f, 0x8b, 0x08]) => "application/x-gzip",
        _ if start.iter().any(|b| matches!(b, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f)) => {
            "application/octet-stream"
        }
        _ => "text/plain; charset=utf-8",
    }
}

/// Which bytes of a content of `length` bytes a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All: no range was given, or a form that isn't served (several ranges), which one may pass over.
    All,
    /// These.
    Part(Range<u64>),
    /// None that there are.
    Beyond,
}

/// Reads the `Range` header.
pub(super) fn asked(headers: &HeaderMap, length: u64) -> Asked {
    let range = headers.get(header::RANGE).and_then(|v| v.to_str().ok());
    let Some((first, last)) = range.and_then(|r| r.strip_prefix("bytes=")).and_then(|r| r.split_once('-'))
    else {
        return Asked::All;
    };
    let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..length,
        (Err(_), Ok(count)) if first.trim().is_empty() => length.saturating_sub(count)..length,
        _ => return Asked::All,
    };
    if range.is_empty() { Asked::Beyond } else { Asked::Part(range) }
}

/// The head of an answer: status, type, and length or range. The caller gives it the body.
pub(super) fn head(asked: &Asked, length: u64, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let (status, served) = match asked {
        Asked::All => (StatusCode::OK, length),
        Asked::Part(range) => (StatusCode::PARTIAL_CONTENT, range.end - range.start),
        Asked::Beyond => (StatusCode::RANGE_NOT_SATISFIABLE, 0),
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, served.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let range = match asked {
        Asked::All => None,
        Asked::Part(range) => Some(format!("bytes {}-{}/{length}", range.start, range.end - 1)),
        Asked::Beyond => Some(format!("bytes */{length}")),
    };
    if let Some(value) = range.and_then(|r| HeaderValue::from_str(&r).ok()) {
        headers.insert(header::CONTENT_RANGE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_under_the_root() {
        let cases: [(&str, &[&str]); 5] = [
            ("/../../etc/passwd", &["etc", "passwd"]),
            ("/a/./b//c/", &["a", "b", "c"]),
            ("/a/../../b", &["b"]),
            ("", &[]),
            ("/..", &[]),
        ];
        for (path, expected) in cases {
            assert_eq!(cleaned(path), expected, "{path}");
        }
        assert_eq!(decoded_path("/a%20b%2Fc").as_deref(), Some("/a b/c"));
        for malformed in ["/%", "/%4", "/%zz", "/%00", "/%ff"] {
            assert_eq!(decoded_path(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn ranges_are_read_as_rfc_9110_has_them() {
        let cases = [
            ("bytes=0-4", Asked::Part(0..5)),
            ("bytes=5-", Asked::Part(5..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-30", Asked::Part(0..10)),
            ("bytes=8-99", Asked::Part(8..10)),
            ("bytes=10-", Asked::Beyond),
            ("bytes=4-2", Asked::All),
            ("bytes=0-1,3-4", Asked::All),
            ("lines=0-1", Asked::All),
        ];
        for (text, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(text));
            assert_eq!(asked(&headers, 10), expected, "{text}");
        }
    }

    #[test]
    fn types_come_from_the_extension_or_the_content() {
        let cases: [(&str, &[u8], &str); 6] = [
            ("user-data", b"#cloud-config\n", "text/plain; charset=utf-8"),
            ("ks.cfg", b"install", "text/plain; charset=utf-8"),
            ("a.JSON", b"{}", "application/json"),
            ("page", b"  <!DOCTYPE html>", "text/html; charset=utf-8"),
            ("autounattend.xml", b"<?xml", "text/xml; charset=utf-8"),
            ("blob", &[0, 1, 2], "application/octet-stream"),
        ];
        for (name, content, expected) in cases {
            assert_eq!(content_type(name, content), expected, "{name}");
        }
    }
}
