//! The profile in the user's AWS files: `~/.aws/credentials` (or `AWS_SHARED_CREDENTIALS_FILE`), which goes before
//! `~/.aws/config` (or `AWS_CONFIG_FILE`). `AWS_PROFILE` or `AWS_DEFAULT_PROFILE` chooses; without them it is `default`.

use std::collections::HashMap;
use std::path::PathBuf;

use super::super::SecretError;
use super::super::environment::{Environment, unusable};

/// What both files say about one profile. Holds secrets.
pub(super) struct Profile {
    pub(super) name: String,
    values: HashMap<String, String>,
}

impl Profile {
    /// The profile that is chosen. Without a choice it may be missing.
    pub(super) fn of(environment: &Environment) -> Result<Self, SecretError> {
        let chosen = environment.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]);
        let name = chosen.unwrap_or("default");
        match (Self::named(environment, name)?, chosen) {
            (Some(profile), _) => Ok(profile),
            (None, None) => Ok(Self { name: name.to_owned(), values: HashMap::new() }),
            (None, Some(_)) => Err(unusable("AWS_PROFILE", format!("no AWS file has a profile {name:?}"))),
        }
    }

    /// The profile of that name, if there is one.
    pub(super) fn named(environment: &Environment, name: &str) -> Result<Option<Self>, SecretError> {
        let file = |variable: &str, default: &str| {
            environment.get(variable).map(PathBuf::from).or_else(|| environment.in_home(default))
        };
        let files = [
            // The later one goes before.
            (file("AWS_CONFIG_FILE", ".aws/config"), "AWS_CONFIG_FILE"),
            (file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), "AWS_SHARED_CREDENTIALS_FILE"),
        ];
        let mut values = HashMap::new();
        let mut there = false;
        for (path, variable) in files {
            let Some(path) = path else { continue };
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unusable(variable, format!("{}: {error}", path.display()))),
            };
            if let Some(section) = section(&text, name) {
                there = true;
                values.extend(section);
            }
        }
        Ok(there.then(|| Self { name: name.to_owned(), values }))
    }

    /// What it says about this.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// The lines of a profile: `[name]`, in the config file `[profile name]` too.
fn section(text: &str, name: &str) -> Option<HashMap<String, String>> {
    let mut found: Option<HashMap<String, String>> = None;
    let mut inside = false;
    for line in text.lines() {
        let bare = without_comment(line);
        if let Some(head) = bare.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let head = head.trim();
            let head =
                head.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t'])).unwrap_or(head);
            inside = head.trim().trim_matches(['"', '\'']) == name;
            if inside {
                found.get_or_insert_default();
            }
        } else if let (true, false, Some((key, value))) =
            // What is indented belongs to the line above.
            (inside, line.starts_with([' ', '\t']), bare.split_once('='))
        {
            found.get_or_insert_default().insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    found
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(['#', ';']) {
        return "";
    }
    let ends = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| line.find(mark));
    ends.min().map_or(line, |end| &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_its_section_of_either_file() {
        let text = "# [a]\nstray = 1\n[default]\nregion = eu-west-1 # home\n[profile a]\nRegion=us-east-1\n\
                    s3 =\n  region = nested\naws_secret_access_key = ab/c+d=#e\n[b]\n region = indented\n\
                    [ \"c d\" ]\nx = 1 ; y\n[profiles]\nx = 2\n";
        type Pairs = &'static [(&'static str, &'static str)];
        let table: [(&str, Option<Pairs>); 6] = [
            ("default", Some(&[("region", "eu-west-1")])),
            ("a", Some(&[("aws_secret_access_key", "ab/c+d=#e"), ("region", "us-east-1"), ("s3", "")])),
            ("b", Some(&[])),
            ("c d", Some(&[("x", "1")])),
            ("profiles", Some(&[("x", "2")])),
            ("none", None),
        ];
        for (name, expected) in table {
            let found = section(text, name).map(|found| {
                let mut pairs: Vec<_> = found.into_iter().collect();
                pairs.sort();
                pairs
            });
            let expected = expected.map(|pairs| {
                pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{name}");
        }
    }
}
