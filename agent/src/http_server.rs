//! The HTTP server beside the guest, which serves its cloud-init or kickstart.
//!
//! Bound per task on a port of its own. It serves either a directory, as Go's file server does (listing,
//! `index.html`, ranges; symbolic links are followed), or texts out of the template by their exact paths. What was
//! asked for is recorded: whether a guest ever came to fetch its answers is the first question when it never came up.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use tokio_util::sync::{CancellationToken, DropGuard};

pub mod config;
mod content;
mod directory;
mod reply;

/// Records beyond this many are only counted: a guest may ask for ever.
const RECORDED_FETCHES: usize = 500;

/// What is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// The files under this directory, absolute.
    Directory(PathBuf),
    /// Texts by path; each path begins with a slash.
    Content(BTreeMap<String, String>),
}

/// One request that the guest made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The path as asked for, without query.
    pub path: String,
    /// The answer's status code.
    pub status: u16,
}

/// The requests that were made so far.
#[derive(Clone, Debug, Default)]
pub struct Fetches(Arc<Mutex<(Vec<Fetch>, usize)>>);

impl Fetches {
    /// The first few hundred, in order.
    pub fn list(&self) -> Vec<Fetch> {
        self.0.lock().map(|inner| inner.0.clone()).unwrap_or_default()
    }

    /// How many there were in all.
    pub fn count(&self) -> usize {
        self.0.lock().map(|inner| inner.1).unwrap_or_default()
    }

    fn record(&self, path: &str, status: u16) {
        tracing::debug!(path, status, "the guest fetched from the HTTP server");
        if let Ok(mut inner) = self.0.lock() {
            inner.1 += 1;
            if inner.0.len() < RECORDED_FETCHES {
                inner.0.push(Fetch { path: path.to_owned(), status });
            }
        }
    }
}

/// A running server. Ends when dropped.
#[derive(Debug)]
pub struct HttpServer {
    /// What it was asked for.
    pub fetches: Fetches,
    _stop: DropGuard,
}

impl HttpServer {
    /// Begins to serve on a socket that listens already. Must be called inside the async runtime.
    ///
    /// # Errors
    /// When the socket can't be used.
    pub fn start(listener: TcpListener, served: Served) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let fetches = Fetches::default();
        let state = Arc::new(Shared { served, fetches: fetches.clone() });
        let router = Router::new().fallback(answer).with_state(state);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let serving = axum::serve(listener, router);
            // Not a graceful end: the guest is gone by then, and a half-open connection must not keep the task.
            if let Some(Err(error)) = stopped.run_until_cancelled(async { serving.await }).await {
                tracing::warn!(%error, "the guest's HTTP server ended");
            }
        });
        Ok(Self { fetches, _stop: stop.drop_guard() })
    }
}

#[derive(Debug)]
struct Shared {
    served: Served,
    fetches: Fetches,
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let asked = request.uri.path().to_owned();
    let response = match reply::decoded_path(&asked) {
        None => reply::text(axum::http::StatusCode::BAD_REQUEST, "malformed path"),
        Some(path) => match &shared.served {
            Served::Directory(root) => directory::answer(root, &path, &request).await,
            Served::Content(texts) => content::answer(texts, &path, &request),
        },
    };
    shared.fetches.record(&asked, response.status().as_u16());
    response
}

#[cfg(test)]
mod tests;
