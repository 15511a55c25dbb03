//! `kiln version`

use crate::exit_code::Ended;
use crate::render::Screen;

/// The version of Packer whose behaviour templates get: what `packer.version`, `{{packer_version}}` and
/// `required_version` see.
pub(crate) const PACKER_VERSION: &str = "1.16.0";

/// Prints the versions.
pub(crate) fn run(screen: &Screen) -> Ended {
    let version = env!("CARGO_PKG_VERSION");
    screen.machine("", "version", &[version]);
    screen.machine("", "version-prelease", &[""]);
    screen.machine("", "version-commit", &[""]);
    screen.say(&format!("Kiln v{version} (templates as of Packer v{PACKER_VERSION})"));
    Ended::Well
}
