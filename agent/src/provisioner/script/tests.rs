//! Text, quoting and codes; which scripts are taken is tested with the provisioners that take them.

use super::*;

#[test]
fn an_inline_script_gets_an_interpreter_unless_it_brings_one() {
    assert_eq!(with_shebang("ls", None), "#!/bin/sh -e\nls\n");
    assert_eq!(with_shebang("#!/bin/bash\nls", None), "#!/bin/bash\nls\n");
    assert_eq!(with_shebang("#!/bin/bash\nls", Some("/bin/zsh")), "#!/bin/zsh\n#!/bin/bash\nls\n");
}

fn environment() -> Environment {
    let vars = ["B=it's".to_owned(), "A=1=2".to_owned(), "C=".to_owned()];
    let map = BTreeMap::from([("A".to_owned(), "3".to_owned())]);
    Environment::from_options(&vars, &map).unwrap()
}

#[test]
fn values_are_sorted_and_safe_within_single_quotes() {
    let cases = [
        ("%s='%s' ", r#"A='3' B='it'"'"'s' C='' "#),
        ("export %s='%s'\n", "export A='3'\nexport B='it'\"'\"'s'\nexport C=''\n"),
        ("$%s=%s;", r#"$A=3;$B=it'"'"'s;$C=;"#),
        ("100% of nothing ", "100% of nothing 100% of nothing 100% of nothing "),
    ];
    for (format, expected) in cases {
        assert_eq!(environment().assignments(format), expected);
    }
}

#[test]
fn hidden_values_are_referred_to_by_name_whatever_the_quotes() {
    let cases = [
        ("%s='%s' ", r#"A=''"$A"'' B='it'"'"'s' C='' "#),
        ("%s=\"%s\" ", r#"A="${A}" B="it'"'"'s" C="" "#),
        ("%s=%s ", r#"A="$A" B=it'"'"'s C= "#),
    ];
    for (format, expected) in cases {
        assert_eq!(environment().assignments_hiding(format, |value| value == "3"), expected);
    }
}

#[test]
fn an_entry_without_name_is_wrong_and_not_shown() {
    for entry in ["=hunter2", "hunter2", ""] {
        let found = Environment::from_options(&[entry.to_owned()], &BTreeMap::new()).unwrap_err();
        let text = format!("{found:?}");
        assert!(text.contains("not in format 'key=value'") && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn other_exit_codes_are_named_with_those_allowed() {
    assert!(check_exit(0, &[], Fault::Guest).is_ok() && check_exit(2, &[0, 2], Fault::Guest).is_ok());
    let failure = check_exit(0, &[3, 4], Fault::Guest).unwrap_err();
    let expected = "Script exited with non-zero exit status: 0. Allowed exit codes are: [3 4]";
    assert_eq!(failure.message, expected);
}
