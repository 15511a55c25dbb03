//! Which span of somebody else's trace a build is a part of, in the form that tools hand on in `TRACEPARENT`.
//! <https://www.w3.org/TR/trace-context/#traceparent-header>
//!
//! ```text
//!   00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//!   version    trace (32 digits)         span (16)       flags: 01 recorded
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A span that a build belongs under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent {
    /// The trace; never all zeros.
    pub trace: [u8; 16],
    /// The span in it; never all zeros.
    pub span: [u8; 8],
    /// Whether whoever began the trace records it.
    pub sampled: bool,
}

/// A text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not of the form 00-<32 hexadecimal digits>-<16>-<2>, lower case and not all zeros")]
pub struct NotATraceParent;

impl FromStr for TraceParent {
    type Err = NotATraceParent;

    fn from_str(text: &str) -> Result<Self, NotATraceParent> {
        let mut parts = text.splitn(5, '-');
        let mut next = || parts.next().ok_or(NotATraceParent);
        let [version] = bytes::<1>(next()?)?;
        let (trace, span, [flags]) = (bytes::<16>(next()?)?, bytes::<8>(next()?)?, bytes::<1>(next()?)?);
        let more = parts.next().is_some();
        // Later versions may say more at the end; ff is none.
        if version == 0xff || (version == 0 && more) || trace == [0; 16] || span == [0; 8] {
            return Err(NotATraceParent);
        }
        Ok(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

/// Bytes from twice as many lower-case hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Result<[u8; N], NotATraceParent> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(NotATraceParent);
    }
    let mut bytes = [0; N];
    for (byte, place) in bytes.iter_mut().zip(0..) {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_| NotATraceParent)?;
    }
    Ok(bytes)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", u8::from(self.sampled))
    }
}

impl TryFrom<String> for TraceParent {
    type Error = NotATraceParent;

    fn try_from(text: String) -> Result<Self, NotATraceParent> {
        text.parse()
    }
}

impl From<TraceParent> for String {
    fn from(parent: TraceParent) -> Self {
        parent.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_ones_are_read() {
        let told =
            |text: &str| text.parse::<TraceParent>().map_or("-".to_owned(), |parent| parent.to_string());
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let (no_trace, no_span) = ("0".repeat(32), "0".repeat(16));
        for (text, expected) in [
            (format!("00-{trace}-{span}-01"), format!("00-{trace}-{span}-01")),
            (format!("00-{trace}-{span}-00"), format!("00-{trace}-{span}-00")),
            (format!("00-{trace}-{span}-03"), format!("00-{trace}-{span}-01")),
            (format!("cc-{trace}-{span}-01-what-comes"), format!("00-{trace}-{span}-01")),
            (format!("00-{trace}-{span}-01-more"), "-".to_owned()),
            (format!("ff-{trace}-{span}-01"), "-".to_owned()),
            (format!("00-{no_trace}-{span}-01"), "-".to_owned()),
            (format!("00-{trace}-{no_span}-01"), "-".to_owned()),
            (format!("00-{}-{span}-01", trace.to_uppercase()), "-".to_owned()),
            (format!("00-{trace}-{span}"), "-".to_owned()),
            ("00-ééééééééééééééé-é-é".to_owned(), "-".to_owned()),
            (String::new(), "-".to_owned()),
        ] {
            assert_eq!(told(&text), expected, "{text}");
        }
    }
}
