//! The numbers a command ends with: Packer's, so that scripts go on working. `docs/reference/exit-codes.md`
//! tells users the same.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All is well, or there were only warnings.
    Well,
    /// Something was wrong: the words, the template, a build, an interruption.
    Failed,
    /// `fmt -check` found text that isn't canonical.
    NotCanonical,
    /// No command, or none of that name.
    NoCommand,
    /// A coordinator's ledger failed for good.
    LedgerFailed,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        ExitCode::from(match ended {
            Ended::Well => 0,
            Ended::Failed => 1,
            Ended::NotCanonical => 3,
            Ended::NoCommand => 127,
            Ended::LedgerFailed => kiln_coordinator::LEDGER_FAILED_EXIT,
        })
    }
}
