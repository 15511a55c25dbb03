//! What people and scripts see: the only place that writes to the terminal.
//!
//! Three faces over one set of calls. *Lines*: Packer's shape, `==> build: words`, for pipes and logs.
//! *Machine*: Packer's comma-separated lines. *Live*: the same lines scrolling above one status line per
//! build and the bars of what is moving.

pub(crate) mod diagnostic;
pub(crate) mod json;
mod live;
pub(crate) mod machine;
pub(crate) mod overview;
pub(crate) mod run;
pub(crate) mod style;
pub(crate) mod summary;

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::SystemTime;

use live::Live;
pub(crate) use live::Movement;
use style::Style;

/// How to show a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// `-color`, unless `PACKER_NO_COLOR` is set.
    pub(crate) color: bool,
    /// `-timestamp-ui`
    pub(crate) timestamps: bool,
    /// Who reads it.
    pub(crate) reader: Reader,
}

/// Who reads what a run tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// People.
    People,
    /// Scripts that know Packer's comma-separated lines: `-machine-readable`.
    Scripts,
    /// Programs that read JSON: `-format json`, which wins over the former.
    Json,
}

impl Look {
    /// Whether other programs read it.
    fn is_data(self) -> bool {
        self.reader != Reader::People
    }
}

/// What is wrong before there is a screen, to standard error.
pub(crate) fn fatal(text: &str) {
    // Nobody is left to tell that nobody listens.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Tone of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Ordinary words.
    Say,
    /// Words that machines get as a result rather than as talk.
    Note,
    /// Something wrong.
    Error,
}

/// The screen. Shared by all that speak; each message is written whole.
#[derive(Debug)]
pub(crate) struct Screen {
    look: Look,
    face: Face,
}

enum Face {
    Lines(Mutex<Box<dyn Write + Send>>),
    Live(Live),
}

impl std::fmt::Debug for Face {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Face::Live(_)) { "Live" } else { "Lines" })
    }
}

impl Screen {
    /// The screen on standard output: live on a terminal, lines elsewhere.
    pub(crate) fn standard(mut look: Look) -> Self {
        look.color &= std::env::var_os("PACKER_NO_COLOR").is_none_or(|v| v.is_empty());
        let live = !look.is_data() && std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        let face =
            if live { Face::Live(Live::new()) } else { Face::Lines(Mutex::new(Box::new(std::io::stdout()))) };
        Self { look, face }
    }

    /// Standard output, where nothing ever moves: lines even on a terminal.
    pub(crate) fn still(mut look: Look) -> Self {
        look.color &= std::env::var_os("PACKER_NO_COLOR").is_none_or(|v| v.is_empty());
        Self { look, face: Face::Lines(Mutex::new(Box::new(std::io::stdout()))) }
    }

    /// A screen that writes lines to `sink`.
    #[cfg(test)]
    pub(crate) fn on(sink: Box<dyn Write + Send>, look: Look) -> Self {
        Self { look, face: Face::Lines(Mutex::new(sink)) }
    }

    /// Whether people look at it who like colours.
    pub(crate) fn paints(&self) -> bool {
        self.look.color && !self.look.is_data() && std::io::stdout().is_terminal()
    }

    /// How it shows things.
    pub(crate) fn look(&self) -> Look {
        self.look
    }

    /// Whether a person looks at it and sees bars move.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.face, Face::Live(_))
    }

    /// Words of the program itself.
    pub(crate) fn say(&self, text: &str) {
        self.message(Tone::Say, None, text, false);
    }

    /// A line of a result.
    pub(crate) fn note(&self, text: &str) {
        self.message(Tone::Note, None, text, false);
    }

    /// Something wrong, told by the program itself.
    pub(crate) fn error(&self, text: &str) {
        self.message(Tone::Error, Some(style::ERROR), text, false);
    }

    /// Something wrong with a command whose output may be kept in a file: people are told on standard error.
    pub(crate) fn complain(&self, text: &str) {
        match (self.look.reader, &self.face) {
            (Reader::People, Face::Lines(_)) => {
                let _nobody_listens = writeln!(std::io::stderr(), "{text}");
            }
            _ => self.error(text),
        }
    }

    /// Something wrong, in no colour: what Packer prints of an interruption.
    pub(crate) fn plain_error(&self, text: &str) {
        self.message(Tone::Error, None, text, false);
    }

    /// A line about a build, in its colour.
    pub(crate) fn colored(&self, tone: Tone, style: Style, text: &str) {
        self.message(tone, Some(style), text, false);
    }

    /// Words of a build: each line prefixed with its name.
    pub(crate) fn build_says(&self, tone: Tone, style: Style, target: &str, text: &str) {
        let text = text.trim_end();
        let lines: Vec<String> =
            text.split('\n').map(|l| format!("==> {target}: {}", l.trim_end_matches('\r'))).collect();
        let style = if tone == Tone::Error { style::ERROR } else { style };
        self.message(tone, Some(style), &lines.join("\n"), true);
    }

    /// A machine-readable line of another type than `ui`; nothing for people.
    pub(crate) fn machine(&self, target: &str, kind: &str, data: &[&str]) {
        match self.look.reader {
            Reader::People => {}
            Reader::Scripts => self.write(&machine::line(SystemTime::now(), target, kind, data)),
            Reader::Json => self.object(&json::fact(target, kind, data)),
        }
    }

    /// A line of data, for `-format json`.
    pub(crate) fn object(&self, object: &serde_json::Value) {
        self.write(&format!("{object}\n"));
    }

    /// Text as it is, for results such as help.
    pub(crate) fn raw(&self, text: &str) {
        self.write(text);
    }

    /// What a build is doing now, for a live screen.
    pub(crate) fn status(&self, build: usize, status: live::Status<'_>) {
        if let Face::Live(live) = &self.face {
            live.status(build, status);
        }
    }

    /// How far something has come, for a live screen.
    pub(crate) fn progress(&self, build: usize, movement: &Movement<'_>) {
        if let Face::Live(live) = &self.face {
            live.progress(build, movement);
        }
    }

    /// Takes down everything that moves.
    pub(crate) fn settle(&self) {
        if let Face::Live(live) = &self.face {
            live.settle();
        }
    }

    /// Whether there is somebody to ask.
    pub(crate) fn somebody_is_there(&self) -> bool {
        !self.look.is_data() && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
    }

    /// Puts a question to the person at the terminal; the future yields the answer, empty when there is none.
    pub(crate) fn ask(&self, text: &str) -> impl Future<Output = String> + Send + 'static {
        self.say(text);
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            // An end of input is an empty answer.
            let _ = std::io::stdin().read_line(&mut line);
            line.trim_end_matches(['\n', '\r']).to_owned()
        });
        async move { line.await.unwrap_or_default() }
    }

    fn message(&self, tone: Tone, style: Option<Style>, text: &str, stamped: bool) {
        if self.look.reader == Reader::Json {
            self.object(&json::message(tone == Tone::Error, text));
            return;
        }
        if self.look.reader == Reader::Scripts {
            let kind = match tone {
                Tone::Say => "say",
                Tone::Note => "message",
                Tone::Error => "error",
            };
            self.write(&machine::line(SystemTime::now(), "", "ui", &[kind, text]));
            return;
        }
        let stamp =
            if stamped && self.look.timestamps { style::timestamp(SystemTime::now()) } else { String::new() };
        let text = format!("{stamp}{text}");
        match style.filter(|_| self.look.color) {
            Some(style) => self.write(&format!("{}\n", style.paint(&text))),
            None => self.write(&format!("{text}\n")),
        }
    }

    fn write(&self, text: &str) {
        match &self.face {
            // A closed pipe ends nobody's build: the words are lost, the work goes on.
            Face::Lines(sink) => {
                let mut sink = sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let _ = sink.write_all(text.as_bytes()).and_then(|()| sink.flush());
            }
            Face::Live(live) => live.print(text),
        }
    }
}

#[cfg(test)]
mod tests;
