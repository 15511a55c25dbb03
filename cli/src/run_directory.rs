//! Where this user's runs keep their journals and scratch, and the removal of what dead ones left.

use std::path::{Path, PathBuf};

use kiln_component::Journal;

use crate::render::Screen;

/// `$XDG_STATE_HOME/kiln`, else `~/.local/state/kiln`; below the temporary directory for a user without a home.
pub(crate) fn path() -> PathBuf {
    let absolute = |path: &PathBuf| path.is_absolute();
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(absolute);
    let home = || std::env::home_dir().filter(absolute).map(|home| home.join(".local/state"));
    state.or_else(home).unwrap_or_else(std::env::temp_dir).join("kiln")
}

/// Where downloads are kept, as Packer does: `$PACKER_CACHE_DIR`, else `$XDG_CACHE_HOME/packer`, else
/// `~/.cache/packer`.
pub(crate) fn cache() -> PathBuf {
    let given = std::env::var_os("PACKER_CACHE_DIR").filter(|v| !v.is_empty()).map(PathBuf::from);
    let xdg = || {
        std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()).map(|c| PathBuf::from(c).join("packer"))
    };
    let home = || std::env::home_dir().map(|home| home.join(".cache/packer"));
    given.or_else(xdg).or_else(home).unwrap_or_else(|| std::env::temp_dir().join("packer-cache"))
}

/// Removes what runs that died left behind, and says what it removed.
pub(crate) async fn clear(directory: &Path, screen: &Screen) {
    match Journal::recover(directory).await {
        Ok(recovered) => recovered.iter().for_each(|r| screen.say(&format!("Left by an earlier run: {r}"))),
        Err(error) => screen.error(&format!(
            "cannot look for what earlier runs left behind in {}: {error}",
            directory.display()
        )),
    }
}
