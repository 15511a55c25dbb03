//! The moving part of a terminal: a status line per build, bars for what is being moved.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use kiln_plan::event::ProgressUnit;

use super::style::Style;

/// What a build is doing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Status<'a> {
    /// It is doing this step.
    Doing {
        /// The build's name.
        name: &'a str,
        /// The step.
        step: &'a str,
    },
    /// It has ended.
    Ended,
}

/// How far something has been moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Movement<'a> {
    /// What is moved.
    pub(crate) label: &'a str,
    /// In `unit`s.
    pub(crate) done: u64,
    /// Of so many, if that is known.
    pub(crate) total: Option<u64>,
    /// What is counted.
    pub(crate) unit: ProgressUnit,
}

#[derive(Debug)]
pub(super) struct Live {
    all: MultiProgress,
    builds: Mutex<HashMap<usize, Line>>,
}

/// The line of one build, which is a bar while something is being moved.
#[derive(Debug)]
struct Line {
    line: ProgressBar,
    /// What is being moved.
    moving: Option<String>,
}

impl Live {
    pub(super) fn new() -> Self {
        Self { all: MultiProgress::new(), builds: Mutex::default() }
    }

    pub(super) fn print(&self, text: &str) {
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            // As for a closed pipe: a vanished terminal ends nobody's build.
            let _ = self.all.println(line);
        }
    }

    pub(super) fn status(&self, build: usize, status: Status<'_>) {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        match status {
            Status::Doing { name, step } => {
                let line = builds.entry(build).or_insert_with(|| self.line(build, name));
                line.stop_moving();
                line.line.set_message(step.to_owned());
            }
            Status::Ended => {
                if let Some(Line { line, .. }) = builds.remove(&build) {
                    line.finish_and_clear();
                }
            }
        }
    }

    pub(super) fn progress(&self, build: usize, movement: &Movement<'_>) {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        let line = builds.entry(build).or_insert_with(|| self.line(build, ""));
        match movement.total.is_some_and(|total| movement.done >= total) {
            true => line.stop_moving(),
            false => line.moves(movement),
        }
    }

    fn line(&self, build: usize, name: &str) -> Line {
        // Among the others before it is drawn for the first time, or that drawing stays on the screen.
        let line = self.all.add(ProgressBar::new_spinner());
        line.set_style(style(STILL));
        line.set_prefix(Style::of_build(build).paint(name));
        line.enable_steady_tick(Duration::from_millis(120));
        Line { line, moving: None }
    }

    pub(super) fn settle(&self) {
        let builds = std::mem::take(&mut *self.builds.lock().unwrap_or_else(PoisonError::into_inner));
        builds.into_values().for_each(|Line { line, .. }| line.finish_and_clear());
    }
}

impl Line {
    fn moves(&mut self, Movement { label, done, total, unit }: &Movement<'_>) {
        if self.moving.as_deref() != Some(*label) {
            self.line.set_style(style(match (unit, total) {
                (ProgressUnit::Bytes, Some(_)) => BYTES_OF,
                (ProgressUnit::Bytes, None) => BYTES,
                (ProgressUnit::Percent, _) => PERCENT,
            }));
            self.line.set_message((*label).to_owned());
            self.line.reset_eta();
            self.moving = Some((*label).to_owned());
        }
        total.iter().for_each(|total| self.line.set_length(*total));
        self.line.set_position(*done);
    }

    fn stop_moving(&mut self) {
        if self.moving.take().is_some() {
            self.line.set_style(style(STILL));
        }
    }
}

const STILL: &str = "{spinner} {prefix} {elapsed_precise} {wide_msg}";
const BYTES_OF: &str = "{spinner} {prefix} {elapsed_precise} {msg} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
const BYTES: &str = "{spinner} {prefix} {elapsed_precise} {msg} {bytes} {binary_bytes_per_sec}";
const PERCENT: &str = "{spinner} {prefix} {elapsed_precise} {msg} [{bar:30}] {percent} %";

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}
