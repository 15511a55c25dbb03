//! From the words that name a farm to a connection with it.
//!
//! A token says whom to believe as well as who asks: the farm's authority is known by it, and nothing else need be
//! installed on a machine that sends builds.

use std::path::{Path, PathBuf};

use kiln_proto::token::{Bearer, Token, TokenError, TokenKind};
use kiln_proto::transport::{self, Credentials, CredentialsError, Endpoint, EndpointError};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::arguments::farm::ChosenFarm;

/// A connection on which every request shows who asks; in a farm of one nobody need.
pub(crate) type Connection = InterceptedService<Channel, Bearer>;

/// Where the token is, unless a file is named.
const TOKEN_VARIABLE: &str = "KILN_TOKEN";

/// The words don't lead to a farm.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoConnection {
    /// An address is none.
    #[error("the farm's address cannot be used")]
    Address(#[from] EndpointError),
    /// There is no address.
    #[error("no coordinator is named; write -farm https://HOST:PORT")]
    Nowhere,
    /// There is no token.
    #[error("there is no token for the farm; put one into {TOKEN_VARIABLE} or a file named by -token-file")]
    NoToken,
    /// The token can't be read.
    #[error("failed to read the token in {}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The token is none.
    #[error("the token in {place} cannot be used")]
    Token {
        /// The file or the variable that it is in.
        place: String,
        /// Why.
        #[source]
        source: TokenError,
    },
    /// The token is for something else.
    #[error(
        "the token enrols agents or coordinators; builds are asked for with one that begins with kiln_client_"
    )]
    OtherToken,
    /// No coordinator answers.
    #[error("the farm's authority can't be asked for")]
    Unreachable(#[source] std::io::Error),
    /// TLS refuses.
    #[error("failed to prepare the connection to the farm")]
    Credentials(#[from] CredentialsError),
}

/// A connection to a farm. Nothing is sent before the first request.
///
/// # Errors
/// When the address or the token can't be used.
pub(crate) fn open(farm: &ChosenFarm) -> Result<Connection, NoConnection> {
    let endpoints = Endpoint::list(&farm.addresses)?;
    if endpoints.is_empty() {
        return Err(NoConnection::Nowhere);
    }
    let token = token(farm.token_file.as_deref().map(Path::new))?;
    if token.kind() != TokenKind::Client {
        return Err(NoConnection::OtherToken);
    }
    let credentials = Credentials::anonymous(token.trust())?;
    Ok(InterceptedService::new(transport::dial(&endpoints, &credentials), Bearer::of(&token)))
}

/// The certificates (DER) of the farm's authorities, which vouch for the objects that coordinators hand out themselves.
///
/// # Errors
/// When the address or the token can't be used, or no coordinator answers.
pub(crate) async fn authorities(farm: &ChosenFarm) -> Result<Vec<Vec<u8>>, NoConnection> {
    let endpoints = Endpoint::list(&farm.addresses)?;
    let token = token(farm.token_file.as_deref().map(Path::new))?;
    transport::authorities(&endpoints, &token.trust()).await.map_err(NoConnection::Unreachable)
}

/// A connection to a farm that knows who asks because it is this process.
pub(crate) fn within(channel: Channel) -> Connection {
    InterceptedService::new(channel, Bearer::default())
}

/// The token in a file, or in the environment when none is named.
///
/// # Errors
/// When there is none that can be read.
pub(crate) fn token(file: Option<&Path>) -> Result<Token, NoConnection> {
    token_if_any(file)?.ok_or(NoConnection::NoToken)
}

/// The same, for those who may have none.
///
/// # Errors
/// When what is there can't be read or is none.
pub(crate) fn token_if_any(file: Option<&Path>) -> Result<Option<Token>, NoConnection> {
    let (text, place) = match file {
        Some(path) => {
            let unread = |source| NoConnection::TokenFile { path: path.to_owned(), source };
            (std::fs::read_to_string(path).map_err(unread)?, path.display().to_string())
        }
        None => match std::env::var(TOKEN_VARIABLE) {
            Ok(text) if !text.trim().is_empty() => (text, TOKEN_VARIABLE.to_owned()),
            _ => return Ok(None),
        },
    };
    crate::log::hide([text.trim()]);
    let token = text.parse().map_err(|source| NoConnection::Token { place, source })?;
    Ok(Some(token))
}
