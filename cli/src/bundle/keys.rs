//! What opens a farm never goes along with a template: whoever carries out a task could read it.
//!
//! A coordinator's directory holds the farm's key, an agent's the key of its certificate; both are known by what lies in
//! them. Tokens and the farm's key are known wherever else they were put. Only the token of an agent may stand
//! in a larger text: a script may let the guest join the farm.

use std::path::Path;

use kiln_agent::daemon::is_run_directory;
use kiln_coordinator::identity::{Place, Sealer};
use kiln_proto::token::{Token, TokenKind};

/// What is looked for only in files of at most so many bytes: settings and the like.
const MOST: usize = 4 << 10;

/// Whether a coordinator or an agent keeps its own things in this directory.
pub(super) fn is_of_a_daemon(directory: &Path) -> bool {
    Place::new(directory).farm_key().is_file() || is_run_directory(directory)
}

/// Whether whoever reads a file can act for somebody else in a farm.
pub(super) fn opens_a_farm(contents: &[u8]) -> bool {
    let Some(text) = std::str::from_utf8(contents).ok().filter(|text| text.len() <= MOST) else {
        return false;
    };
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
    let mut tokens = words.filter_map(|word| word.parse::<Token>().ok());
    Sealer::is_told_in(text)
        || text.trim().parse::<Token>().is_ok()
        || tokens.any(|token| token.kind() != TokenKind::Agent)
}
