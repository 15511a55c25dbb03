//! The steps of the builder, one file each, in the order in which [`super`] runs them.

use std::future::Future;

use kiln_component::TaskContext;
use kiln_plan::Failure;

pub mod choose_accelerator;
pub mod clear_keys;
pub mod connect;
pub mod convert_disk;
pub mod copy_efi_vars;
pub mod create_disks;
pub mod fetch_iso;
pub mod forward_port;
pub mod make_cd;
pub mod make_floppy;
pub mod make_output_directory;
pub mod serve_http;
pub mod shut_down;
pub mod start_guest;
pub mod start_tpm;
pub mod take_vnc_port;
pub mod type_boot_command;

/// Waits for `work` unless the task is cancelled first; then `work` is dropped.
///
/// # Errors
/// What `work` fails with, or that the task was cancelled.
async fn unless_cancelled<T>(
    cx: &TaskContext,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    cx.cancel.run_until_cancelled(work).await.unwrap_or_else(|| Err(Failure::cancelled()))
}
