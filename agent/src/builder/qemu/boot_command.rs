//! The language of `boot_command`: text in which `<enter>`, `<wait5>` and `<leftCtrlOn>` stand for keys and pauses.
//!
//! Pure: text becomes a list of [`Stroke`]s, and [`super::keyboard`] makes key events of them. The grammar is
//! Packer's. At each place the first of these that fits wins:
//!
//! 1. `<wait>`, `<wait5>`, `<wait1m30s>`: a pause; one second when nothing is said;
//! 2. `<aOn>`, `<aOff>`: any one character, held or let go;
//! 3. `<enter>`, `<f10>`, `<leftAltOn>`: a special key, pressed, held or let go;
//! 4. any one character, typed.
//!
//! There is no escape and no unknown key: `<Wait>`, `<wait05>` and `<ctrl>` are typed as they stand. Only a pause
//! that isn't positive is an error. [`suspicious`] finds what looks like a key but is none, for a warning.

use std::time::Duration;

use kiln_lang::duration;

/// One thing that a boot command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// Does nothing for so long.
    Wait(Duration),
    /// Moves a key.
    Key {
        /// Which.
        key: Key,
        /// How.
        motion: Motion,
    },
}

/// What is done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Down and up again.
    Press,
    /// Down (`On`).
    Hold,
    /// Up (`Off`).
    Release,
}

/// A key by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The key, with shift if need be, that types this character.
    Character(char),
    /// A key without a character, by its lower-case name out of [`SPECIAL_KEYS`].
    Special(&'static str),
}

/// The names of the special keys, in lower case; templates may write them in any case.
pub const SPECIAL_KEYS: [&str; 41] = [
    "bs",
    "del",
    "down",
    "end",
    "enter",
    "esc",
    "f1",
    "f10",
    "f11",
    "f12",
    "f2",
    "f3",
    "f4",
    "f5",
    "f6",
    "f7",
    "f8",
    "f9",
    "home",
    "insert",
    "left",
    "leftalt",
    "leftcommand",
    "leftctrl",
    "leftoption",
    "leftshift",
    "leftsuper",
    "menu",
    "pagedown",
    "pageup",
    "return",
    "right",
    "rightalt",
    "rightcommand",
    "rightctrl",
    "rightoption",
    "rightshift",
    "rightsuper",
    "spacebar",
    "tab",
    "up",
];

/// Why a boot command can't be typed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootCommandError {
    /// A pause of nothing or less.
    #[error("{0} is not a positive wait; write for example \"<wait>\", \"<wait5>\" or \"<wait1m30s>\"")]
    NotPositive(String),
}

/// Reads a boot command.
///
/// # Errors
/// [`BootCommandError`] for a pause that isn't positive.
pub fn parse(text: &str) -> Result<Vec<Stroke>, BootCommandError> {
    let mut strokes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (stroke, length) = match bracketed(rest)? {
            Some(found) => found,
            None => (press(Key::Character(first)), first.len_utf8()),
        };
        strokes.push(stroke);
        rest = &rest[length..];
    }
    Ok(strokes)
}

/// Texts in angle brackets that look like keys but are typed as they stand, each once, in order.
pub fn suspicious(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (at, _) in text.match_indices('<') {
        let rest = &text[at..];
        let word: &str = rest.find('>').map_or("", |end| &rest[..=end]);
        let inner = word.trim_matches(['<', '>']);
        let wordlike =
            (2..=16).contains(&inner.len()) && inner.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
        if wordlike && matches!(bracketed(rest), Ok(None)) && !found.iter().any(|f| f == word) {
            found.push(word.to_owned());
        }
    }
    found
}

fn press(key: Key) -> Stroke {
    Stroke::Key { key, motion: Motion::Press }
}

/// The pause or key that `text` begins with, and its length in bytes; `None` for literal text.
fn bracketed(text: &str) -> Result<Option<(Stroke, usize)>, BootCommandError> {
    let Some(inside) = text.strip_prefix('<') else { return Ok(None) };
    if let Some(found) = wait(text)? {
        return Ok(Some(found));
    }
    Ok(toggle(inside).or_else(|| special(inside)).map(|(stroke, length)| (stroke, length + 1)))
}

/// `<aOn>`: one character, then `on` or `off`. `inside` begins after the bracket.
fn toggle(inside: &str) -> Option<(Stroke, usize)> {
    let character = inside.chars().next()?;
    let after = &inside[character.len_utf8()..];
    let end = after.bytes().take(4).position(|b| b == b'>')?;
    let motion = toggled(&after[..end])?;
    let stroke = Stroke::Key { key: Key::Character(character), motion };
    Some((stroke, character.len_utf8() + end + 1))
}

/// `<enter>`, `<leftAltOn>`.
fn special(inside: &str) -> Option<(Stroke, usize)> {
    const LONGEST: usize = "rightcommandoff>".len();
    let end = inside.bytes().take(LONGEST).position(|b| b == b'>')?;
    let word = inside[..end].to_ascii_lowercase();
    let named = |name: &str| SPECIAL_KEYS.iter().find(|k| **k == name).copied().map(Key::Special);
    // The whole word first: `leftOption` ends in `on` by itself.
    let whole = named(&word).map(|key| Stroke::Key { key, motion: Motion::Press });
    let split = || {
        let (name, motion) = match word.strip_suffix("off") {
            Some(name) => (name, Motion::Release),
            None => (word.strip_suffix("on")?, Motion::Hold),
        };
        named(name).map(|key| Stroke::Key { key, motion })
    };
    whole.or_else(split).map(|stroke| (stroke, end + 1))
}

fn toggled(word: &str) -> Option<Motion> {
    match word.to_ascii_lowercase().as_str() {
        "on" => Some(Motion::Hold),
        "off" => Some(Motion::Release),
        _ => None,
    }
}

/// `<wait…>`, which unlike the keys must be in lower case.
fn wait(text: &str) -> Result<Option<(Stroke, usize)>, BootCommandError> {
    let Some(inside) = text.strip_prefix("<wait") else { return Ok(None) };
    let Some(end) = inside.find('>') else { return Ok(None) };
    let amount = &inside[..end];
    let length = "<wait".len() + end + 1;
    let not_positive = || BootCommandError::NotPositive(text[..length].to_owned());
    let pause = if amount.is_empty() {
        Some(Duration::from_secs(1))
    } else if is_integer(amount) {
        amount.parse().ok().map(Duration::from_secs)
    } else if is_duration(amount) {
        duration::parse(amount).ok().map(duration::SignedDuration::max_zero)
    } else {
        return Ok(None);
    };
    let pause = pause.filter(|p| !p.is_zero()).ok_or_else(not_positive)?;
    Ok(Some((Stroke::Wait(pause), length)))
}

/// Digits without leading zeros, perhaps negative.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain && (digits == "0" || !digits.starts_with('0'))
}

/// One or more of integer, perhaps a fraction, and a unit.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 8] = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !(c.is_ascii_digit() || c == '-' || c == '.')).unwrap_or(rest.len());
        let (whole, fraction) = rest[..number].split_once('.').unwrap_or((&rest[..number], "0"));
        let fraction_fits = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
        if !is_integer(whole) || !fraction_fits {
            return false;
        }
        rest = &rest[number..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '-').unwrap_or(rest.len());
        if !UNITS.contains(&&rest[..letters]) {
            return false;
        }
        rest = &rest[letters..];
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(strokes: &[Stroke]) -> String {
        let one = |stroke: &Stroke| match stroke {
            Stroke::Wait(d) => format!("wait({d:?})"),
            Stroke::Key { key, motion } => {
                let name = match key {
                    Key::Character(c) => c.to_string(),
                    Key::Special(name) => format!("[{name}]"),
                };
                let mark = match motion {
                    Motion::Press => "",
                    Motion::Hold => "+",
                    Motion::Release => "-",
                };
                format!("{name}{mark}")
            }
        };
        strokes.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_grammar_reads_waits_keys_and_text() {
        let cases = [
            ("ab<enter>", "a b [enter]"),
            (
                "<wait><wait5><wait1m30s><wait1.5s><wait250ms>",
                "wait(1s) wait(5s) wait(90s) wait(1.5s) wait(250ms)",
            ),
            ("<ESC><PageUp><pageDOWN>", "[esc] [pageup] [pagedown]"),
            ("<f1><f10><F12>", "[f1] [f10] [f12]"),
            ("<leftCtrlOn>c<leftCtrlOff>", "[leftctrl]+ c [leftctrl]-"),
            ("<leftOption><leftOptionOn><leftOptionoff>", "[leftoption] [leftoption]+ [leftoption]-"),
            ("<aOn><AOFF><<On>< off>", "a+ A- <+  -"),
            ("<enterOn><enterOff>", "[enter]+ [enter]-"),
            ("é<éOn>", "é é+"),
        ];
        for (text, expected) in cases {
            assert_eq!(show(&parse(text).expect(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_fits_no_rule_is_typed_as_it_stands() {
        for text in ["<Wait>", "<wait05>", "<wait5x>", "<ctrl>", "<", "<>", "<foo", "<wait 5>", "<wait1.s>"] {
            let typed: String = text.chars().map(|c| c.to_string()).collect::<Vec<_>>().join(" ");
            assert_eq!(show(&parse(text).expect(text)), typed, "{text}");
        }
    }

    #[test]
    fn a_wait_that_is_not_positive_is_an_error() {
        for text in ["<wait0>", "a<wait-5>", "<wait0s>", "<wait-1m>"] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains("not a positive wait"), "{error}");
        }
    }

    #[test]
    fn words_that_look_like_keys_are_pointed_out() {
        assert_eq!(suspicious("<space><enter><Wait><space> a < b > <aOn> <wait3>"), ["<space>", "<Wait>"]);
    }
}
