//! Answers out of `http_directory`, with the manners of Go's file server, which installers are used to: a directory
//! is redirected to its slash and answers with its `index.html` or a listing, a file loses a slash.

use std::fmt::Write as _;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::reply::{self, Asked};

/// Serves the file or directory at `path` below `root`.
pub(super) async fn answer(root: &Path, path: &str, request: &Parts) -> Response<Body> {
    let names = reply::cleaned(path);
    if path.ends_with("/index.html") {
        return redirect("./", request);
    }
    let file: PathBuf = root.join(names.join("/"));
    let not_found = || reply::text(StatusCode::NOT_FOUND, "404 page not found");
    let Ok(metadata) = tokio::fs::metadata(&file).await else { return not_found() };
    let last = names.last().copied().unwrap_or_default();
    if metadata.is_dir() {
        if !path.ends_with('/') {
            return redirect(&format!("{}/", escaped(last)), request);
        }
        let index = file.join("index.html");
        return match tokio::fs::metadata(&index).await {
            Ok(metadata) if metadata.is_file() => send(&index, &metadata, request).await,
            _ => listing(&file).await,
        }
        .unwrap_or_else(|_| not_found());
    }
    if path.ends_with('/') {
        return redirect(&format!("../{}", escaped(last)), request);
    }
    send(&file, &metadata, request).await.unwrap_or_else(|_| not_found())
}

fn redirect(to: &str, request: &Parts) -> Response<Body> {
    let query = request.uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    let mut response = reply::text(StatusCode::MOVED_PERMANENTLY, "moved");
    if let Ok(location) = HeaderValue::from_str(&format!("{to}{query}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

async fn send(path: &Path, metadata: &std::fs::Metadata, request: &Parts) -> std::io::Result<Response<Body>> {
    let mut file = tokio::fs::File::open(path).await?;
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let mut beginning = Vec::new();
    (&mut file).take(512).read_to_end(&mut beginning).await?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let length = metadata.len();
    let asked = reply::asked(&request.headers, length);
    let mut response = reply::head(&asked, length, reply::content_type(&name, &beginning));
    if let Ok(value) = HeaderValue::from_str(&http_date(modified)) {
        response.headers_mut().insert(header::LAST_MODIFIED, value);
    }
    let range = match asked {
        Asked::All => 0..length,
        Asked::Part(range) => range,
        Asked::Beyond => return Ok(response),
    };
    if request.method != Method::HEAD {
        file.seek(SeekFrom::Start(range.start)).await?;
        *response.body_mut() = Body::from_stream(ReaderStream::new(file.take(range.end - range.start)));
    }
    Ok(response)
}

async fn listing(directory: &Path) -> std::io::Result<Response<Body>> {
    let mut names = Vec::new();
    let mut entries = tokio::fs::read_dir(directory).await?;
    while let Some(entry) = entries.next_entry().await? {
        let is_dir = tokio::fs::metadata(entry.path()).await.is_ok_and(|m| m.is_dir());
        names.push(format!("{}{}", entry.file_name().to_string_lossy(), if is_dir { "/" } else { "" }));
    }
    names.sort();
    let mut page = String::from("<pre>\n");
    for name in names {
        // Writing to a string can't fail.
        let _ = writeln!(page, "<a href=\"{}\">{}</a>", escaped(&name), html(&name));
    }
    page.push_str("</pre>\n");
    let mut response = Response::new(Body::from(page));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}

/// A name as part of a URL.
fn escaped(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/+@$&,;=".contains(&b);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A name as text of a page.
fn html(name: &str) -> String {
    name.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;")
}

/// A time as HTTP writes it.
fn http_date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}
