//! Values that must never be shown, and the redaction of whatever might quote them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What stands in the place of a secret.
pub const REDACTED: &str = "<sensitive>";

/// A value that neither `Debug` nor `Display` shows; reading it takes an explicit [`Sensitive::reveal`].
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sensitive<T>(T);

impl<T> Sensitive<T> {
    /// Marks a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself; say why at the call if it isn't plain.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Replaces secrets in text, in the encodings in which they usually surface: as they are, each line of a
/// multi-line one, base64 (both alphabets), percent-encoded, JSON-escaped, shell-quoted.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redactor {
    /// Longest first, so that a secret that contains another goes as a whole.
    needles: Vec<String>,
}

impl Redactor {
    /// A redactor of these secrets. Empty ones are ignored.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut redactor = Self::default();
        redactor.learn(secrets);
        redactor
    }

    /// Learns more secrets.
    pub fn learn<'a>(&mut self, secrets: impl IntoIterator<Item = &'a str>) {
        for secret in secrets {
            self.needles.extend(encodings(secret));
        }
        self.needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.needles.dedup();
    }

    /// Whether it knows no secret.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// The text with every secret replaced by [`REDACTED`].
    pub fn redact<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        let mut text = std::borrow::Cow::Borrowed(text);
        for needle in &self.needles {
            if text.contains(needle.as_str()) {
                text = text.replace(needle.as_str(), REDACTED).into();
            }
        }
        text
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} needles)", self.needles.len())
    }
}

fn encodings(secret: &str) -> Vec<String> {
    let lines = secret.lines().map(str::trim_end);
    let whole = [secret.to_owned(), secret.replace("\r\n", "\n")];
    let mut plain: Vec<String> = lines.map(str::to_owned).chain(whole).collect();
    plain.retain(|s| !s.trim().is_empty());
    plain.sort();
    plain.dedup();
    let encoded = plain.iter().flat_map(|s| {
        let json = serde_json::Value::from(s.as_str()).to_string();
        // Short texts are skipped: their encodings are so short that they would hit innocent words.
        let wide = (s.len() >= 6).then(|| [base64(s, b"+/", true), base64(s, b"-_", false), percent(s)]);
        let quoted = [json.trim_matches('"').to_owned(), s.replace('\'', r#"'"'"'"#)];
        wide.into_iter().flatten().chain(quoted)
    });
    let encoded: Vec<String> = encoded.collect();
    plain.into_iter().chain(encoded).collect()
}

fn base64(text: &str, last_two: &[u8; 2], pad: bool) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let letter =
        |six: u32| ALPHABET.get(six as usize).copied().unwrap_or_else(|| last_two[(six & 1) as usize]);
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let word = chunk.iter().fold(0_u32, |w, b| (w << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            match i <= chunk.len() {
                true => out.push(char::from(letter((word >> (18 - 6 * i)) & 63))),
                false if pad => out.push('='),
                false => {}
            }
        }
    }
    out
}

fn percent(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_all_its_usual_encodings() {
        let redactor = Redactor::new(["s3cr\"et'pass"]);
        let cases = [
            "say s3cr\"et'pass now",
            "b64 czNjciJldCdwYXNz",
            r#"json {"p":"s3cr\"et'pass"}"#,
            "url ?p=s3cr%22et%27pass",
            r#"sh 's3cr"et'"'"'pass'"#,
        ];
        for text in cases {
            let shown = redactor.redact(text);
            assert!(
                shown.contains(REDACTED) && !shown.contains("s3cr") && !shown.contains("czNjc"),
                "{shown}"
            );
        }
        assert_eq!(redactor.redact("nothing here"), "nothing here");
    }

    #[test]
    fn each_line_of_a_multi_line_secret_is_hidden() {
        let redactor = Redactor::new(["first line\r\nsecond line\n"]);
        assert_eq!(redactor.redact("x second line y"), "x <sensitive> y");
    }

    #[test]
    fn an_empty_secret_hides_nothing() {
        assert!(Redactor::new(["", "\n"]).is_empty());
    }
}
