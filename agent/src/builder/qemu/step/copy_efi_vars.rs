//! The guest's UEFI variables: a copy of the template's, which becomes part of the artifact.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use async_trait::async_trait;
use kiln_component::{Done, Step, TaskContext};
use kiln_plan::{Failure, Fault};

use crate::builder::qemu::artifact::EFI_VARS;
use crate::builder::qemu::config::Config;
use crate::download::origin;

/// See the module.
#[derive(Debug)]
pub struct CopyEfiVars<'a> {
    /// The config.
    pub config: &'a Config,
}

#[async_trait]
impl Step for CopyEfiVars<'_> {
    /// The copy, if the guest boots by UEFI.
    type Output = Option<PathBuf>;

    fn name(&self) -> &'static str {
        "copy the UEFI variables"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<Option<PathBuf>>, Failure> {
        let Some(efi) = &self.config.firmware.efi else { return Ok(Done::plain(None)) };
        let code = self.config.resolve(&efi.code);
        let (from, to) = (self.config.resolve(&efi.vars), self.config.output_path().join(EFI_VARS));
        if let Some(missing) = [&code, &from].into_iter().find(|file| !file.exists()) {
            let text = format!("the UEFI image {} does not exist", missing.display());
            let hint =
                "Install OVMF (on Debian: the package ovmf), or set efi_firmware_code and efi_firmware_vars.";
            return Err(Failure::new(Fault::Machine, text).hint(hint));
        }
        for firmware in [&code, &from] {
            let noted = origin::file(cx, firmware).await;
            noted.map_err(|error| Failure::from_error(Fault::Machine, &error))?;
        }
        let copying = async {
            tokio::fs::copy(&from, &to).await?;
            tokio::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o660)).await
        };
        copying.await.map_err(|error| {
            let text = format!("cannot copy {} to {}: {error}", from.display(), to.display());
            Failure::new(Fault::Machine, text)
        })?;
        Ok(Done::plain(Some(to)))
    }
}
