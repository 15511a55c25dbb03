//! Durations as Packer reads and writes them: Go's `1h2m3.5s` going in, `3 minutes 4 seconds` coming out.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing was given.
    #[error("the duration is empty; write for example \"10s\" or \"1h5m\"")]
    Empty,
    /// A number stands without a unit.
    #[error("the duration {0:?} lacks a unit; write for example \"{0}s\"")]
    MissingUnit(String),
    /// Anything else.
    #[error("{0:?} is not a duration; write for example \"10s\", \"1.5h\" or \"1h5m\"")]
    Malformed(String),
}

/// A signed duration, since Packer gives negative ones a meaning (`boot_wait = "-1s"`: don't wait).
///
/// Written as whole nanoseconds; read from nanoseconds too, as numbers in Packer's JSON templates mean, or from
/// a text in Go's syntax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignedDuration {
    /// Nanoseconds; negative for a negative duration.
    pub nanoseconds: i64,
}

impl SignedDuration {
    /// A duration of whole seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self { nanoseconds: seconds * 1_000_000_000 }
    }

    /// The span of time it stands for; zero when it is negative.
    pub fn max_zero(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.nanoseconds).unwrap_or(0))
    }

    /// Whether nothing was asked for.
    pub fn is_zero(self) -> bool {
        self.nanoseconds == 0
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.nanoseconds < 0
    }
}

impl Serialize for SignedDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.nanoseconds)
    }
}

impl<'de> Deserialize<'de> for SignedDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl de::Visitor<'_> for DurationVisitor {
    type Value = SignedDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"10s\" or whole nanoseconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SignedDuration, E> {
        parse(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, nanoseconds: i64) -> Result<SignedDuration, E> {
        Ok(SignedDuration { nanoseconds })
    }

    fn visit_u64<E: de::Error>(self, nanoseconds: u64) -> Result<SignedDuration, E> {
        let too_long = || E::custom("the duration is out of range (about 292 years)");
        i64::try_from(nanoseconds).map(|nanoseconds| SignedDuration { nanoseconds }).map_err(|_| too_long())
    }

    // Null: not given.
    fn visit_unit<E: de::Error>(self) -> Result<SignedDuration, E> {
        Ok(SignedDuration::default())
    }

    fn visit_none<E: de::Error>(self) -> Result<SignedDuration, E> {
        Ok(SignedDuration::default())
    }
}

const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Reads Go's duration syntax: an optional sign, then numbers with units (`ns us ms s m h`), or a bare `0`.
///
/// # Errors
/// [`DurationError`] when the text has no unit, an unknown one, or is out of range (about 292 years).
pub fn parse(text: &str) -> Result<SignedDuration, DurationError> {
    let malformed = || DurationError::Malformed(text.to_owned());
    let (negative, mut rest) = match text.as_bytes().first() {
        None => return Err(DurationError::Empty),
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) => (false, text),
    };
    if rest == "0" {
        return Ok(SignedDuration::default());
    }
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| malformed())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        if letters == 0 {
            return Err(DurationError::MissingUnit(text.to_owned()));
        }
        let unit = UNITS.iter().find(|(name, _)| *name == &rest[..letters]).ok_or_else(malformed)?;
        total += number * unit.1;
        rest = &rest[letters..];
    }
    if total > i64::MAX as f64 {
        return Err(malformed());
    }
    let nanoseconds = total.round() as i64;
    Ok(SignedDuration { nanoseconds: if negative { -nanoseconds } else { nanoseconds } })
}

/// Words for a duration: its two largest units that aren't zero, as in `1 second 20 milliseconds`.
pub fn in_words(duration: Duration) -> String {
    const SIZES: [(&str, u128); 8] = [
        ("year", 365 * 24 * 3600 * 1_000_000),
        ("week", 7 * 24 * 3600 * 1_000_000),
        ("day", 24 * 3600 * 1_000_000),
        ("hour", 3600 * 1_000_000),
        ("minute", 60 * 1_000_000),
        ("second", 1_000_000),
        ("millisecond", 1_000),
        ("microsecond", 1),
    ];
    let mut left = duration.as_micros();
    let mut words = Vec::new();
    for (name, size) in SIZES {
        let count = left / size;
        left %= size;
        if count > 0 && words.len() < 2 {
            words.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        }
    }
    if words.is_empty() { "0 microseconds".to_owned() } else { words.join(" ") }
}

/// A duration in Go's syntax, as Packer prints one: `10s`, `1m30s`, `1h0m0s`, `1.5s`, `300ms`.
pub fn in_go_syntax(duration: Duration) -> String {
    let decimal = |value: u128, per: u128, unit: &str| {
        let digits = per.ilog10() as usize;
        let fraction = format!("{:0digits$}", value % per);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{}{point}{fraction}{unit}", value / per)
    };
    let nanoseconds = duration.as_nanos();
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => decimal(nanoseconds, 1_000, "µs"),
        1_000_000..1_000_000_000 => decimal(nanoseconds, 1_000_000, "ms"),
        _ => {
            let minutes = duration.as_secs() / 60;
            let seconds = decimal(nanoseconds - u128::from(minutes) * 60_000_000_000, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_syntax_is_read() {
        let cases = [
            ("10s", 10_000_000_000),
            ("1h5m", 3_900_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("300ms", 300_000_000),
            ("-1s", -1_000_000_000),
            ("0", 0),
        ];
        for (text, nanoseconds) in cases {
            assert_eq!(parse(text), Ok(SignedDuration { nanoseconds }), "{text}");
        }
        assert_eq!(parse("5"), Err(DurationError::MissingUnit("5".into())));
        assert_eq!(parse(""), Err(DurationError::Empty));
        for bad in ["5x", "s", "-", "1m2", "ten seconds"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_wire_carries_nanoseconds_and_also_takes_go_syntax() {
        let minute = SignedDuration::from_secs(60);
        assert_eq!(serde_json::to_string(&minute).unwrap(), "60000000000");
        for text in ["60000000000", "\"1m\""] {
            assert_eq!(serde_json::from_str::<SignedDuration>(text).unwrap(), minute);
        }
        assert_eq!(serde_json::from_str::<SignedDuration>("null").unwrap(), SignedDuration::default());
        assert!(serde_json::from_str::<SignedDuration>("\"5\"").is_err());
    }

    #[test]
    fn words_name_the_two_largest_units() {
        let cases = [
            (Duration::from_millis(1020), "1 second 20 milliseconds"),
            (Duration::from_secs(184), "3 minutes 4 seconds"),
            (Duration::from_micros(669), "669 microseconds"),
            (Duration::ZERO, "0 microseconds"),
            (Duration::from_secs(3600 + 2), "1 hour 2 seconds"),
        ];
        for (duration, words) in cases {
            assert_eq!(in_words(duration), words);
        }
    }

    #[test]
    fn go_syntax_is_written() {
        let cases = [
            (Duration::from_secs(10), "10s"),
            (Duration::from_secs(90), "1m30s"),
            (Duration::from_secs(3600), "1h0m0s"),
            (Duration::from_millis(1500), "1.5s"),
            (Duration::from_millis(300), "300ms"),
            (Duration::from_micros(2050), "2.05ms"),
            (Duration::from_nanos(7), "7ns"),
            (Duration::ZERO, "0s"),
        ];
        for (duration, text) in cases {
            assert_eq!(in_go_syntax(duration), text);
        }
    }
}
