//! The patterns of `strftime` that Packer's engine knows: `%Y-%m-%d`. Unknown ones stay as they are.

use super::layout;
use super::moment::Calendar;

/// Each letter as the Go layout that shows the same.
fn layout_of(letter: char) -> Option<&'static str> {
    Some(match letter {
        'B' => "January",
        'b' => "Jan",
        'm' => "01",
        'A' => "Monday",
        'a' => "Mon",
        'd' => "02",
        'H' => "15",
        'I' => "03",
        'M' => "04",
        'S' => "05",
        'Y' => "2006",
        'y' => "06",
        'p' => "PM",
        'Z' => "MST",
        'z' => "-0700",
        'L' => ".000",
        _ => return None,
    })
}

/// Writes `calendar` in the pattern of `strftime`.
pub fn format(pattern: &str, calendar: &Calendar) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            None => out.push('%'),
            Some('%') => out.push('%'),
            Some(letter) => match layout_of(letter) {
                Some(layout) => out.push_str(&layout::format(layout, calendar)),
                None => out.extend(['%', letter]),
            },
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::moment::Moment;

    #[test]
    fn known_letters_are_replaced_and_others_stay() {
        let utc = Moment { seconds: 1_136_214_245, nanoseconds: 7_000_000 }.utc().unwrap();
        let cases = [
            ("%Y-%m-%d %H:%M:%S%L", "2006-01-02 15:04:05.007"),
            ("%a %A %b %B %I%p %y %z %Z", "Mon Monday Jan January 03PM 06 +0000 UTC"),
            ("100%% %q %", "100% %q %"),
        ];
        for (pattern, text) in cases {
            assert_eq!(super::format(pattern, &utc), text);
        }
    }
}
