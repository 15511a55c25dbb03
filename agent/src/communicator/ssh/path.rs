//! Paths of the guest as its shell must see them. What shells expand on purpose (`~`, `$HOME`) stays, because
//! templates rely on it; whatever would break a path apart is escaped.

/// A path for the guest's shell. `globs`: whether `* ? [ ]` keep their meaning.
pub(super) fn escape(path: &str, globs: bool) -> String {
    let mut text = String::with_capacity(path.len() + 2);
    if path.starts_with('-') {
        text.push_str("./");
    }
    for c in path.chars() {
        let glob = matches!(c, '*' | '?' | '[' | ']');
        // A backslash is either an escape that the template wrote or Windows' separator: both stay.
        if (glob && !globs) || " \t\"'`()&;|<>#!".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// The directory and the name of a path. Windows' separators count after a drive letter. The name is empty for
/// a path that ends with a separator.
pub(super) fn split(path: &str) -> (&str, &str) {
    let windows = path.as_bytes().get(1) == Some(&b':');
    let at = path.rfind(|c| c == '/' || (windows && c == '\\'));
    match at {
        None => (".", path),
        Some(0) => ("/", &path[1..]),
        Some(at) if windows && at == 2 => (&path[..3], &path[3..]),
        Some(at) => (&path[..at], &path[at + 1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_break_a_path_is_escaped() {
        let cases = [
            ("/tmp/a b", r"/tmp/a\ b"),
            ("~/x", "~/x"),
            ("$HOME/it's", r"$HOME/it\'s"),
            ("/a;rm -rf x", r"/a\;rm\ -rf\ x"),
            ("/a*[1]?", r"/a\*\[1\]\?"),
            ("-x", "./-x"),
            (r"C:\Temp\x", r"C:\Temp\x"),
            (r"/tmp/a\ b", r"/tmp/a\\ b"),
        ];
        for (path, expected) in cases {
            assert_eq!(escape(path, false), expected, "{path}");
        }
        assert_eq!(escape("/var/log/*.log", true), "/var/log/*.log");
    }

    #[test]
    fn a_path_splits_into_directory_and_name() {
        let cases = [
            ("/tmp/x", ("/tmp", "x")),
            ("/x", ("/", "x")),
            ("x", (".", "x")),
            ("/tmp/d/", ("/tmp/d", "")),
            ("C:/Temp/x.ps1", ("C:/Temp", "x.ps1")),
            (r"C:\Temp\x.ps1", (r"C:\Temp", "x.ps1")),
            (r"C:\x", (r"C:\", "x")),
            (r"/tmp/a\b", ("/tmp", r"a\b")),
        ];
        for (path, expected) in cases {
            assert_eq!(split(path), expected, "{path}");
        }
    }
}
