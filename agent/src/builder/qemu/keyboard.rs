//! Keys of a US keyboard as QEMU knows them: characters and special keys become presses and releases of *qcodes*.
//!
//! Packer sends VNC key symbols, which QEMU turns into the same codes by its `en-us` table; sending the codes over
//! QMP needs no VNC connection and no table. A character that no US keyboard types yields nothing, there as here;
//! [`untypable`] finds such characters for a warning before the run.

use super::boot_command::{Key, Motion, Stroke};

/// A key going down or up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// QEMU's name of the key.
    pub qcode: &'static str,
    /// Whether it goes down.
    pub down: bool,
}

const SHIFT: &str = "shift";

/// The events of one stroke, in order: shift is pressed and let go around a character that needs it. Empty for
/// a pause and for a character that the keyboard lacks.
pub fn events(stroke: &Stroke) -> Vec<KeyEvent> {
    let Stroke::Key { key, motion } = stroke else { return Vec::new() };
    let Some((qcode, shifted)) = position(*key) else { return Vec::new() };
    let event = |qcode, down| KeyEvent { qcode, down };
    let mut events = Vec::with_capacity(4);
    if *motion != Motion::Release {
        events.extend(shifted.then(|| event(SHIFT, true)));
        events.push(event(qcode, true));
    }
    if *motion != Motion::Hold {
        events.push(event(qcode, false));
        events.extend(shifted.then(|| event(SHIFT, false)));
    }
    events
}

/// The characters among the strokes that a US keyboard can't type, each once, in order.
pub fn untypable(strokes: &[Stroke]) -> Vec<char> {
    let mut missing = Vec::new();
    for stroke in strokes {
        if let Stroke::Key { key: key @ Key::Character(c), .. } = stroke
            && position(*key).is_none()
            && !missing.contains(c)
        {
            missing.push(*c);
        }
    }
    missing
}

/// Where a key lies, and whether its character needs shift.
fn position(key: Key) -> Option<(&'static str, bool)> {
    match key {
        Key::Special(name) => Some((special(name), false)),
        Key::Character(c) => {
            const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
            if c.is_ascii_alphabetic() {
                let at = usize::from(c.to_ascii_lowercase() as u8 - b'a');
                return Some((&LETTERS[at..=at], c.is_ascii_uppercase()));
            }
            CHARACTERS.iter().find_map(|(qcode, plain, shifted)| match c {
                _ if c == *plain => Some((*qcode, false)),
                _ if c == *shifted => Some((*qcode, true)),
                _ => None,
            })
        }
    }
}

/// Everything but letters: the key, its character, its character with shift.
const CHARACTERS: [(&str, char, char); 22] = [
    ("grave_accent", '`', '~'),
    ("1", '1', '!'),
    ("2", '2', '@'),
    ("3", '3', '#'),
    ("4", '4', '$'),
    ("5", '5', '%'),
    ("6", '6', '^'),
    ("7", '7', '&'),
    ("8", '8', '*'),
    ("9", '9', '('),
    ("0", '0', ')'),
    ("minus", '-', '_'),
    ("equal", '=', '+'),
    ("bracket_left", '[', '{'),
    ("bracket_right", ']', '}'),
    ("backslash", '\\', '|'),
    ("semicolon", ';', ':'),
    ("apostrophe", '\'', '"'),
    ("comma", ',', '<'),
    ("dot", '.', '>'),
    ("slash", '/', '?'),
    ("spc", ' ', ' '),
];

/// The key of a special name. Command and option keys are those that VNC's symbols for them reach in QEMU.
fn special(name: &'static str) -> &'static str {
    match name {
        "bs" => "backspace",
        "del" => "delete",
        "enter" | "return" => "ret",
        "spacebar" => "spc",
        "pageup" => "pgup",
        "pagedown" => "pgdn",
        // The key between AltGr and right Ctrl; QEMU's `menu` is another one, of multimedia keyboards.
        "menu" => "compose",
        "leftalt" | "leftcommand" | "leftoption" => "alt",
        "rightalt" | "rightcommand" | "rightoption" => "alt_r",
        "leftctrl" => "ctrl",
        "rightctrl" => "ctrl_r",
        "leftshift" => SHIFT,
        "rightshift" => "shift_r",
        "leftsuper" => "meta_l",
        "rightsuper" => "meta_r",
        same => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::qemu::boot_command::{SPECIAL_KEYS, parse};

    fn show(text: &str) -> String {
        let strokes = parse(text).expect("a boot command");
        let all: Vec<KeyEvent> = strokes.iter().flat_map(events).collect();
        all.iter()
            .map(|e| format!("{}{}", if e.down { '+' } else { '-' }, e.qcode))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn strokes_become_presses_and_releases() {
        let cases = [
            ("a", "+a -a"),
            ("A", "+shift +a -a -shift"),
            ("/_", "+slash -slash +shift +minus -minus -shift"),
            ("<enter> ", "+ret -ret +spc -spc"),
            ("<leftCtrlOn>c<leftCtrlOff>", "+ctrl +c -c -ctrl"),
            ("<COn><COff>", "+shift +c -c -shift"),
            ("<wait>é", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(show(text), expected, "{text}");
        }
    }

    #[test]
    fn every_printable_ascii_character_is_on_the_keyboard() {
        let text: String = (' '..='~').collect();
        let strokes: Vec<Stroke> =
            text.chars().map(|c| Stroke::Key { key: Key::Character(c), motion: Motion::Press }).collect();
        assert_eq!(untypable(&strokes), Vec::<char>::new());
        assert_eq!(untypable(&parse("a é\n é").expect("a boot command")), ['é', '\n']);
    }

    #[test]
    fn every_special_key_is_one_that_qemu_knows() {
        // The part of QEMU's QKeyCode that the table uses.
        const QCODES: &str = "backspace delete down end ret esc f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11 f12 home insert \
            left right up alt alt_r ctrl ctrl_r shift shift_r meta_l meta_r compose pgdn pgup spc tab";
        let known: Vec<&str> = QCODES.split_whitespace().collect();
        for name in SPECIAL_KEYS {
            assert!(known.contains(&special(name)), "{name}");
        }
    }
}
