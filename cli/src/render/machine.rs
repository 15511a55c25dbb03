//! Packer's machine-readable lines: `<unix seconds>,<target>,<type>,<data>…`.

use std::time::{SystemTime, UNIX_EPOCH};

/// One line, with its line ending.
pub(crate) fn line(now: SystemTime, target: &str, kind: &str, data: &[&str]) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let data: String = data.iter().map(|d| format!(",{}", escape(d))).collect();
    format!("{seconds},{target},{kind}{data}\n")
}

fn escape(text: &str) -> String {
    text.replace(',', "%!(PACKER_COMMA)").replace('\r', "\\r").replace('\n', "\\n")
}
