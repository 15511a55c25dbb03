//! The JSON template that `fix` and `hcl2_upgrade` work on.

use kiln_config::{Bundle, ConfigType};
use kiln_lang::{Diagnostics, SourceFile, SourceMap};

use crate::arguments::{self, TemplateArguments};
use crate::exit_code::Ended;
use crate::local_host::LocalHost;
use crate::render::{Screen, diagnostic};

/// Reads the template at `path`.
///
/// # Errors
/// How the command ends, after it has told why.
pub(super) fn read(arguments: &TemplateArguments, path: &str, screen: &Screen) -> Result<SourceFile, Ended> {
    let config_type = match arguments.config_type {
        arguments::ConfigType::Json => ConfigType::Json,
        arguments::ConfigType::Hcl2 => ConfigType::Hcl2,
    };
    Bundle::read_legacy(path, config_type, &LocalHost::default()).map_err(|found| {
        diagnostic::show(screen, &found, &SourceMap::default());
        Ended::Failed
    })
}

/// Shows what is wrong with a text.
pub(super) fn complain(screen: &Screen, found: &Diagnostics, file: SourceFile) -> Ended {
    let mut sources = SourceMap::default();
    sources.add(file);
    diagnostic::show(screen, found, &sources);
    Ended::Failed
}
