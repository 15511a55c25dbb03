//! The version of the protocol between a host and its plug-ins. It is 5.0 since Packer 1.7.

use std::fmt;
use std::str::FromStr;

/// A version of the plug-in protocol: `x5.0` in file names and in what `describe` says, `5.0` in manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// Hosts and plug-ins of different majors can't talk.
    pub major: u32,
    /// A plug-in of a higher minor expects more than a host of a lower one has.
    pub minor: u32,
}

/// Not a version of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version of the plug-in protocol, such as x5.0")]
pub struct ApiVersionError(String);

impl ApiVersion {
    /// The one that this program speaks.
    pub const HOST: Self = Self { major: 5, minor: 0 };

    /// Whether this program can talk with such a plug-in.
    pub fn is_usable(self) -> bool {
        self.is_usable_by(Self::HOST)
    }

    fn is_usable_by(self, host: Self) -> bool {
        self.major == host.major && self.minor <= host.minor
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = ApiVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix('x').unwrap_or(text);
        let parsed = bare
            .split_once('.')
            .and_then(|(major, minor)| Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? }));
        parsed.ok_or_else(|| ApiVersionError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_major_and_no_higher_minor_is_usable() {
        let cases = [("x5.0", true), ("5.1", true), ("x5.2", false), ("x4.0", false), ("x6.0", false)];
        for (text, usable) in cases {
            let host = ApiVersion { major: 5, minor: 1 };
            assert_eq!(text.parse::<ApiVersion>().unwrap().is_usable_by(host), usable, "{text}");
        }
        for text in ["", "x", "5", "x5.", "x-5.0", "five.0"] {
            assert!(text.parse::<ApiVersion>().is_err(), "{text}");
        }
    }
}
