//! Completion scripts as the shells themselves see them, the flags that install them, and the manual pages.

use std::path::Path;
use std::process::Command;

use kiln_tests::program::Place;

use super::place;

fn script(place: &Place, shell: &str) -> String {
    let ran = place.run(["completion", shell]);
    ran.expect_code(0);
    assert!(!ran.stdout.contains("--var"), "flags are written with one dash");
    ran.stdout
}

/// What a shell prints that runs `text` after it has read the script at `path`.
fn shell(program: &str, arguments: &[&str], path: &Path, text: &str) -> String {
    let text = format!("source '{}'\n{text}", path.display());
    // Fish makes directories there.
    let home = path.parent().expect("scripts lie somewhere");
    let out = Command::new(program).args(arguments).arg("-c").arg(text).env("HOME", home).output();
    let out = out.unwrap_or_else(|e| panic!("{program}: {e}; ./install-tools.sh installs it"));
    assert!(out.stderr.is_empty(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Words of a half-typed line, and what the last may become.
const LINES: [(&[&str], &str); 6] = [
    (&["kiln", "val"], "validate"),
    (&["kiln", "build", "-on-e"], "-on-error"),
    (&["kiln", "build", "-on-error", "ab"], "abort"),
    (&["kiln", "validate", "-config-type", "h"], "hcl2"),
    (&["kiln", "fmt", "-rec"], "-recursive"),
    (&["kiln", "completion", "fi"], "fish"),
];

#[test]
fn bash_completes_commands_flags_and_values() {
    let place = place();
    let path = place.write("kiln.bash", script(&place, "bash"));
    for (words, expected) in LINES {
        let (line, last) = (words.join("' '"), words.len() - 1);
        let text = format!(
            "COMP_WORDS=('{line}'); COMP_CWORD={last}; _kiln kiln \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{last}-1]}}\"\n\
             echo \"${{COMPREPLY[*]}}\""
        );
        assert_eq!(
            shell("bash", &["--norc", "--noprofile"], &path, &text),
            format!("{expected}\n"),
            "{words:?}"
        );
    }
}

#[test]
fn fish_completes_commands_flags_and_values() {
    let place = place();
    let path = place.write("kiln.fish", script(&place, "fish"));
    for (words, expected) in LINES {
        let told = shell("fish", &["--no-config"], &path, &format!("complete -C '{}'", words.join(" ")));
        assert!(told.lines().any(|l| l.split('\t').next() == Some(expected)), "{words:?}: {told}");
    }
}

#[test]
fn zsh_and_powershell_get_scripts() {
    let place = place();
    let path =
        place.write("kiln.zsh", format!("autoload -Uz compinit; compinit -u -D\n{}", script(&place, "zsh")));
    assert_eq!(shell("zsh", &["-f"], &path, "echo ${_comps[kiln]}"), "_kiln\n");
    assert!(script(&place, "powershell").contains("'-on-error'"));
    place.run(["completion", "tcsh"]).expect_code(1).expect("possible values: bash, zsh, fish, powershell");
}

#[test]
fn start_files_are_set_up_and_restored() {
    let place = place();
    place.run(["-autocomplete-install"]).expect_code(1).expect("Did not find any shells to install");
    let start = place.home().join(".bashrc");
    std::fs::write(&start, "export A=1\n").expect("it is ours");
    std::fs::create_dir_all(place.home().join(".config/fish")).expect("it is ours");
    place.run(["-autocomplete-install"]).expect_code(0).expect(".bashrc").expect("completions/kiln.fish");
    place.run(["build", "--autocomplete-install"]).expect_code(1).expect("already installed in ");
    let told = shell("bash", &["--norc", "--noprofile"], &start, "complete -p kiln");
    assert!(told.contains("-F _kiln"), "{told}");
    let both = place.run(["-autocomplete-install", "-autocomplete-uninstall"]);
    both.expect_code(1).expect("may be specified, but not both");
    place.run(["-autocomplete-uninstall"]).expect_code(0);
    assert_eq!(std::fs::read_to_string(&start).expect("it is there"), "export A=1\n");
    assert!(!place.home().join(".config/fish/completions/kiln.fish").exists());
}

#[test]
fn every_command_has_a_manual_page() {
    let place = place();
    place.run(["man", "pages"]).expect_code(0).expect("pages/kiln-fmt.1\n").expect_not("kiln-man.1");
    let page = place.read("pages/kiln-build.1");
    assert!(page.contains("\\fB\\-on\\-error\\fR") && !page.contains("\\-\\-on"), "{page}");
    assert!(place.read("pages/kiln.1").contains("kiln\\-console(1)"));
}
