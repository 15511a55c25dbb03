//! What people see and do of the farm as a whole, over gRPC and HTTP alike.

use kiln_model::{Action, Outcome, Refusal};
use kiln_plan::id::BuildId;
use kiln_proto::{Code, Problem};

use crate::Coordinator;

impl Coordinator {
    /// Ends a build. One that has ended stays as it is.
    ///
    /// # Errors
    /// When it isn't known, or the ledger doesn't answer.
    pub(crate) async fn cancel(&self, build: BuildId) -> Result<(), Problem> {
        match self.ledger.propose(Action::Cancel { build }).await? {
            Outcome::Refused(refusal @ Refusal::UnknownBuild(_)) => {
                Err(Problem::from_error(Code::NotFound, &refusal))
            }
            // That it has ended already is what was wanted.
            _ => Ok(()),
        }
    }
}
