//! In which words a request is refused before anybody has read it: those of gRPC or those of the JSON API.

use kiln_proto::Problem;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::CONTENT_TYPE;
use tonic::codegen::http::{HeaderValue, Request, Response};

use crate::http;

/// What a request is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A method of gRPC.
    Grpc,
    /// Anything else.
    Json,
}

impl Dialect {
    /// That of a request: whoever speaks gRPC says so, whatever the version of HTTP.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        match kind.is_some_and(|kind| kind.starts_with(b"application/grpc")) {
            true => Self::Grpc,
            false => Self::Json,
        }
    }

    /// The answer to a request that is refused.
    pub(crate) fn refuse(self, problem: Problem) -> Response<Body> {
        match self {
            Self::Grpc => Status::from(problem).into_http(),
            Self::Json => http::refuse(problem).map(Body::new),
        }
    }
}
