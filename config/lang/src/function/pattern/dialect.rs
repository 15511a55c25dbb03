//! Patterns as Go reads them, rewritten for the regex crate: Go's `\d \w \s \b` are about ASCII alone, its classes
//! know no set operations, `\Q…\E` quotes, and a brace that opens no repetition is itself.

/// The same pattern in the syntax of the regex crate; mistakes are left for it to find.
pub(super) fn from_go(pattern: &str) -> String {
    let mut rewrite =
        Rewrite { rest: pattern, out: String::with_capacity(pattern.len() + 16), in_class: false };
    while let Some(c) = rewrite.rest.chars().next() {
        rewrite.step(c);
    }
    rewrite.out
}

struct Rewrite<'a> {
    rest: &'a str,
    out: String,
    in_class: bool,
}

impl Rewrite<'_> {
    fn step(&mut self, c: char) {
        match c {
            '\\' => self.escape(),
            '[' if self.in_class => self.bracket_in_class(),
            '[' => self.open_class(),
            ']' if self.in_class => {
                self.in_class = false;
                self.copy(1);
            }
            '&' | '~' if self.in_class => {
                self.out.push('\\');
                self.copy(1);
            }
            '{' if !self.in_class && !opens_repetition(self.rest) => {
                self.out.push('\\');
                self.copy(1);
            }
            c => self.copy(c.len_utf8()),
        }
    }

    fn copy(&mut self, bytes: usize) {
        self.out.push_str(&self.rest[..bytes]);
        self.rest = &self.rest[bytes..];
    }

    fn replace(&mut self, bytes: usize, with: &str) {
        self.out.push_str(with);
        self.rest = &self.rest[bytes..];
    }

    fn escape(&mut self) {
        if let Some(quoted) = self.rest.strip_prefix("\\Q") {
            let end = quoted.find("\\E").unwrap_or(quoted.len());
            self.out.push_str(&regex::escape(&quoted[..end]));
            self.rest = quoted[end..].strip_prefix("\\E").unwrap_or("");
            return;
        }
        let next = self.rest[1..].chars().next();
        let class = match next {
            Some('d' | 'D') => "0-9",
            Some('w' | 'W') => "0-9A-Za-z_",
            Some('s' | 'S') => "\\t\\n\\f\\r ",
            Some('b') if !self.in_class => return self.replace(2, "(?-u:\\b)"),
            // `\<` and `\>` would be borders of words.
            Some(c @ ('<' | '>')) => return self.replace(2, &c.to_string()),
            Some(c) => return self.copy(1 + c.len_utf8()),
            None => return self.copy(1),
        };
        let negated = next.is_some_and(char::is_uppercase);
        let written = match (negated, self.in_class) {
            (true, _) => format!("[^{class}]"),
            (false, true) => class.to_owned(),
            (false, false) => format!("[{class}]"),
        };
        self.replace(2, &written);
    }

    fn open_class(&mut self) {
        self.in_class = true;
        self.copy(1);
        if self.rest.starts_with('^') {
            self.copy(1);
        }
        // As the first member it is a member.
        if self.rest.starts_with(']') {
            self.replace(1, "\\]");
        }
    }

    fn bracket_in_class(&mut self) {
        let named = self.rest.starts_with("[:");
        match self.rest.find(":]").filter(|_| named) {
            Some(end) => self.copy(end + 2),
            None => self.replace(1, "\\["),
        }
    }
}

/// Whether `rest` begins with `{n}`, `{n,}` or `{n,m}`.
fn opens_repetition(rest: &str) -> bool {
    let Some(end) = rest.find('}') else { return false };
    let (from, to) = rest[1..end].split_once(',').unwrap_or((&rest[1..end], ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    !from.is_empty() && digits(from) && digits(to)
}

#[cfg(test)]
mod tests {
    use super::from_go;

    #[test]
    fn gos_patterns_mean_what_they_mean_in_go() {
        let cases = [
            (r"^\d+$", "٣", false),
            (r"^[\d.]+$", "1.2", true),
            (r"^[\D]+$", "é", true),
            (r"\bfoo\b", "éfoo", true),
            (r"^[[\]&&~]+$", "[]&~", true),
            (r"^[[:alpha:]]+$", "ab", true),
            (r"^[]a]+$", "]a", true),
            (r"^\Qa.b\E$", "a.b", true),
            (r"^a{,2}{x}$", "a{,2}{x}", true),
            (r"^a{2}$", "aa", true),
            (r"^\<a\>$", "<a>", true),
            (r"^(?i)É$", "é", true),
            (r"^\pL$", "é", true),
        ];
        for (pattern, text, matches) in cases {
            let rewritten = from_go(pattern);
            let regex =
                regex::Regex::new(&rewritten).unwrap_or_else(|e| panic!("{pattern} as {rewritten}: {e}"));
            assert_eq!(regex.is_match(text), matches, "{pattern} as {rewritten}");
        }
    }
}
