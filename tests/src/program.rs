//! The kiln program, run as a user runs it, in a directory and a home of its own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::leftovers::Leftovers;
use crate::wait;

/// A run that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(1200);

/// A place to run kiln in: a working directory, a home, nothing of the user's own. All that a run starts carries
/// this place in its environment, so that what it leaves behind can be found.
#[derive(Debug)]
pub struct Place {
    kiln: PathBuf,
    directory: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// The exit code; -1 for a signal.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Fails the test unless the run printed `text`.
    ///
    /// # Panics
    /// When it didn't.
    #[track_caller]
    pub fn expect(&self, text: &str) -> &Self {
        assert!(self.stdout.contains(text), "no {text:?} in:\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails the test if the run printed `text`.
    ///
    /// # Panics
    /// When it did.
    #[track_caller]
    pub fn expect_not(&self, text: &str) -> &Self {
        assert!(!self.all().contains(text), "{text:?} is in:\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// All that it printed.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Fails the test unless the run ended with `code`.
    ///
    /// # Panics
    /// When it didn't.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

/// A run that goes on.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: PathBuf,
}

impl Place {
    /// A fresh place for the program at `kiln`.
    ///
    /// # Panics
    /// When a temporary directory can't be made.
    pub fn new(kiln: impl Into<PathBuf>) -> Self {
        let directory =
            tempfile::Builder::new().prefix("kiln-test").tempdir().expect("there is room in /tmp");
        for name in ["work", "home", "tmp"] {
            std::fs::create_dir(directory.path().join(name)).expect("the directory is new");
        }
        Self { kiln: kiln.into(), directory, environment: Vec::new() }
    }

    /// The working directory.
    pub fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    /// The home.
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// The temporary directory.
    pub fn temporary(&self) -> PathBuf {
        self.directory.path().join("tmp")
    }

    /// Sets a variable for all further runs.
    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.environment.push((name.to_owned(), value.as_ref().to_string_lossy().into_owned()));
    }

    /// Writes a file below the working directory.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("the place is ours");
        std::fs::write(&path, text).expect("the place is ours");
        path
    }

    /// The text of a file below the working directory.
    ///
    /// # Panics
    /// When it can't be read.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.work().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// A run to its end.
    ///
    /// # Panics
    /// When it can't be started or hangs.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        self.start(arguments).finish()
    }

    /// A run to its end that reads `input` on standard input.
    ///
    /// # Panics
    /// When it can't be started or hangs.
    #[track_caller]
    pub fn run_on<S: AsRef<OsStr>>(&self, input: &str, arguments: impl IntoIterator<Item = S>) -> Ran {
        let path = self.directory.path().join(format!("input-{}", self.runs()));
        std::fs::write(&path, input).expect("the place is ours");
        let file = std::fs::File::open(&path).expect("it was just written");
        self.launch(arguments, file.into()).finish()
    }

    /// A run that the test goes along with.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Running {
        self.launch(arguments, Stdio::null())
    }

    fn launch<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>, input: Stdio) -> Running {
        let output = self.directory.path().join(format!("output-{}", self.runs()));
        let file = |name: &str| std::fs::File::create(output.join(name)).expect("the place is ours");
        std::fs::create_dir(&output).expect("the place is ours");
        let mut command = Command::new(&self.kiln);
        command.args(arguments).current_dir(self.work()).env_clear();
        for name in ["PATH", "USER", "LANG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        let home = self.directory.path().join("home");
        command.env("HOME", home).env("TMPDIR", self.temporary()).env("PACKER_NO_COLOR", "1");
        command.env(Leftovers::MARK, self.directory.path()).envs(self.environment.iter().cloned());
        command.stdin(input).stdout(file("stdout")).stderr(file("stderr"));
        Running { child: command.spawn().expect("kiln is built"), output }
    }

    /// What runs in this place have left behind.
    pub fn leftovers(&self) -> Leftovers {
        Leftovers::of(self.directory.path())
    }

    fn runs(&self) -> usize {
        std::fs::read_dir(self.directory.path()).map_or(0, Iterator::count)
    }
}

impl Running {
    /// What it has printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.output.join("stdout")).unwrap_or_default()
    }

    /// Waits until it has printed `text`.
    ///
    /// # Panics
    /// When it ends before, or takes too long.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let what = format!("kiln to print {text:?}");
        wait::until(&what, LIMIT, || {
            let ended = self.child.try_wait().ok().flatten();
            let printed = self.printed();
            let found = printed.contains(text);
            assert!(found || ended.is_none(), "kiln ended without printing {text:?}:\n{printed}");
            found.then_some(())
        });
    }

    /// Kills it, as a lack of memory would, and waits until it is gone.
    ///
    /// # Panics
    /// When it can't be waited for.
    pub fn kill(mut self) {
        self.signal("KILL");
        self.child.wait().expect("it is our child");
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by name.
    ///
    /// # Panics
    /// When there is no program `kill`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.expect("kill is installed").success());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it hangs.
    #[track_caller]
    pub fn finish(mut self) -> Ran {
        let status = wait::until("kiln to end", LIMIT, || self.child.try_wait().ok().flatten());
        let read = |name: &str| {
            let bytes = std::fs::read(self.output.join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ran { status, stdout: read("stdout"), stderr: read("stderr") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Only a test that failed half way leaves a run behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
