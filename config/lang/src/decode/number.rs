//! Texts as numbers and bools, by the rules of Go's `strconv` that Packer's decoding rests on.

/// Go's `ParseBool`.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Go's `ParseInt` with base 0: a sign, then `0x`, `0o`, `0b` or `0` for another base, underscores between digits.
/// The empty text is 0.
pub(super) fn parse_int(text: &str) -> Option<i128> {
    if text.is_empty() {
        return Some(0);
    }
    let (negative, digits) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some(two) if two.starts_with('0') => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    let signed = digits.starts_with(['+', '-']);
    let stray = base == 10 && digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    if signed || stray {
        return None;
    }
    let number = i128::from_str_radix(&digits.replace('_', ""), base).ok()?;
    Some(if negative { -number } else { number })
}

/// Go's `ParseFloat`; the empty text is 0.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    if text.is_empty() { Some(0.0) } else { text.parse().ok() }
}
