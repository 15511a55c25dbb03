//! Which names and links a bundle may have: those that stay in it, wherever it is unpacked.

/// The most bytes of a name.
const LONGEST_NAME: usize = 1024;

/// What is wrong with a name or a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// It is empty, or has an empty part, or `.`.
    #[error("it is not a plain relative name")]
    NotPlain,
    /// It leads out.
    #[error("it leads out of the bundle")]
    Escapes,
    /// It is too long.
    #[error("its name has more than {LONGEST_NAME} bytes")]
    TooLong,
    /// It is there already.
    #[error("it is there twice")]
    Twice,
    /// A file or a link stands where it needs a directory, or the other way round.
    #[error("a file or a link stands where a directory must be")]
    NoDirectory,
    /// It is neither a file nor a symbolic link.
    #[error("it is neither a file nor a symbolic link")]
    Kind,
}

/// Whether a bundle may have an entry of this name.
pub(super) fn check_name(name: &str) -> Result<(), PathProblem> {
    if name.len() > LONGEST_NAME {
        return Err(PathProblem::TooLong);
    }
    if name.starts_with('/') || name.split('/').any(|part| part == "..") {
        return Err(PathProblem::Escapes);
    }
    if name.contains('\0') || name.split('/').any(|part| part.is_empty() || part == ".") {
        return Err(PathProblem::NotPlain);
    }
    Ok(())
}

/// Whether a link of this name may lead there. Names alone are looked at: nothing stands below a link, and since no
/// link of a bundle leads out of it, a chain of them doesn't either.
pub(super) fn check_link(name: &str, target: &str) -> Result<(), PathProblem> {
    if target.len() > LONGEST_NAME {
        return Err(PathProblem::TooLong);
    }
    if target.is_empty() || target.contains('\0') {
        return Err(PathProblem::NotPlain);
    }
    if target.starts_with('/') {
        return Err(PathProblem::Escapes);
    }
    // What comes after a part that is itself a link may stand deeper or higher than the names tell, so `..` is only
    // taken at the start, where it leads up the directories of the link's own name.
    let mut depth = name.split('/').count() - 1;
    let mut below = false;
    for part in target.split('/') {
        match part {
            ".." if below => return Err(PathProblem::Escapes),
            ".." if depth == 0 => return Err(PathProblem::Escapes),
            ".." => depth -= 1,
            "" | "." => {}
            _ => below = true,
        }
    }
    Ok(())
}
