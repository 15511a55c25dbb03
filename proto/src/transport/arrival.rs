//! Who is at the other end of a connection, by its certificate.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Weak;
use std::time::Duration;

use kiln_plan::id::AgentId;
use rustls_pki_types::CertificateDer;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::accept::Place;

/// Who is at the other end, as far as the wire can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// Someone in this process, over a pipe.
    InProcess,
    /// The coordinator with this number.
    Coordinator(u64),
    /// An agent.
    Agent(AgentId),
    /// Someone who showed no certificate.
    Unidentified,
}

/// What is known of a connection, put into the extensions of each of its requests.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who.
    pub peer: Peer,
    /// From where; `None` over a pipe.
    pub address: Option<SocketAddr>,
    /// When its certificate ends, in seconds since the Unix epoch; `None` without certificate.
    pub expires: Option<i64>,
    /// Its place among the connections, while there is one.
    pub(super) place: Weak<Place>,
}

/// A certificate of the farm's authority does not say whose it is.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It can't be read.
    #[error("a certificate can't be read")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It has not exactly one URI of ours.
    #[error("a certificate must name one agent or coordinator as a URI, not {found:?}")]
    Names {
        /// The URIs that it has.
        found: Vec<String>,
    },
}

impl Arrival {
    /// Of somebody in this process.
    pub const IN_PROCESS: Self = Self::of(Peer::InProcess);

    /// Of somebody over a wire that counts nobody.
    pub const fn of(peer: Peer) -> Self {
        Self { peer, address: None, expires: None, place: Weak::new() }
    }

    /// Says that whoever is at the other end has shown something good, so that the connection counts as a stranger's no
    /// more and may stay.
    pub fn vouch(&self) {
        if let Some(place) = self.place.upgrade() {
            place.welcome();
        }
    }
}

impl Peer {
    /// The URI by which a certificate names a peer; `None` for those that have none.
    pub fn uri(&self) -> Option<String> {
        match self {
            Self::Coordinator(number) => Some(format!("kiln://coordinator/{number}")),
            Self::Agent(agent) => Some(format!("kiln://agent/{agent}")),
            Self::InProcess | Self::Unidentified => None,
        }
    }

    /// The peer of a URI.
    pub fn of_uri(uri: &str) -> Option<Self> {
        let (kind, name) = uri.strip_prefix("kiln://")?.split_once('/')?;
        let peer = match kind {
            "agent" => Self::Agent(name.parse().ok()?),
            "coordinator" => Self::Coordinator(name.parse().ok()?),
            _ => return None,
        };
        // There is one way to write each.
        (peer.uri().as_deref() == Some(uri)).then_some(peer)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess => f.write_str("this process"),
            Self::Coordinator(number) => write!(f, "coordinator {number}"),
            Self::Agent(agent) => write!(f, "agent {agent}"),
            Self::Unidentified => f.write_str("somebody without certificate"),
        }
    }
}

/// Certificates are good from this long before they were made: clocks differ.
pub const BACKDATED: Duration = Duration::from_secs(24 * 3_600);

/// When a certificate was made, in seconds since the Unix epoch.
pub(super) fn made_at(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_before.timestamp().saturating_add_unsigned(BACKDATED.as_secs()))
}

/// Whom a certificate names, and when it ends. It has been verified already.
pub(super) fn of_certificate(certificate: &CertificateDer<'_>) -> Result<(Peer, i64), PeerError> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| PeerError::Damaged(Box::new(error)))?;
    let names = parsed.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    let uris = names.flatten().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    let found: Vec<String> = uris.collect();
    let peer = match found.as_slice() {
        [uri] => Peer::of_uri(uri),
        _ => None,
    };
    let expires = parsed.validity().not_after.timestamp();
    peer.map(|peer| (peer, expires)).ok_or(PeerError::Names { found })
}

/// The host names and addresses of a certificate, without the one that every coordinator bears.
pub(super) fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let names = parsed.subject_alternative_name().ok().flatten();
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) if *name != super::COORDINATOR_NAME => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|v4| IpAddr::from(v4).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|v6| IpAddr::from(v6).to_string()),
        },
        _ => None,
    };
    names.into_iter().flat_map(|names| &names.value.general_names).filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_one_peer_in_one_way() {
        let uuid = "0192f0c1-0000-7000-8000-000000000001";
        let agent = Peer::Agent(uuid.parse().unwrap());
        let upper = format!("kiln://agent/{}", uuid.to_uppercase());
        let table = [
            (format!("kiln://agent/{uuid}"), Some(agent)),
            ("kiln://coordinator/3".into(), Some(Peer::Coordinator(3))),
            ("kiln://coordinator/03".into(), None),
            ("kiln://coordinator/-3".into(), None),
            ("kiln://coordinator/3/".into(), None),
            ("kiln://person/3".into(), None),
            ("https://coordinator/3".into(), None),
            (upper, None),
        ];
        for (uri, expected) in table {
            assert_eq!(Peer::of_uri(&uri), expected, "{uri}");
        }
        assert_eq!(Peer::of_uri(&agent.uri().unwrap()), Some(agent));
        assert_eq!((Peer::InProcess.uri(), Peer::Unidentified.uri()), (None, None));
    }
}
