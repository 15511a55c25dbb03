//! Sums files, as `sha256sum` and BSD's `sha256` write them, and how a file is found in them.

use super::checksum::Sum;

/// The sum that the text of a sums file lists for the file at `wanted`, a path of a URL or of this machine.
/// `sums` is the path of the sums file itself: its names may be relative to it.
///
/// A line of any other shape than `HEX NAME` and `ALGORITHM (NAME) = HEX` counts when it begins with a digest:
/// a file that holds nothing else names no file.
pub fn find(text: &str, wanted: &str, sums: &str) -> Option<Sum> {
    text.lines().find_map(|line| match fields(line) {
        Line::Named { name, hex } if names(name, wanted, sums) => Sum::of_length(hex),
        Line::Unnamed { hex } => Sum::of_length(hex),
        _ => None,
    })
}

enum Line<'a> {
    Named { name: &'a str, hex: &'a str },
    Unnamed { hex: &'a str },
    Nothing,
}

fn fields(line: &str) -> Line<'_> {
    if line.starts_with(['#', '/', '-']) {
        return Line::Nothing;
    }
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields[..] {
        [] => Line::Nothing,
        [_, name, "=", hex] => Line::Named { name: name.trim_matches(['(', ')']), hex },
        [hex, name] => Line::Named { name, hex },
        [hex, ..] => Line::Unnamed { hex },
    }
}

/// Whether a sums file means `wanted` by `name`.
fn names(name: &str, wanted: &str, sums: &str) -> bool {
    let base = wanted.rsplit('/').next().unwrap_or(wanted);
    let folder = sums.rsplit_once('/').map_or("", |(folder, _)| folder);
    let relative = wanted.strip_prefix(folder).map(|r| r.trim_start_matches('/'));
    // `*` and `?` mark binary mode.
    let plain = name.strip_prefix(['*', '?']).unwrap_or(name);
    let bare = name.trim_start_matches(['.', '/']);
    plain == base
        || name == wanted
        || relative.is_some_and(|r| name.strip_prefix("./").unwrap_or(name) == r)
        || (!bare.is_empty() && wanted.contains(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn a_file_is_found_under_all_its_usual_names() {
        let cases = [
            (format!("{B}  other.iso\n{A}  debian.iso\n"), Some(A)),
            (format!("{A} *debian.iso\n"), Some(A)),
            (format!("{A}  debian.iso"), Some(A)),
            (format!("{B}  x/debian.iso.torrent\n{A}  ./amd64/debian.iso\n"), Some(A)),
            (format!("SHA256 (other.iso) = {B}\nSHA256 (debian.iso) = {A}\n"), Some(A)),
            (format!("# {B} debian.iso\n-----BEGIN PGP-----\n{A} debian.iso\n"), Some(A)),
            (format!("{A}\n"), Some(A)),
            (format!("{B}  other.iso\n"), None),
            (String::new(), None),
            ("nonsense debian.iso\n".to_owned(), None),
        ];
        for (text, expected) in cases {
            let found = find(&text, "/cd/amd64/debian.iso", "/cd/SHA256SUMS").map(|sum| sum.hex);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
