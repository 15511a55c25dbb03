//! The table at the end of a run on a terminal: what was made, how large, and where the time went.

use std::time::Duration;

use kiln_lang::duration::in_words;
use kiln_plan::byte_count;

use super::run::{BuildView, size};

/// Steps shorter than this share of their build aren't worth a line.
const WORTH_A_LINE: f64 = 0.02;

/// The table.
pub(super) fn table(builds: &[BuildView]) -> String {
    let mut out = String::from("\n");
    for build in builds {
        out.push_str(&format!("{}  {}\n", build.name, in_words(build.took)));
        out.push_str(&time(build));
        for artifact in build.artifacts().unwrap_or_default() {
            out.push_str(&format!("    {}  {}\n", size(artifact), artifact.description));
            for file in &artifact.files {
                let digest = file.digest.as_deref().unwrap_or("");
                out.push_str(&format!(
                    "      {:>10}  {}  {digest}\n",
                    byte_count::in_words(file.size),
                    file.path
                ));
            }
        }
    }
    out
}

fn time(build: &BuildView) -> String {
    let mut steps = build.steps.clone();
    steps.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
    let worth = |took: &Duration| took.as_secs_f64() >= build.took.as_secs_f64() * WORTH_A_LINE;
    let line = |(step, took): &(String, Duration)| {
        let share = took.as_secs_f64() / build.took.as_secs_f64().max(f64::EPSILON) * 100.0;
        format!("    {share:3.0} %  {:>12}  {step}\n", format!("{:.1} s", took.as_secs_f64()))
    };
    steps.iter().filter(|(_, took)| worth(took)).take(8).map(line).collect()
}
