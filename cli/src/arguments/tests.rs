use super::*;

fn ask(line: &str) -> Asked {
    read(line.split_whitespace().map(OsString::from))
}

fn build(line: &str) -> BuildArguments {
    match ask(line) {
        Asked::Run { command, .. } => match *command {
            Command::Build(arguments) => arguments,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn go_spelling_of_flags_is_understood() {
    for line in [
        "build -force -var a=b=c -only x,y -on-error abort -parallel-builds 3 -color=false t.pkr.hcl",
        "build --force=true --var=a=b=c -only=x -only y --on-error=abort -parallel-builds=3 --color=false t.pkr.hcl",
    ] {
        let arguments = build(line);
        assert!(arguments.force && !arguments.output.color, "{line}");
        assert_eq!(arguments.template.var, [("a".to_owned(), "b=c".to_owned())]);
        assert_eq!(arguments.template.only, ["x", "y"]);
        assert_eq!(arguments.on_error, Some(OnError::Abort));
        assert_eq!(arguments.parallel_builds, 3);
        assert_eq!(arguments.template.one_template(), Ok("t.pkr.hcl"));
    }
}

#[test]
fn flags_end_at_the_template() {
    let arguments = build("build t.pkr.hcl -force");
    assert_eq!(arguments.template.one_template(), Err(2));
    assert!(!arguments.force);
}

#[test]
fn standard_input_is_a_template() {
    assert_eq!(build("build -force -").template.one_template(), Ok("-"));
}

#[test]
fn mistakes_name_the_flag() {
    let cases = [
        ("build -bogus t", "flag provided but not defined: -bogus"),
        (
            "build -on-error=maybe t",
            "invalid value \"maybe\" for flag -on-error: \"maybe\" is none of cleanup, abort, ask, run-cleanup-provisioner",
        ),
        (
            "build -var novalue t",
            "invalid value \"novalue\" for flag -var: \"novalue\" has no '='; write -var 'name=value'",
        ),
        (
            "build -parallel-builds=x t",
            "invalid value \"x\" for flag -parallel-builds: invalid digit found in string",
        ),
        ("validate -force t", "flag provided but not defined: -force"),
    ];
    for (line, expected) in cases {
        match ask(line) {
            Asked::Mistake { message, .. } => assert_eq!(message, expected, "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn help_wins_over_everything_and_no_command_is_127() {
    assert!(matches!(ask(""), Asked::Help(_, 127)));
    assert!(matches!(ask("bogus"), Asked::Help(_, 127)));
    assert!(matches!(ask("build -bogus -h"), Asked::Help(_, 0)));
    assert!(
        matches!(ask("-version whatever"), Asked::Run { command, .. } if matches!(*command, Command::Version))
    );
}

#[test]
fn machine_readable_counts_anywhere_with_one_dash_only() {
    assert!(matches!(ask("build t -machine-readable"), Asked::Run { machine_readable: true, .. }));
    assert!(matches!(ask("build --machine-readable t"), Asked::Run { machine_readable: false, .. }));
    assert!(matches!(ask("validate --machine-readable=x t"), Asked::Mistake { .. }));
}
