//! What a plug-in says of itself: `packer-plugin-amazon_… describe` prints one JSON object and ends.

use std::io;
use std::path::Path;
use std::time::Duration;

use kiln_component::{Journal, ProcessError, Program};
use serde::{Deserialize, Deserializer};
use tokio_util::sync::CancellationToken;

use crate::api_version::ApiVersion;
use kiln_plan::Version;

/// It answers in milliseconds; a big program on a slow disk takes seconds to load.
const DEADLINE: Duration = Duration::from_secs(30);

/// A program that was written a moment ago may still be open in another child that is just being forked.
const BUSY_TRIES: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// What a plug-in says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Description {
    /// Its version, perhaps with `-dev` and metadata.
    pub version: String,
    /// The version of the SDK that it was built with.
    #[serde(default)]
    pub sdk_version: String,
    /// The version of the protocol, as `x5.0`.
    pub api_version: String,
    /// `v2` when it understands protobuf, absent before SDK 0.6.0.
    #[serde(default)]
    pub protocol_version: Option<String>,
    /// Names of its builders, without the plug-in's own name before them.
    #[serde(default, deserialize_with = "names")]
    pub builders: Vec<String>,
    /// Names of its provisioners.
    #[serde(default, deserialize_with = "names")]
    pub provisioners: Vec<String>,
    /// Names of its post-processors.
    #[serde(default, deserialize_with = "names")]
    pub post_processors: Vec<String>,
    /// Names of its data sources.
    #[serde(default, deserialize_with = "names")]
    pub datasources: Vec<String>,
}

/// A list, which Go writes as `null` when it is empty.
fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(from)?.unwrap_or_default())
}

/// Why a plug-in doesn't describe itself.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// It can't be run, or ends without success.
    #[error("it can't be asked to describe itself")]
    Run(#[from] ProcessError),
    /// It doesn't answer.
    #[error("asked to describe itself, it didn't answer for {} seconds", DEADLINE.as_secs())]
    Silent,
    /// It says something else.
    #[error("asked to describe itself, it said something that no plug-in says")]
    Nonsense(#[source] serde_json::Error),
    /// Its version is none.
    #[error("it says that its version is {0:?}, which is none")]
    Version(String),
    /// Its protocol's version is none.
    #[error("it says that its protocol is {0:?}, which is none")]
    Protocol(String),
}

impl Description {
    /// Its version, without metadata.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn version(&self) -> Result<Version, DescribeError> {
        self.version.parse().map_err(|_| DescribeError::Version(self.version.clone()))
    }

    /// The version of the protocol that it speaks.
    ///
    /// # Errors
    /// When it isn't one.
    pub fn api(&self) -> Result<ApiVersion, DescribeError> {
        self.api_version.parse().map_err(|_| DescribeError::Protocol(self.api_version.clone()))
    }
}

/// Asks a plug-in to describe itself. Dropping the future kills it.
///
/// # Errors
/// When it can't be run or says nothing that makes sense.
pub async fn describe(
    program: &Path,
    journal: &Journal,
    cancel: &CancellationToken,
) -> Result<Description, DescribeError> {
    let asked = tokio::time::timeout(DEADLINE, output(program, journal, cancel));
    let said = asked.await.map_err(|_| DescribeError::Silent)??;
    serde_json::from_slice(&said).map_err(DescribeError::Nonsense)
}

async fn output(
    program: &Path,
    journal: &Journal,
    cancel: &CancellationToken,
) -> Result<Vec<u8>, ProcessError> {
    let mut tries = 0;
    loop {
        let ran = Program::new(program).arg("describe").output(journal, cancel).await;
        match ran.and_then(kiln_component::process::Output::require_success) {
            Err(ProcessError::Start { source, .. })
                if source.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES =>
            {
                tries += 1;
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            other => return other.map(|output| output.stdout),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_plugins_say_is_understood() {
        let said = r#"{"version":"1.1.7-dev+abc","sdk_version":"0.6.10","api_version":"x5.0","builders":["ebs"],
            "post_processors":null,"provisioners":["-packer-default-plugin-name-"],"new":1}"#;
        let description: Description = serde_json::from_str(said).unwrap();
        assert_eq!(description.version().unwrap().to_string(), "1.1.7-dev");
        assert_eq!(description.api().unwrap(), ApiVersion::HOST);
        assert_eq!(description.builders, ["ebs"]);
        assert!(description.post_processors.is_empty() && description.protocol_version.is_none());
    }
}
