//! The `powershell` provisioner quotes values by itself, so that quoting by hand would show in them.

use super::Rewrite;
use super::template::{change_texts, kind};

pub(super) const REWRITE: Rewrite = Rewrite {
    name: "powershell-escapes",
    help: "Takes PowerShell's escapes out of variables, user and password of the powershell provisioner",
    apply: |template| {
        for options in template.provisioners().filter(|options| kind(options) == "powershell") {
            for name in ["environment_vars", "elevated_user", "elevated_password"] {
                if let Some(value) = options.get_mut(name) {
                    change_texts(value, &unescaped);
                }
            }
        }
    },
};

/// The text without the backtick before `$`, `"`, `'` and itself.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('`', Some('$' | '"' | '\'' | '`')) => out.extend(letters.next()),
            _ => out.push(letter),
        }
    }
    out
}
