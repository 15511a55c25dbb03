//! Names and passwords from `~/.netrc`, which Packer's downloads honour.

/// The login and password for a host out of a netrc file's text; the `default` entry when none fits.
pub(super) fn credentials(text: &str, host: &str) -> Option<(String, String)> {
    let mut words = text.split_whitespace();
    let (mut here, mut login, mut password) = (false, None, None);
    loop {
        let word = words.next();
        let new_entry = matches!(word, None | Some("machine" | "default"));
        if new_entry && here {
            return login.map(|login| (login, password.unwrap_or_default()));
        }
        match word? {
            "machine" => here = words.next() == Some(host),
            "default" => here = true,
            "login" if here => login = words.next().map(str::to_owned),
            "password" if here => password = words.next().map(str::to_owned),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_the_host_is_found() {
        let text = "machine a.example login ann password one\nmachine b.example\n login bob\n password two\ndefault login x password y";
        let cases = [
            (text, "a.example", Some(("ann", "one"))),
            (text, "b.example", Some(("bob", "two"))),
            (text, "c.example", Some(("x", "y"))),
            ("machine a login ann", "b", None),
            ("", "b", None),
        ];
        for (text, host, expected) in cases {
            let expected = expected.map(|(l, p)| (l.to_owned(), p.to_owned()));
            assert_eq!(credentials(text, host), expected, "{host}");
        }
    }
}
