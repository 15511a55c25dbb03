//! The few codes in which one side tells the other what is wrong, and their place among those of gRPC.
//!
//! | ours | gRPC | what the caller does |
//! |---|---|---|
//! | Invalid | invalid-argument | mends the message |
//! | NotFound | not-found | asks for something that is there |
//! | Refused | failed-precondition | looks at the state first |
//! | Unidentified | unauthenticated | shows a certificate or a token |
//! | Forbidden | permission-denied | asks somebody who may |
//! | Stale | aborted | drops what it has: somebody else has it now |
//! | TooLarge | resource-exhausted | sends less |
//! | Unavailable | unavailable | tries again later |
//! | Internal | internal | reports a bug |

use std::fmt;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The message makes no sense.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// The state of things forbids it.
    Refused,
    /// Who asks must say who they are, or is not believed.
    Unidentified,
    /// Who asks may not.
    Forbidden,
    /// The sender's fencing number was replaced.
    Stale,
    /// It is larger than what can be taken.
    TooLarge,
    /// It can't be done now; perhaps later.
    Unavailable,
    /// The farm made a mistake.
    Internal,
}

/// What is wrong, as one side tells the other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What kind.
    pub code: Code,
    /// One lower-case sentence without full stop, with the causes.
    pub message: String,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// A problem told by an error and its chain of causes.
    pub fn from_error(code: Code, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { code, message: kiln_plan::fault::chain(error) }
    }
}

impl From<Problem> for tonic::Status {
    fn from(problem: Problem) -> Self {
        let code = match problem.code {
            Code::Invalid => tonic::Code::InvalidArgument,
            Code::NotFound => tonic::Code::NotFound,
            Code::Refused => tonic::Code::FailedPrecondition,
            Code::Unidentified => tonic::Code::Unauthenticated,
            Code::Forbidden => tonic::Code::PermissionDenied,
            Code::Stale => tonic::Code::Aborted,
            Code::TooLarge => tonic::Code::ResourceExhausted,
            Code::Unavailable => tonic::Code::Unavailable,
            Code::Internal => tonic::Code::Internal,
        };
        Self::new(code, problem.message)
    }
}

impl From<tonic::Status> for Problem {
    fn from(status: tonic::Status) -> Self {
        let code = match status.code() {
            tonic::Code::InvalidArgument | tonic::Code::OutOfRange => Code::Invalid,
            tonic::Code::NotFound => Code::NotFound,
            tonic::Code::FailedPrecondition | tonic::Code::AlreadyExists => Code::Refused,
            tonic::Code::Unauthenticated => Code::Unidentified,
            tonic::Code::PermissionDenied => Code::Forbidden,
            tonic::Code::Aborted => Code::Stale,
            tonic::Code::ResourceExhausted => Code::TooLarge,
            // A connection that broke is told as "unknown" or "cancelled" by the transport.
            tonic::Code::Ok
            | tonic::Code::Unavailable
            | tonic::Code::Cancelled
            | tonic::Code::Unknown
            | tonic::Code::DeadlineExceeded => Code::Unavailable,
            // Or as "internal", with what broke as its source. What came over the wire has none.
            tonic::Code::Internal if std::error::Error::source(&status).is_some() => Code::Unavailable,
            tonic::Code::Unimplemented | tonic::Code::Internal | tonic::Code::DataLoss => Code::Internal,
        };
        Self { code, message: status.message().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        use Code::*;
        for code in
            [Invalid, NotFound, Refused, Unidentified, Forbidden, Stale, TooLarge, Unavailable, Internal]
        {
            let problem = Problem::new(code, "build 7 is not known");
            assert_eq!(Problem::from(tonic::Status::from(problem.clone())), problem);
        }
    }

    #[test]
    fn a_connection_that_broke_is_tried_again_but_not_what_the_farm_calls_internal() {
        let mut broken = tonic::Status::internal("h2 protocol error: error reading a body from connection");
        assert_eq!(Problem::from(broken.clone()).code, Code::Internal);
        broken.set_source(std::sync::Arc::new(std::io::Error::other("connection reset")));
        assert_eq!(Problem::from(broken).code, Code::Unavailable);
    }
}
