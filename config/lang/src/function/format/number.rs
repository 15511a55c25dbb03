//! Numbers as Go's `math/big` prints them. Halves round to even.

use std::num::NonZeroU64;

use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{RoundingMode, Zero};

use super::verb::Verb;
use crate::value::Number;

/// The precision of `e` and `f` when none is given.
const DEFAULT_PRECISION: usize = 6;

/// The number as an integer, if it is one.
pub(super) fn whole(number: &Number) -> Option<BigInt> {
    number.is_integer().then(|| number.with_scale(0).into_bigint_and_scale().0)
}

/// `%b %d %o %x %X`
pub(super) fn integer(verb: &Verb<'_>, number: &BigInt) -> String {
    let (radix, prefix) = match verb.letter {
        'b' => (2, "0b"),
        'o' => (8, "0"),
        'x' => (16, "0x"),
        'X' => (16, "0X"),
        _ => (10, ""),
    };
    let mut digits = number.magnitude().to_str_radix(radix);
    if verb.letter == 'X' {
        digits.make_ascii_uppercase();
    }
    if let Some(precision) = verb.precision {
        if digits == "0" && precision == 0 {
            return String::new();
        }
        digits = format!("{digits:0>precision$}");
    }
    let prefix = if verb.has('#') { prefix } else { "" };
    let sign = sign(verb, number.sign() == Sign::Minus);
    pad(verb, &format!("{sign}{prefix}"), &digits, verb.has('0') && verb.precision.is_none())
}

/// `%e %E %f %g %G`
pub(super) fn float(verb: &Verb<'_>, number: &Number) -> String {
    let digits = match verb.letter {
        'f' => {
            let scale = i64::try_from(verb.precision.unwrap_or(DEFAULT_PRECISION)).unwrap_or(0);
            number.abs().with_scale_round(scale, RoundingMode::HalfEven).to_plain_string()
        }
        letter @ ('e' | 'E') => {
            let precision = verb.precision.unwrap_or(DEFAULT_PRECISION);
            Scientific::of(&number.abs(), Some(precision + 1)).show(precision, letter)
        }
        letter => general(&number.abs(), verb.precision, if letter == 'G' { 'E' } else { 'e' }),
    };
    pad(verb, sign(verb, number.sign() == Sign::Minus), &digits, verb.has('0'))
}

/// `%g`: the shortest text, with an exponent if that is below -4 or not below the precision, which is
/// 6 when none is given.
pub(super) fn general(number: &Number, precision: Option<usize>, e: char) -> String {
    let sign = if number.sign() == Sign::Minus { "-" } else { "" };
    let parts = Scientific::of(&number.abs(), precision.map(|p| p.max(1)));
    let count = parts.digits.len();
    let limit = match precision.map(|p| p.max(1)) {
        None => DEFAULT_PRECISION,
        // As many digits as there are suffice for a whole number.
        Some(p) if p > count && i64::try_from(count).is_ok_and(|c| c > parts.exponent) => count,
        Some(p) => p,
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    if parts.exponent < -4 || parts.exponent >= limit {
        return format!("{sign}{}", parts.show(count - 1, e));
    }
    format!("{sign}{}", parts.plain())
}

/// Significant digits without zeros at the end, and the power of ten of the first.
struct Scientific {
    digits: String,
    exponent: i64,
}

impl Scientific {
    /// Of a number that isn't negative, rounded to `count` digits if that is given.
    fn of(number: &Number, count: Option<usize>) -> Self {
        if number.is_zero() {
            return Self { digits: "0".to_owned(), exponent: 0 };
        }
        let count = count.and_then(|c| NonZeroU64::new(c as u64));
        let rounded = count.map_or_else(
            || number.clone(),
            |count| number.with_precision_round(count, RoundingMode::HalfEven),
        );
        let (mantissa, scale) = rounded.as_bigint_and_scale();
        let digits = mantissa.to_string();
        let exponent = i64::try_from(digits.len()).unwrap_or(0) - 1 - scale;
        Self { digits: digits.trim_end_matches('0').to_owned(), exponent }
    }

    /// `1.25e+06` with `precision` digits after the point.
    fn show(&self, precision: usize, e: char) -> String {
        let (first, rest) = self.digits.split_at(1);
        let point = if precision > 0 { "." } else { "" };
        let sign = if self.exponent < 0 { '-' } else { '+' };
        format!("{first}{point}{rest:0<precision$}{e}{sign}{:02}", self.exponent.unsigned_abs())
    }

    /// Without exponent.
    fn plain(&self) -> String {
        let Ok(exponent) = usize::try_from(self.exponent) else {
            let zeros = usize::try_from(-self.exponent - 1).unwrap_or(0);
            return format!("0.{}{}", "0".repeat(zeros), self.digits);
        };
        let padded = format!("{:0<width$}", self.digits, width = exponent + 1);
        let (whole, fraction) = padded.split_at(exponent + 1);
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    }
}

fn sign(verb: &Verb<'_>, negative: bool) -> &'static str {
    match (negative, verb.has('+'), verb.has(' ')) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

/// Zeros go between the sign and the digits, blanks before the sign or, with `-`, after everything.
fn pad(verb: &Verb<'_>, sign: &str, digits: &str, zeros: bool) -> String {
    let missing = verb.width.unwrap_or(0).saturating_sub(sign.len() + digits.len());
    match (verb.has('-'), zeros) {
        (true, _) => format!("{sign}{digits}{}", " ".repeat(missing)),
        (_, true) => format!("{sign}{}{digits}", "0".repeat(missing)),
        _ => format!("{}{sign}{digits}", " ".repeat(missing)),
    }
}
