//! Reading timestamps: RFC 3339 as strictly as cty reads it (two-digit hours, a point before fractions,
//! offsets in range), with the reason when a text isn't one.

use jiff::civil::DateTime;

use super::moment::Moment;

/// A moment and the offset it was written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::function) struct Timestamp {
    /// When.
    pub(in crate::function) moment: Moment,
    /// Seconds ahead of UTC.
    pub(in crate::function) offset: i32,
}

/// Reads `2006-01-02T15:04:05[.999]Z` or with an offset such as `+02:00` at the end.
pub(in crate::function) fn parse(text: &str) -> Result<Timestamp, String> {
    parse_parts(text, &['T']).map_err(|reason| format!("not a valid RFC3339 timestamp: {reason}"))
}

/// The same, with a blank allowed in place of the `T`.
pub(in crate::function) fn parse_lenient(text: &str) -> Result<Timestamp, String> {
    parse_parts(text, &['T', 't', ' ']).map_err(|reason| format!("not a valid RFC3339 timestamp: {reason}"))
}

fn parse_parts(text: &str, introducers: &[char]) -> Result<Timestamp, String> {
    let mut reader = Reader { rest: text };
    let year = reader.digits(4, "year", 0..=9999)?;
    reader.punctuation('-')?;
    let month = reader.digits(2, "month", 1..=12)?;
    reader.punctuation('-')?;
    let day = reader.digits(2, "day of month", 1..=31)?;
    match reader.rest.chars().next() {
        Some(c) if introducers.contains(&c) => reader.rest = &reader.rest[1..],
        _ => return Err("missing required time introducer 'T'".to_owned()),
    }
    let hour = reader.digits(2, "hour", 0..=23)?;
    reader.punctuation(':')?;
    let minute = reader.digits(2, "minute", 0..=59)?;
    reader.punctuation(':')?;
    let second = reader.digits(2, "second", 0..=59)?;
    let nanosecond = reader.fraction()?;
    let offset = reader.offset()?;
    // The ranges above fit the narrow types of a calendar.
    let (day, clock) = (day as i8, (hour as i8, minute as i8, second as i8));
    let civil = DateTime::new(year as i16, month as i8, day, clock.0, clock.1, clock.2, nanosecond)
        .map_err(|_| "day of month out of range".to_owned())?;
    let moment = Moment::of_civil(civil, offset);
    Ok(Timestamp { moment, offset })
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn digits(
        &mut self,
        count: usize,
        what: &str,
        range: std::ops::RangeInclusive<i32>,
    ) -> Result<i32, String> {
        if self.rest.is_empty() {
            return Err(format!("end of string before {what}"));
        }
        let found = self.rest.get(..count).filter(|s| s.bytes().all(|b| b.is_ascii_digit()));
        let Some(found) = found else {
            let shown: String = self.rest.chars().take(count).collect();
            return Err(format!("cannot use {shown:?} as {what}, which takes {count} digits"));
        };
        self.rest = &self.rest[count..];
        let number = found.parse().unwrap_or(i32::MAX);
        if range.contains(&number) {
            return Ok(number);
        }
        Err(format!("{what} must be between {} and {} inclusive", range.start(), range.end()))
    }

    fn punctuation(&mut self, wanted: char) -> Result<(), String> {
        match self.rest.chars().next() {
            Some(c) if c == wanted => self.rest = &self.rest[1..],
            Some(c) => {
                return Err(format!("found {:?} where {:?} is expected", c.to_string(), wanted.to_string()));
            }
            None => return Err(format!("end of string where {:?} is expected", wanted.to_string())),
        }
        Ok(())
    }

    fn fraction(&mut self) -> Result<i32, String> {
        let Some(after) = self.rest.strip_prefix('.') else { return Ok(0) };
        let count = after.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return Err("no digits after the second's point".to_owned());
        }
        let padded = format!("{:0<9}", &after[..count.min(9)]);
        self.rest = &after[count..];
        Ok(padded.parse().unwrap_or(0))
    }

    fn offset(&mut self) -> Result<i32, String> {
        if self.rest == "Z" {
            return Ok(0);
        }
        let sign = match self.rest.chars().next() {
            None => return Err("end of string before UTC offset".to_owned()),
            Some('+') => 1,
            Some('-') => -1,
            Some(_) => return Err(format!("cannot use {:?} as UTC offset", self.rest)),
        };
        self.rest = &self.rest[1..];
        let hours = self.digits(2, "UTC offset's hour", 0..=23)?;
        self.punctuation(':')?;
        let minutes = self.digits(2, "UTC offset's minute", 0..=59)?;
        match self.rest {
            "" => Ok(sign * (hours * 60 + minutes) * 60),
            extra => Err(format!("extra text {extra:?} after the UTC offset")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_fractions_are_read() {
        let at = |text| parse(text).map(|t| (t.moment.seconds, t.moment.nanoseconds, t.offset));
        assert_eq!(at("1970-01-01T00:00:00Z"), Ok((0, 0, 0)));
        assert_eq!(at("1969-12-31T23:59:59.25Z"), Ok((-1, 250_000_000, 0)));
        assert_eq!(at("9999-12-31T23:59:59Z"), Ok((253_402_300_799, 0, 0)));
        assert_eq!(at("1970-01-01T02:00:00.5+02:00"), Ok((0, 500_000_000, 7200)));
        assert!(parse_lenient("2020-01-02 03:04:05Z").is_ok());
        let bad = [
            "",
            "2020-01-02",
            "2020-01-02 03:04:05Z",
            "2020-02-30T00:00:00Z",
            "2020-01-02T3:04:05Z",
            "2020-01-02T03:04:05",
            "2020-01-02T03:04:05,5Z",
            "2020-01-02T03:04:05+24:00",
            "2020-13-02T03:04:05Z",
            "2020-01-02T03:04:05Zx",
            "20é0-01-02T03:04:05Z",
        ];
        for text in bad {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
