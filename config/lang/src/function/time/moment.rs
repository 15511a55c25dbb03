//! An instant and how a calendar shows it. Formatting is kept apart (`layout`, `strftime`), so that each
//! dialect of date patterns is one small table over the same fields.

use jiff::Span;
use jiff::civil::{DateTime, Weekday};
use serde::{Deserialize, Serialize};

/// When counting of seconds begins.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
/// Seconds of a day.
const DAY: i64 = 86_400;

/// An instant: seconds and nanoseconds since 1970-01-01 UTC. The clock is read elsewhere; here it is an argument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds on top, 0 to 999 999 999.
    #[serde(default)]
    pub nanoseconds: u32,
}

impl Moment {
    /// A whole second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }

    /// The calendar at UTC; `None` outside the years -9999 to 9999.
    pub fn utc(self) -> Option<Calendar> {
        self.at_offset(0)
    }

    /// The calendar where clocks are `offset` seconds ahead of UTC; `None` outside the years -9999 to 9999.
    pub fn at_offset(self, offset: i32) -> Option<Calendar> {
        let local = self.seconds.checked_add(i64::from(offset))?;
        let date = EPOCH.checked_add(Span::new().try_days(local.div_euclid(DAY)).ok()?).ok()?;
        let clock = Span::new().seconds(local.rem_euclid(DAY)).nanoseconds(self.nanoseconds);
        Some(Calendar { civil: date.checked_add(clock).ok()?, offset })
    }

    /// The moment when calendars and clocks `offset` seconds ahead of UTC show `civil`.
    pub(super) fn of_civil(civil: DateTime, offset: i32) -> Self {
        let local = civil.duration_since(EPOCH);
        let nanoseconds = u32::try_from(civil.subsec_nanosecond()).unwrap_or(0);
        Moment {
            seconds: local.as_secs() - i64::from(local.subsec_nanos() < 0) - i64::from(offset),
            nanoseconds,
        }
    }

    /// The instant `nanoseconds` later; `None` on overflow.
    pub fn plus(self, nanoseconds: i64) -> Option<Moment> {
        const SECOND: i64 = 1_000_000_000;
        let total = i64::from(self.nanoseconds).checked_add(nanoseconds)?;
        let seconds = self.seconds.checked_add(total.div_euclid(SECOND))?;
        let nanoseconds = u32::try_from(total.rem_euclid(SECOND)).ok()?;
        Some(Moment { seconds, nanoseconds })
    }
}

/// A moment as calendar and clock show it at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    civil: DateTime,
    /// Seconds ahead of UTC.
    pub offset: i32,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Calendar {
    /// The year, such as 2006.
    pub fn year(&self) -> i64 {
        self.civil.year().into()
    }

    /// The month, 1 to 12.
    pub fn month(&self) -> i64 {
        self.civil.month().into()
    }

    /// The month in English.
    pub fn month_name(&self) -> &'static str {
        MONTHS[usize::try_from(self.civil.month() - 1).unwrap_or(0) % 12]
    }

    /// The day of the month, from 1.
    pub fn day(&self) -> i64 {
        self.civil.day().into()
    }

    /// The day of the year, from 1.
    pub fn year_day(&self) -> i64 {
        self.civil.day_of_year().into()
    }

    /// The day of the week: 0 is Sunday.
    pub fn weekday(&self) -> i64 {
        self.civil.weekday().to_sunday_zero_offset().into()
    }

    /// The day of the week in English.
    pub fn weekday_name(&self) -> &'static str {
        match self.civil.weekday() {
            Weekday::Sunday => "Sunday",
            Weekday::Monday => "Monday",
            Weekday::Tuesday => "Tuesday",
            Weekday::Wednesday => "Wednesday",
            Weekday::Thursday => "Thursday",
            Weekday::Friday => "Friday",
            Weekday::Saturday => "Saturday",
        }
    }

    /// The hour, 0 to 23.
    pub fn hour(&self) -> i64 {
        self.civil.hour().into()
    }

    /// The hour of a twelve-hour clock, 1 to 12.
    pub fn hour12(&self) -> i64 {
        match self.hour() % 12 {
            0 => 12,
            hour => hour,
        }
    }

    /// Whether it is noon or later.
    pub fn is_afternoon(&self) -> bool {
        self.hour() >= 12
    }

    /// The minute, 0 to 59.
    pub fn minute(&self) -> i64 {
        self.civil.minute().into()
    }

    /// The second, 0 to 59.
    pub fn second(&self) -> i64 {
        self.civil.second().into()
    }

    /// Nanoseconds of the second.
    pub fn nanosecond(&self) -> u32 {
        self.civil.subsec_nanosecond().unsigned_abs()
    }

    /// The year and week of ISO 8601.
    pub fn iso_week(&self) -> (i64, i64) {
        let week = self.civil.iso_week_date();
        (week.year().into(), week.week().into())
    }

    /// `+hhmm`, with `separator` between hours and minutes.
    pub fn offset_text(&self, separator: &str) -> String {
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.unsigned_abs() / 60;
        format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
    }
}
