//! What is known of a guest that didn't come up: its screen, its last words, whether it fetched its answers.
//! "Timeout waiting for SSH" alone helps nobody.

use std::path::PathBuf;
use std::time::Duration;

use kiln_component::TaskContext;
use kiln_plan::Failure;

use super::guest::{QemuGuest, State};
use crate::http_server::Fetches;

/// The longest that the guest's screen is waited for.
const SCREEN_DEADLINE: Duration = Duration::from_secs(10);
const SERIAL_LINES: usize = 10;
/// Requests that are listed; the rest is counted.
const LISTED_FETCHES: usize = 8;

/// Adds to `failure` what is known of the guest. The screenshot lands in the working directory, as
/// `kiln-<build>-screen.png`: the output directory is removed after a failure.
pub async fn gather(
    cx: &TaskContext,
    guest: &QemuGuest,
    fetches: Option<&Fetches>,
    mut failure: Failure,
) -> Failure {
    if failure.cancelled {
        return failure;
    }
    let state = guest.state();
    if let Some(end) = state.end() {
        failure.fault = end.fault;
    }
    let mut add = |line: String| failure.evidence.push(cx.reporter.redact(&line));
    add(condition(guest, &state));
    if !matches!(state, State::Ended(_)) {
        match screenshot(cx, guest).await {
            Ok(path) => add(format!("the guest's screen: {}", path.display())),
            Err(reason) => add(format!("the guest's screen could not be saved: {reason}")),
        }
    }
    if let Some(fetches) = fetches {
        fetched(fetches).into_iter().for_each(&mut add);
    }
    let lines = guest.serial().last_lines(SERIAL_LINES);
    match lines.is_empty() {
        true => add("the guest wrote nothing to its serial port".to_owned()),
        false => lines.iter().for_each(|line| add(format!("serial: {line}"))),
    }
    guest.words().last_lines(3).iter().for_each(|line| add(format!("QEMU: {line}")));
    failure
}

fn condition(guest: &QemuGuest, state: &State) -> String {
    let age = guest.powered_on().elapsed().as_secs();
    let resets = match guest.resets() {
        0 => String::new(),
        1 => ", after one restart".to_owned(),
        n => format!(", after {n} restarts"),
    };
    match state.end() {
        None => format!("the guest is running, {age} s after power-on{resets}"),
        Some(end) => format!("{} within {age} s of power-on{resets}", end.reason),
    }
}

async fn screenshot(cx: &TaskContext, guest: &QemuGuest) -> Result<PathBuf, String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = cx.plan.name.chars().map(plain).collect();
    let path = cx.working_dir.join(format!("kiln-{name}-screen.png"));
    match tokio::time::timeout(SCREEN_DEADLINE, guest.qmp().screenshot(&path)).await {
        Ok(Ok(())) => Ok(path),
        Ok(Err(error)) => Err(kiln_plan::fault::chain(&error)),
        Err(_) => Err("QEMU did not answer".to_owned()),
    }
}

fn fetched(fetches: &Fetches) -> Vec<String> {
    let list = fetches.list();
    if list.is_empty() {
        return vec!["the guest never fetched anything from the HTTP server".to_owned()];
    }
    let shown = list.iter().take(LISTED_FETCHES).map(|f| format!("{} ({})", f.path, f.status));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = match fetches.count().saturating_sub(LISTED_FETCHES) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    vec![format!("the guest fetched from the HTTP server: {shown}{more}")]
}
