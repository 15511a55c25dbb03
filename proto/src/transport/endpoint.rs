//! Where a coordinator listens, as people write it: `https://host` or `https://host:port`.

use std::fmt;
use std::str::FromStr;

use tonic::transport::Uri;

/// The port of a coordinator when none is given.
pub const DEFAULT_PORT: u16 = 7447;

/// A coordinator's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: String,
    port: u16,
}

/// A text is no coordinator's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address of a coordinator: {reason}; write https://HOST or https://HOST:PORT")]
pub struct EndpointError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Endpoint {
    /// The name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Several addresses, separated by commas, as an option or a variable holds them.
    ///
    /// # Errors
    /// The first that is none.
    pub fn list(text: &str) -> Result<Vec<Self>, EndpointError> {
        text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::parse).collect()
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| EndpointError { text: text.to_owned(), reason };
        let uri: Uri = text.parse().map_err(|_| wrong("it is no URL"))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") => return Err(wrong("the farm speaks TLS only")),
            Some(_) => return Err(wrong("its scheme is not https")),
            None => return Err(wrong("it has no scheme")),
        }
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it names a user; people show a token instead"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("it has more than host and port"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let port = match (authority.port_u16(), authority.port()) {
            (Some(0), _) | (None, Some(_)) => return Err(wrong("its port is not between 1 and 65535")),
            (Some(port), _) => port,
            (None, None) if authority.as_str().ends_with(']') || !authority.as_str().contains(':') => {
                DEFAULT_PORT
            }
            (None, None) => return Err(wrong("its port is not between 1 and 65535")),
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "https://[{host}]:{port}")
        } else {
            write!(f, "https://{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_with_host_and_perhaps_port() {
        let table = [
            ("https://farm.example", Ok("https://farm.example:7447")),
            ("https://farm.example/", Ok("https://farm.example:7447")),
            ("https://10.0.0.7:9000", Ok("https://10.0.0.7:9000")),
            ("https://[fd00::7]", Ok("https://[fd00::7]:7447")),
            ("https://[fd00::7]:9000", Ok("https://[fd00::7]:9000")),
            ("http://farm.example", Err("the farm speaks TLS only")),
            ("grpc://farm.example", Err("its scheme is not https")),
            ("farm.example", Err("it has no scheme")),
            ("https://me:secret@farm.example", Err("it names a user; people show a token instead")),
            ("https://farm.example/api", Err("it has more than host and port")),
            ("https://farm.example?x=1", Err("it has more than host and port")),
            ("https://farm.example:0", Err("its port is not between 1 and 65535")),
            ("https://farm.example:99999", Err("its port is not between 1 and 65535")),
            ("", Err("it is no URL")),
        ];
        for (text, expected) in table {
            let read = text.parse::<Endpoint>();
            assert_eq!(
                read.as_ref().map(ToString::to_string).map_err(|e| e.reason),
                expected.map(Into::into)
            );
        }
        assert_eq!(Endpoint::list(" https://a, https://b:1,").unwrap().len(), 2);
        assert!(Endpoint::list("https://a,b").is_err());
    }
}
