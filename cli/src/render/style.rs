//! Colours and times as Packer writes them.

use std::time::SystemTime;

/// An ANSI foreground colour, bold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style(u8);

/// Errors.
pub(crate) const ERROR: Style = Style(31);

/// Warnings.
pub(crate) const WARNING: Style = Style(33);

/// What to do.
pub(crate) const HINT: Style = Style(36);

/// What has been installed.
pub(crate) const INSTALLED: Style = Style(36);

/// The colours of builds, by their order.
const BUILDS: [Style; 5] = [Style(32), Style(36), Style(35), Style(33), Style(34)];

impl Style {
    /// The colour of the `index`-th build.
    pub(crate) fn of_build(index: usize) -> Self {
        BUILDS[index % BUILDS.len()]
    }

    /// The text in this colour.
    pub(crate) fn paint(self, text: &str) -> String {
        format!("\u{1b}[1;{}m{text}\u{1b}[0m", self.0)
    }
}

/// `2026-11-20T21:13:48Z: `, in local time.
pub(crate) fn timestamp(now: SystemTime) -> String {
    let now = jiff::Timestamp::try_from(now).unwrap_or_default().to_zoned(jiff::tz::TimeZone::system());
    let format = if now.offset().is_zero() { "%Y-%m-%dT%H:%M:%SZ: " } else { "%Y-%m-%dT%H:%M:%S%:z: " };
    now.strftime(format).to_string()
}
