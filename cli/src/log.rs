//! The log of the program's inner life, for whoever looks for a fault: off unless `PACKER_LOG` (not empty, not `0`: to
//! standard error) or `PACKER_LOG_PATH` (to that file, which begins anew) asks for it, as with Packer.
//!
//! `KILN_LOG` chooses how much, in the notation of `RUST_LOG`; without it, everything of Kiln's own down to `debug`.
//! Templates' secrets are hidden in it as on the screen.

use std::fs::File;
use std::io::{self, LineWriter, Write};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, RwLock};

use kiln_plan::secret::Redactor;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

static HIDDEN: LazyLock<RwLock<Redactor>> = LazyLock::new(RwLock::default);

/// Begins the log, if the environment asks for one. Where the file can't be written, that is told and there is no log.
pub(crate) fn begin() {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let sink: Sink = match (variable("PACKER_LOG_PATH"), variable("PACKER_LOG")) {
        (Some(path), _) => match File::create(&path) {
            Ok(file) => Box::new(LineWriter::new(file)),
            Err(error) => {
                let _ = writeln!(io::stderr(), "cannot log to {}: {error}", path.display());
                return;
            }
        },
        (None, Some(value)) if value != "0" => Box::new(io::stderr()),
        _ => return,
    };
    write_to(sink, "warn,kiln=debug");
}

/// Begins the log of a daemon, which is for its operator and hence always on: to standard error, unless the environment
/// asked for another.
pub(crate) fn begin_for_daemon() {
    write_to(Box::new(io::stderr()), "info,openraft=warn");
}

/// Writes to `sink`, unless another log has begun; this much, unless `KILN_LOG` says otherwise.
fn write_to(sink: Sink, usual: &str) {
    let filter = EnvFilter::try_from_env("KILN_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    // The first one stays.
    let _ = tracing::subscriber::set_global_default(log.with_writer(Discreet(Mutex::new(sink))).finish());
}

/// Hides these texts too, from now on.
pub(crate) fn hide<'s>(secrets: impl IntoIterator<Item = &'s str>) {
    HIDDEN.write().unwrap_or_else(PoisonError::into_inner).learn(secrets);
}

type Sink = Box<dyn Write + Send>;

/// Where lines go, without secrets.
struct Discreet(Mutex<Sink>);

impl<'a> MakeWriter<'a> for Discreet {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One event, which comes in one piece.
struct Line<'a>(MutexGuard<'a, Sink>);

impl Write for Line<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(piece);
        let hidden = HIDDEN.read().unwrap_or_else(PoisonError::into_inner);
        self.0.write_all(hidden.redact(&text).as_bytes())?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").write(piece)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn events_lose_their_secrets_on_the_way() {
        hide(["log-me-not"]);
        let kept = Kept::default();
        let log = tracing_subscriber::fmt().with_writer(Discreet(Mutex::new(Box::new(kept.clone()))));
        tracing::subscriber::with_default(log.finish(), || {
            tracing::info!(arguments = ?["-fw_cfg", "string=log-me-not"], "starting");
        });
        let text = String::from_utf8(kept.0.lock().expect("nobody panicked").clone()).expect("text");
        assert!(text.contains("starting") && text.contains("<sensitive>"), "{text}");
        assert!(!text.contains("log-me-not"), "{text}");
    }
}
