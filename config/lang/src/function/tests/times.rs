//! Calls of functions on dates and times, and what they yield.

use super::*;
use crate::function::time::{Moment, legacy_isotime, legacy_strftime};

#[test]
fn dates() {
    check(&[
        ("formatdate", r#""DD MMM YYYY hh:mm ZZZ", "2018-01-02T23:12:01Z""#, r#""02 Jan 2018 23:12 UTC""#),
        (
            "formatdate",
            r#""EEEE, D-MMMM-YY H:mm:ss AA aa", "2018-01-02T00:12:01Z""#,
            r#""Tuesday, 2-January-18 12:12:01 AM am""#,
        ),
        (
            "formatdate",
            r#""YYYY-MM-DD'T'hh:mm:ssZ", "2018-01-02T23:12:01-08:00""#,
            r#""2018-01-02T23:12:01-08:00""#,
        ),
        (
            "formatdate",
            r#""''h 'o''clock' ZZZZ ZZZZZ EEE M", "2018-01-02T03:00:00+01:30""#,
            r#""'3 o'clock +0130 +01:30 Tue 1""#,
        ),
        ("timeadd", r#""9999-12-31T23:59:59.5Z", "-1s""#, r#""9999-12-31T23:59:58Z""#),
        ("timeadd", r#""1960-01-01T00:00:00.5-01:00", "1ns""#, r#""1960-01-01T00:00:00-01:00""#),
        ("timeadd", r#""2017-11-22T00:00:00Z", "10m""#, r#""2017-11-22T00:10:00Z""#),
        ("timeadd", r#""2017-11-22T00:00:00+02:00", "-1h30m""#, r#""2017-11-21T22:30:00+02:00""#),
        (
            "rfc3339_parse",
            r#""2020-01-02 23:04:05.5Z""#,
            r#"{"day":2,"hour":23,"iso_week":1,"iso_year":2020,"minute":4,"month":1,"month_name":"January","second":5,"unix":1578006245,"weekday":4,"weekday_name":"Thursday","year":2020,"year_day":2}"#,
        ),
        (
            "unix_timestamp_parse",
            "0",
            r#"{"day":1,"hour":0,"iso_week":1,"iso_year":1970,"minute":0,"month":1,"month_name":"January","rfc3339":"1970-01-01T00:00:00Z","second":0,"weekday":4,"weekday_name":"Thursday","year":1970,"year_day":1}"#,
        ),
    ]);
    check_errors(&[
        (
            "formatdate",
            r#""YYY", "2018-01-02T23:12:01Z""#,
            "invalid date format verb \"YYY\": year must either be \"YY\" or \"YYYY\"",
        ),
        ("formatdate", r#""x", "2018-01-02T23:12:01Z""#, "invalid date format verb \"x\""),
        ("formatdate", r#""'x", "2018-01-02T23:12:01Z""#, "unterminated literal '"),
        (
            "formatdate",
            r#""YYYY", "2018-01-02""#,
            "not a valid RFC3339 timestamp: missing required time introducer 'T'",
        ),
        ("timeadd", r#""2017-11-22T00:00:00Z", "10""#, "lacks a unit"),
        ("unix_timestamp_parse", "1.5", "value must be a whole number"),
        ("unix_timestamp_parse", "999999999999999", "outside of the years"),
    ]);
}

#[test]
fn the_start_of_the_process_is_shown_at_utc() {
    let start = Moment::from_seconds(1_136_214_245);
    let shown =
        |function: &Function, args: &[Value]| call(function, args).map(|v| v.as_str().map(str::to_owned));
    let text = |s: &str| Ok(Some(s.to_owned()));
    let isotime = legacy_isotime(start);
    assert_eq!(shown(&isotime, &[]), text("2006-01-02T15:04:05Z"));
    assert_eq!(shown(&isotime, &["Jan-_2-2006".into()]), text("Jan- 2-2006"));
    let strftime = legacy_strftime(start);
    assert_eq!(shown(&strftime, &["%Y.%m.%d".into()]), text("2006.01.02"));
}
