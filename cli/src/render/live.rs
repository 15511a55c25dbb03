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

#[derive(Debug)]
pub(super) struct Live {
    all: MultiProgress,
    moving: Mutex<Moving>,
}

#[derive(Debug, Default)]
struct Moving {
    builds: HashMap<usize, ProgressBar>,
    bars: HashMap<(usize, String), ProgressBar>,
}

impl Live {
    pub(super) fn new() -> Self {
        Self { all: MultiProgress::new(), moving: Mutex::default() }
    }

    pub(super) fn print(&self, text: &str) {
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            // As for a closed pipe: a vanished terminal ends nobody's build.
            let _ = self.all.println(line);
        }
    }

    pub(super) fn status(&self, build: usize, status: Status<'_>) {
        let mut moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        match status {
            Status::Doing { name, step } => {
                let line = moving.builds.entry(build).or_insert_with(|| self.all.add(spinner(build, name)));
                line.set_message(step.to_owned());
            }
            Status::Ended => {
                if let Some(line) = moving.builds.remove(&build) {
                    line.finish_and_clear();
                }
                moving.bars.retain(|(of, _), bar| {
                    if *of == build {
                        bar.finish_and_clear();
                    }
                    *of != build
                });
            }
        }
    }

    pub(super) fn progress(
        &self,
        build: usize,
        label: &str,
        (done, total): (u64, Option<u64>),
        unit: ProgressUnit,
    ) {
        let mut moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (build, label.to_owned());
        if total.is_some_and(|total| done >= total) {
            if let Some(bar) = moving.bars.remove(&key) {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = moving.bars.entry(key).or_insert_with(|| self.all.add(bar(label, total, unit)));
        bar.set_position(done);
    }

    pub(super) fn settle(&self) {
        let mut moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        let moving = std::mem::take(&mut *moving);
        moving.builds.into_values().chain(moving.bars.into_values()).for_each(|bar| bar.finish_and_clear());
    }
}

fn spinner(build: usize, name: &str) -> ProgressBar {
    let line = ProgressBar::new_spinner();
    line.set_style(style("{spinner} {prefix} {elapsed_precise} {wide_msg}"));
    line.set_prefix(Style::of_build(build).paint(name));
    line.enable_steady_tick(Duration::from_millis(120));
    line
}

fn bar(label: &str, total: Option<u64>, unit: ProgressUnit) -> ProgressBar {
    let template = match (unit, total) {
        (ProgressUnit::Bytes, Some(_)) => {
            "    {prefix} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}"
        }
        (ProgressUnit::Bytes, None) => "    {prefix} {bytes} {binary_bytes_per_sec}",
        (ProgressUnit::Percent, _) => "    {prefix} [{bar:30}] {percent} %",
    };
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.set_style(style(template).progress_chars("=> "));
    bar.set_prefix(label.to_owned());
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
