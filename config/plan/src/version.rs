//! Versions and the constraints that `required_version` and `required_plugins` put on them.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A version: any count of numbers, an optional prerelease; metadata after `+` is ignored.
#[derive(Clone, Debug)]
pub struct Version {
    numbers: Vec<u64>,
    prerelease: String,
}

/// Why a text is no version or constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not a version.
    #[error("{0:?} is not a version; write for example \"1.2.3\"")]
    Version(String),
    /// Not a constraint.
    #[error("{0:?} is not a version constraint; write for example \">= 1.2.0, < 2.0.0\"")]
    Constraint(String),
}

impl Version {
    /// The same without its prerelease.
    #[must_use]
    pub fn release(&self) -> Self {
        Self { numbers: self.numbers.clone(), prerelease: String::new() }
    }

    /// Its normal form, which names of plug-in files carry: at least three numbers, no leading zeros, no metadata.
    pub fn canonical(&self) -> String {
        let count = self.numbers.len().max(3);
        let numbers: Vec<_> = (0..count).map(|i| self.number(i).to_string()).collect();
        let dash = if self.is_prerelease() { "-" } else { "" };
        format!("{}{dash}{}", numbers.join("."), self.prerelease)
    }

    /// What stands after the first dash, without the dash: `dev`. Empty for a release.
    pub fn prerelease(&self) -> &str {
        &self.prerelease
    }

    /// Whether it is a prerelease.
    pub fn is_prerelease(&self) -> bool {
        !self.prerelease.is_empty()
    }

    fn number(&self, index: usize) -> u64 {
        self.numbers.get(index).copied().unwrap_or(0)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || VersionError::Version(text.to_owned());
        let bare = text.trim();
        let bare = bare.strip_prefix('v').unwrap_or(bare);
        let without_metadata = bare.split('+').next().unwrap_or(bare);
        let (numbers, prerelease) = without_metadata.split_once('-').unwrap_or((without_metadata, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '~';
        if !prerelease.chars().all(plain) || without_metadata.ends_with('-') {
            return Err(error());
        }
        let number = |n: &str| match n.bytes().all(|b| b.is_ascii_digit()) {
            true => n.parse().map_err(|_| error()),
            false => Err(error()),
        };
        let numbers = numbers.split('.').map(number).collect::<Result<_, _>>()?;
        Ok(Self { numbers, prerelease: prerelease.to_owned() })
    }
}

/// Missing numbers count as zero: `1.2` and `1.2.0` are the same version.
impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let numbers = (0..length).map(|i| self.number(i)).cmp((0..length).map(|i| other.number(i)));
        numbers.then_with(|| match (self.is_prerelease(), other.is_prerelease()) {
            (true, true) => compare_prereleases(&self.prerelease, &other.prerelease),
            (a, b) => b.cmp(&a),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn compare_prereleases(a: &str, b: &str) -> Ordering {
    let key = |part: &str| (part.parse::<u64>().is_err(), part.parse().unwrap_or(0_u64), part.to_owned());
    a.split('.').map(key).cmp(b.split('.').map(key))
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.numbers.iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))?;
        if self.is_prerelease() { write!(f, "-{}", self.prerelease) } else { Ok(()) }
    }
}

/// Conditions that all must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraints {
    text: String,
    list: Vec<(Operator, Version)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// `~>`: at least this, and the same but for the last number.
    Pessimistic,
}

const OPERATORS: [(&str, Operator); 7] = [
    ("~>", Operator::Pessimistic),
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("!=", Operator::NotEqual),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("=", Operator::Equal),
];

impl Constraints {
    /// The one that any version fulfils.
    pub fn any() -> Self {
        Self { text: String::new(), list: Vec::new() }
    }

    /// Whether a version fulfils them all.
    pub fn allow(&self, version: &Version) -> bool {
        self.list.iter().all(|(operator, bound)| holds(*operator, version, bound))
    }

    /// Whether one of them names a prerelease.
    pub fn name_prerelease(&self) -> bool {
        self.list.iter().any(|(_, bound)| bound.is_prerelease())
    }
}

fn holds(operator: Operator, version: &Version, bound: &Version) -> bool {
    match operator {
        Operator::Equal => version == bound,
        Operator::NotEqual => version != bound,
        Operator::Greater => version > bound,
        Operator::GreaterOrEqual => version >= bound,
        Operator::Less => version < bound,
        Operator::LessOrEqual => version <= bound,
        Operator::Pessimistic => {
            let fixed = bound.numbers.len() - 1;
            version >= bound && (0..fixed).all(|i| version.number(i) == bound.number(i))
        }
    }
}

impl FromStr for Constraints {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let one = |part: &str| {
            let part = part.trim();
            let (operator, rest) = OPERATORS
                .iter()
                .find_map(|(sign, operator)| part.strip_prefix(sign).map(|rest| (*operator, rest)))
                .unwrap_or((Operator::Equal, part));
            let version = rest.parse().map_err(|_| VersionError::Constraint(text.to_owned()))?;
            Ok((operator, version))
        };
        let list = text.split(',').map(one).collect::<Result<_, _>>()?;
        Ok(Self { text: text.trim().to_owned(), list })
    }
}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_select_versions() {
        let cases = [
            (">= 1.7.0, < 2.0.0", "1.16.0", true),
            (">= 1.7.0, < 1.10.0", "1.16.0", false),
            ("~> 1.7", "1.16.0", true),
            ("~> 1.7.0", "1.16.0", false),
            ("~>1.2.3", "1.2.9", true),
            ("v1.16", "1.16.0", true),
            ("!= 1.16.0", "1.16.0", false),
            ("> 1.16.0-alpha", "1.16.0", true),
            ("= 1.16.0", "1.16.0-beta.2", false),
        ];
        for (constraints, version, allowed) in cases {
            let constraints: Constraints = constraints.parse().unwrap();
            assert_eq!(constraints.allow(&version.parse().unwrap()), allowed, "{constraints} on {version}");
        }
    }

    #[test]
    fn prereleases_come_before_their_release_in_order() {
        let order = ["1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-alpha.10", "1.0.0", "1.0.1"];
        let versions: Vec<Version> = order.iter().map(|v| v.parse().unwrap()).collect();
        assert!(versions.is_sorted());
    }

    #[test]
    fn the_pessimistic_operator_lets_the_last_number_grow() {
        let versions = ["0.9.9", "1.0.0", "1.1.9", "1.2.0", "1.2.3", "1.2.9", "1.3.0", "1.10.0", "2.0.0"];
        let cases = [
            // There is no number before the last that would have to stay.
            ("~> 1", "1.0.0 1.1.9 1.2.0 1.2.3 1.2.9 1.3.0 1.10.0 2.0.0"),
            ("~> 1.0", "1.0.0 1.1.9 1.2.0 1.2.3 1.2.9 1.3.0 1.10.0"),
            ("~> 1.2", "1.2.0 1.2.3 1.2.9 1.3.0 1.10.0"),
            ("~> 1.2.3", "1.2.3 1.2.9"),
            ("~> 1.2, != 1.3.0", "1.2.0 1.2.3 1.2.9 1.10.0"),
            (">= 1.2, < 1.10", "1.2.0 1.2.3 1.2.9 1.3.0"),
            ("1.2.3", "1.2.3"),
            (" >=v1.10 ", "1.10.0 2.0.0"),
            ("< 1", "0.9.9"),
        ];
        for (constraints, expected) in cases {
            let parsed: Constraints = constraints.parse().unwrap();
            let allowed: Vec<&str> =
                versions.iter().filter(|v| parsed.allow(&v.parse().unwrap())).copied().collect();
            assert_eq!(allowed.join(" "), expected, "{constraints}");
        }
    }

    #[test]
    fn the_normal_form_has_three_numbers() {
        let cases = [
            ("v1.2.3", "1.2.3"),
            ("1.2", "1.2.0"),
            ("01.2.3", "1.2.3"),
            ("1.2.3-dev", "1.2.3-dev"),
            ("1.2.3+meta", "1.2.3"),
            ("1.2.3.4", "1.2.3.4"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Version>().unwrap().canonical(), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "x", "1.x", "1.", ">=", "~> latest", "1.2.3-"] {
            assert!(text.parse::<Constraints>().is_err(), "{text:?}");
        }
    }
}
