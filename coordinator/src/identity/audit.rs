//! What happened that matters for security, one line of JSON each, in files that only this coordinator's user can read:
//! who did what to what, when, from where, and what came of it. Never a secret: nothing of a request's body is here
//! but identifiers.
//!
//! ```text
//!   audit.jsonl ── 64 MiB ──► audit.1.jsonl ──► … ──► audit.9.jsonl ──► gone
//! ```

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kiln_model::Timestamp;
use kiln_proto::{Code, Problem};
use serde::Serialize;

use super::caller::Caller;

/// The bytes after which a file is full.
const FILE_BYTES: u64 = 64 << 20;

/// How many files are kept, with the one that is written.
const FILES: usize = 10;

/// How many refusals of unknown callers are written in a minute. More would push out what matters.
const STRANGERS: u32 = 60;

const MINUTE_MS: u64 = 60_000;

/// The audit, or none in a farm that keeps nothing.
#[derive(Debug)]
pub struct Audit(Option<Mutex<Trail>>);

#[derive(Debug)]
struct Trail {
    directory: PathBuf,
    file: File,
    bytes: u64,
    /// The minute that strangers are counted in, how many were written in it, and how many not.
    strangers: (u64, u32, u64),
}

/// The audit could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to open the audit {}", path.display())]
pub struct AuditError {
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub caller: &'a Caller,
    /// From where.
    pub from: Option<SocketAddr>,
    /// What, as in `Submission/Cancel`.
    pub act: &'a str,
    /// To what, when that has a name.
    pub target: Option<&'a str>,
    /// What came of it.
    pub outcome: Result<(), &'a Problem>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    caller: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    act: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// How many refusals of unknown callers before this line were not written.
    #[serde(skip_serializing_if = "is_zero")]
    unwritten: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the serialiser asks so")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Audit {
    /// None.
    pub const fn off() -> Self {
        Self(None)
    }

    /// In this directory, which is made if need be.
    ///
    /// # Errors
    /// When the directory can't be made or the file not be opened.
    pub fn open(directory: &Path) -> Result<Self, AuditError> {
        let failed = |path: &Path, source| AuditError { path: path.to_owned(), source };
        super::founding::private_directory(directory).map_err(|source| failed(directory, source))?;
        let (file, bytes) = append_to(&current(directory)).map_err(|e| failed(&current(directory), e))?;
        let trail = Trail { directory: directory.to_owned(), file, bytes, strangers: (0, 0, 0) };
        Ok(Self(Some(Mutex::new(trail))))
    }

    /// Writes a line. A disk that doesn't take it is told about in the log; what was done is done.
    pub fn write(&self, act: &Act<'_>) {
        let Some(trail) = &self.0 else { return };
        let mut trail = trail.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = trail.write(act) {
            tracing::error!(%error, act = act.act, caller = %act.caller, "the audit could not be written");
        }
    }
}

fn current(directory: &Path) -> PathBuf {
    directory.join("audit.jsonl")
}

fn append_to(path: &Path) -> std::io::Result<(File, u64)> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

impl Trail {
    fn write(&mut self, act: &Act<'_>) -> std::io::Result<()> {
        let refused = act.outcome.is_err();
        if refused && *act.caller == Caller::Nobody && !self.admits_stranger(act.at) {
            return Ok(());
        }
        let mut line = serde_json::to_vec(&self.line(act)).map_err(std::io::Error::other)?;
        line.push(b'\n');
        if self.bytes + line.len() as u64 > FILE_BYTES {
            self.rotate()?;
        }
        self.file.write_all(&line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn line<'a>(&mut self, act: &Act<'a>) -> Line<'a> {
        let at = i64::try_from(act.at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let token = match act.caller {
            Caller::Person { token, .. } => Some(token.to_string()),
            _ => None,
        };
        let (outcome, reason) = match act.outcome {
            Ok(()) => ("done", None),
            Err(problem) => (word(problem.code), Some(problem.message.as_str())),
        };
        Line {
            time: at.map_or_else(|| act.at.to_string(), |at| at.to_string()),
            caller: act.caller.to_string(),
            token,
            from: act.from.map(|from| from.to_string()),
            act: act.act,
            target: act.target,
            outcome,
            reason,
            unwritten: std::mem::take(&mut self.strangers.2),
        }
    }

    fn admits_stranger(&mut self, at: Timestamp) -> bool {
        let minute = at.0 / MINUTE_MS;
        let (counted, written, unwritten) = &mut self.strangers;
        if *counted != minute {
            (*counted, *written) = (minute, 0);
        }
        let admitted = *written < STRANGERS;
        if admitted {
            *written += 1;
        } else {
            *unwritten += 1;
        }
        admitted
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        let numbered = |n: usize| self.directory.join(format!("audit.{n}.jsonl"));
        for n in (1..FILES - 1).rev() {
            match std::fs::rename(numbered(n), numbered(n + 1)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        std::fs::rename(current(&self.directory), numbered(1))?;
        (self.file, self.bytes) = append_to(&current(&self.directory))?;
        Ok(())
    }
}

const fn word(code: Code) -> &'static str {
    match code {
        Code::Unidentified => "unidentified",
        Code::Forbidden => "forbidden",
        Code::Invalid => "invalid",
        Code::NotFound => "not found",
        Code::Refused => "refused",
        Code::Stale => "stale",
        Code::TooLarge => "too large",
        Code::Unavailable => "unavailable",
        Code::Internal => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn act<'a>(caller: &'a Caller, outcome: Result<(), &'a Problem>) -> Act<'a> {
        let from = Some(SocketAddr::from(([10, 0, 0, 7], 4_000)));
        Act { at: Timestamp(60_000), caller, from, act: "Submission/Cancel", target: Some("b7"), outcome }
    }

    #[test]
    fn a_line_says_who_did_what_to_what() {
        let place = tempfile::tempdir().unwrap();
        let audit = Audit::open(&place.path().join("audit")).unwrap();
        audit.write(&act(&Caller::Coordinator(2), Ok(())));
        let problem = Problem::new(Code::Forbidden, "it may not");
        audit.write(&act(&Caller::InProcess, Err(&problem)));
        let path = place.path().join("audit/audit.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = concat!(
            r#"{"time":"1970-01-01T00:01:00Z","caller":"coordinator 2","from":"10.0.0.7:4000","#,
            r#""act":"Submission/Cancel","target":"b7","outcome":"done"}"#,
            "\n",
            r#"{"time":"1970-01-01T00:01:00Z","caller":"this process","from":"10.0.0.7:4000","#,
            r#""act":"Submission/Cancel","target":"b7","outcome":"forbidden","reason":"it may not"}"#,
            "\n",
        );
        assert_eq!(text, expected);
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn strangers_can_not_flood_it() {
        let place = tempfile::tempdir().unwrap();
        let audit = Audit::open(place.path()).unwrap();
        let problem = Problem::new(Code::Unidentified, "who are you?");
        for _ in 0..1_000 {
            audit.write(&act(&Caller::Nobody, Err(&problem)));
        }
        audit.write(&act(&Caller::InProcess, Ok(())));
        let text = std::fs::read_to_string(place.path().join("audit.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 61);
        assert!(text.ends_with("\"unwritten\":940}\n"), "{}", text.lines().last().unwrap());
    }

    #[test]
    fn ten_files_are_kept() {
        let place = tempfile::tempdir().unwrap();
        let audit = Audit::open(place.path()).unwrap();
        for _ in 0..12 {
            audit.write(&act(&Caller::InProcess, Ok(())));
            let mut trail = audit.0.as_ref().unwrap().lock().unwrap();
            trail.bytes = FILE_BYTES;
        }
        let mut names: Vec<String> = std::fs::read_dir(place.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!((names.len(), names[0].as_str(), names[9].as_str()), (10, "audit.1.jsonl", "audit.jsonl"));
    }
}
