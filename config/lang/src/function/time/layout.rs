//! Go's time layouts: a pattern is the reference time `Mon Jan 2 15:04:05 MST 2006` written as the result
//! should look. Source of the rules: the documentation of Go's package `time`, constants and `Time.Format`.

use super::moment::Calendar;

/// The layout of RFC 3339, the default of `isotime`.
pub const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

/// Writes `calendar` as `layout` shows; text that is no part of the reference time stays as it is.
pub fn format(layout: &str, calendar: &Calendar) -> String {
    let mut out = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if let Some(used) = chunk(rest, calendar, &mut out) {
            rest = &rest[used..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// Words whose meaning depends on what follows: `Jan` in `Janet` is no month.
const WORDS: [(&str, Part); 4] = [
    ("January", Part::MonthName),
    ("Jan", Part::MonthShort),
    ("Monday", Part::DayName),
    ("Mon", Part::DayShort),
];

/// Longer spellings come before those they begin with.
const PARTS: [(&str, Part); 30] = [
    ("MST", Part::Zone),
    ("002", Part::YearDayZero),
    ("01", Part::MonthZero),
    ("02", Part::DayZero),
    ("03", Part::Hour12Zero),
    ("04", Part::MinuteZero),
    ("05", Part::SecondZero),
    ("06", Part::YearShort),
    ("15", Part::Hour),
    ("1", Part::Month),
    ("2006", Part::Year),
    ("2", Part::Day),
    ("__2", Part::YearDayBlank),
    // An underscore and a year, not a blank-padded day and `006`.
    ("_2006", Part::BlankYear),
    ("_2", Part::DayBlank),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
    ("PM", Part::HalfUpper),
    ("pm", Part::HalfLower),
    ("-070000", Part::Offset { zulu: false, colon: "", seconds: true }),
    ("-07:00:00", Part::Offset { zulu: false, colon: ":", seconds: true }),
    ("-0700", Part::Offset { zulu: false, colon: "", seconds: false }),
    ("-07:00", Part::Offset { zulu: false, colon: ":", seconds: false }),
    ("-07", Part::OffsetHours { zulu: false }),
    ("Z070000", Part::Offset { zulu: true, colon: "", seconds: true }),
    ("Z07:00:00", Part::Offset { zulu: true, colon: ":", seconds: true }),
    ("Z0700", Part::Offset { zulu: true, colon: "", seconds: false }),
    ("Z07:00", Part::Offset { zulu: true, colon: ":", seconds: false }),
    ("Z07", Part::OffsetHours { zulu: true }),
];

#[derive(Clone, Copy)]
enum Part {
    Year,
    BlankYear,
    YearShort,
    MonthName,
    MonthShort,
    Month,
    MonthZero,
    DayName,
    DayShort,
    Day,
    DayBlank,
    DayZero,
    YearDayBlank,
    YearDayZero,
    Hour,
    Hour12,
    Hour12Zero,
    Minute,
    MinuteZero,
    Second,
    SecondZero,
    HalfUpper,
    HalfLower,
    Zone,
    Offset { zulu: bool, colon: &'static str, seconds: bool },
    OffsetHours { zulu: bool },
}

/// Writes the part that `rest` begins with and tells its length; `None` when it begins with none.
fn chunk(rest: &str, calendar: &Calendar, out: &mut String) -> Option<usize> {
    for (word, part) in WORDS {
        let Some(after) = rest.strip_prefix(word) else { continue };
        let goes_on = after.starts_with(|c: char| c.is_ascii_lowercase());
        if word.len() > 3 || !goes_on {
            write(part, calendar, out);
            return Some(word.len());
        }
    }
    if let Some((spelling, part)) = PARTS.iter().find(|(spelling, _)| rest.starts_with(spelling)) {
        write(*part, calendar, out);
        return Some(spelling.len());
    }
    fraction(rest, calendar, out)
}

fn write(part: Part, t: &Calendar, out: &mut String) {
    let text = match part {
        Part::Year => format!("{:04}", t.year()),
        Part::BlankYear => format!("_{:04}", t.year()),
        Part::YearShort => format!("{:02}", t.year().rem_euclid(100)),
        Part::MonthName => t.month_name().to_owned(),
        Part::MonthShort => t.month_name()[..3].to_owned(),
        Part::Month => t.month().to_string(),
        Part::MonthZero => format!("{:02}", t.month()),
        Part::DayName => t.weekday_name().to_owned(),
        Part::DayShort => t.weekday_name()[..3].to_owned(),
        Part::Day => t.day().to_string(),
        Part::DayBlank => format!("{:2}", t.day()),
        Part::DayZero => format!("{:02}", t.day()),
        Part::YearDayBlank => format!("{:3}", t.year_day()),
        Part::YearDayZero => format!("{:03}", t.year_day()),
        Part::Hour => format!("{:02}", t.hour()),
        Part::Hour12 => t.hour12().to_string(),
        Part::Hour12Zero => format!("{:02}", t.hour12()),
        Part::Minute => t.minute().to_string(),
        Part::MinuteZero => format!("{:02}", t.minute()),
        Part::Second => t.second().to_string(),
        Part::SecondZero => format!("{:02}", t.second()),
        Part::HalfUpper => if t.is_afternoon() { "PM" } else { "AM" }.to_owned(),
        Part::HalfLower => if t.is_afternoon() { "pm" } else { "am" }.to_owned(),
        Part::Zone if t.offset == 0 => "UTC".to_owned(),
        Part::Zone => t.offset_text(""),
        Part::Offset { zulu: true, .. } | Part::OffsetHours { zulu: true } if t.offset == 0 => "Z".to_owned(),
        Part::Offset { colon, seconds, .. } => {
            let mut text = t.offset_text(colon);
            if seconds {
                text.push_str(colon);
                text.push_str(&format!("{:02}", t.offset.unsigned_abs() % 60));
            }
            text
        }
        Part::OffsetHours { .. } => t.offset_text("")[..3].to_owned(),
    };
    out.push_str(&text);
}

/// `.000` writes that many digits of the second, `.999` as many as are not trailing zeros.
fn fraction(rest: &str, calendar: &Calendar, out: &mut String) -> Option<usize> {
    let mut chars = rest.chars();
    let separator = chars.next().filter(|c| matches!(c, '.' | ','))?;
    let digit = chars.next().filter(|c| matches!(c, '0' | '9'))?;
    let count = rest[1..].chars().take_while(|c| *c == digit).count();
    if rest[1 + count..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let all = format!("{:09}", calendar.nanosecond());
    let padded = format!("{all:0<count$}");
    let mut shown = &padded[..count];
    if digit == '9' {
        shown = shown.trim_end_matches('0');
    }
    if !shown.is_empty() {
        out.push(separator);
        out.push_str(shown);
    }
    Some(1 + count)
}

#[cfg(test)]
mod tests {
    use super::super::moment::Moment;

    #[test]
    fn the_reference_time_is_the_pattern() {
        let utc = Moment { seconds: 1_136_214_245, nanoseconds: 120_000_000 }.utc().unwrap();
        let cases = [
            (super::RFC3339, "2006-01-02T15:04:05Z"),
            ("2006-01-02", "2006-01-02"),
            ("20060102150405", "20060102150405"),
            ("Mon Jan _2 15:04:05 2006", "Mon Jan  2 15:04:05 2006"),
            ("Monday, 02-Jan-06 15:04:05 MST", "Monday, 02-Jan-06 15:04:05 UTC"),
            ("January 2, 3:04PM pm", "January 2, 3:04PM pm"),
            ("15:04:05.000 .999 .0000000000", "15:04:05.120 .12 .1200000000"),
            ("-0700 -07:00 Z07:00 -07", "+0000 +00:00 Z +00"),
            ("002 __2 _2006", "002   2 _2006"),
            ("Janet Mondays", "Janet Mondays"),
            ("ü 1/2 4 5", "ü 1/2 4 5"),
        ];
        for (layout, text) in cases {
            assert_eq!(super::format(layout, &utc), text, "{layout}");
        }
        let west = Moment::from_seconds(1_136_239_445).at_offset(-7 * 3600).unwrap();
        assert_eq!(super::format("2006-01-02T15:04:05Z07:00 MST", &west), "2006-01-02T15:04:05-07:00 -0700");
    }
}
