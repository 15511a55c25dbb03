//! How attempts end, and what they made.

use kiln_plan::artifact::{ArtifactFile, ArtifactRecord};
use kiln_plan::event::TaskOutcome;
use kiln_plan::{Failure, Fault};

use super::ConvertError;
use crate::v1;
use crate::v1::task_outcome::Kind;

impl From<TaskOutcome> for v1::TaskOutcome {
    fn from(outcome: TaskOutcome) -> Self {
        let kind = match outcome {
            TaskOutcome::Succeeded { artifacts } => {
                Kind::Succeeded(v1::Succeeded { artifacts: artifacts.into_iter().map(Into::into).collect() })
            }
            TaskOutcome::Failed { failure } => Kind::Failed(failure.into()),
            TaskOutcome::Cancelled => Kind::Cancelled(v1::Cancelled {}),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::TaskOutcome> for TaskOutcome {
    type Error = ConvertError;

    fn try_from(outcome: v1::TaskOutcome) -> Result<Self, Self::Error> {
        match outcome.kind.ok_or(ConvertError::Missing { message: "an outcome", field: "its kind" })? {
            Kind::Succeeded(v1::Succeeded { artifacts }) => {
                Ok(Self::Succeeded { artifacts: artifacts.into_iter().map(Into::into).collect() })
            }
            Kind::Failed(failure) => Ok(Self::Failed { failure: failure.into() }),
            Kind::Cancelled(_) => Ok(Self::Cancelled),
        }
    }
}

impl From<Failure> for v1::Failure {
    fn from(failure: Failure) -> Self {
        let fault = match failure.fault {
            Fault::Template => v1::Fault::Template,
            Fault::Guest => v1::Fault::Guest,
            Fault::Machine => v1::Fault::Machine,
            Fault::Farm => v1::Fault::Farm,
        };
        Self {
            fault: fault.into(),
            message: failure.message,
            hint: failure.hint,
            evidence: failure.evidence,
            cancelled: failure.cancelled,
        }
    }
}

impl From<v1::Failure> for Failure {
    fn from(failure: v1::Failure) -> Self {
        let fault = match failure.fault() {
            v1::Fault::Template => Fault::Template,
            v1::Fault::Guest => Fault::Guest,
            v1::Fault::Machine => Fault::Machine,
            // A fault that is not known is not the user's.
            v1::Fault::Farm | v1::Fault::Unspecified => Fault::Farm,
        };
        Self {
            fault,
            message: failure.message,
            hint: failure.hint,
            evidence: failure.evidence,
            cancelled: failure.cancelled,
        }
    }
}

impl From<ArtifactRecord> for v1::Artifact {
    fn from(artifact: ArtifactRecord) -> Self {
        let file = |f: ArtifactFile| v1::ArtifactFile { path: f.path, size: f.size, digest: f.digest };
        Self {
            builder_id: artifact.builder_id,
            id: artifact.id,
            description: artifact.description,
            files: artifact.files.into_iter().map(file).collect(),
        }
    }
}

impl From<v1::Artifact> for ArtifactRecord {
    fn from(artifact: v1::Artifact) -> Self {
        let file = |f: v1::ArtifactFile| ArtifactFile { path: f.path, size: f.size, digest: f.digest };
        Self {
            builder_id: artifact.builder_id,
            id: artifact.id,
            description: artifact.description,
            files: artifact.files.into_iter().map(file).collect(),
        }
    }
}
