//! Answers out of `http_content`: exact paths only.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode};
use kiln_lang::diagnostic::nearest;

use super::reply::{self, Asked};

/// Serves the text at `path`, or says which path is near.
pub(super) fn answer(texts: &BTreeMap<String, String>, path: &str, request: &Parts) -> Response<Body> {
    let wanted = format!("/{}", reply::cleaned(path).join("/"));
    let Some((name, text)) =
        texts.iter().find(|(key, _)| format!("/{}", reply::cleaned(key).join("/")) == wanted)
    else {
        let words = match nearest(&wanted, texts.keys().map(String::as_str)) {
            Some(near) => format!("{wanted} not found; did you mean {near}?"),
            None => format!("{wanted} not found"),
        };
        return reply::text(StatusCode::NOT_FOUND, &words);
    };
    let length = text.len() as u64;
    let asked = reply::asked(&request.headers, length);
    let mut response = reply::head(&asked, length, reply::content_type(name, text.as_bytes()));
    if request.method != Method::HEAD {
        let part = match asked {
            Asked::All => text.as_bytes(),
            Asked::Part(range) => &text.as_bytes()[range.start as usize..range.end as usize],
            Asked::Beyond => &[],
        };
        *response.body_mut() = Body::from(part.to_vec());
    }
    response
}
