//! Calls of functions on text, and what they yield.

use super::*;

#[test]
fn texts() {
    check(&[
        ("chomp", r#""a\r\n\n""#, r#""a""#),
        ("indent", r#"2, "a\nb\n""#, r#""a\n  b\n  ""#),
        ("join", r#"", ", ["a", 1, true]"#, r#""a, 1, true""#),
        ("join", r#""-", ["a"], [], ["b"]"#, r#""a-b""#),
        ("lower", r#""ÀB İ""#, r#""àb i""#),
        ("upper", r#""straße ŉ é""#, r#""STRAßE ŉ É""#),
        ("title", r#""hello wORLD it's a_b-c éa""#, r#""Hello WORLD It'S A_b-C Éa""#),
        ("replace", r#""a/b/c", "/b/", "+""#, r#""a+c""#),
        ("replace", r#""ab", "", "-""#, r#""-a-b-""#),
        ("split", r#"",", "a,b,,c""#, r#"["a","b","","c"]"#),
        ("split", r#"",", """#, r#"[""]"#),
        ("split", r#""", "aé""#, r#"["a","é"]"#),
        ("strrev", r#""ae\u0301x""#, "\"xe\u{301}a\""),
        ("substr", r#""hello world", 1, 4"#, r#""ello""#),
        ("substr", r#""hello", -3, 2"#, r#""ll""#),
        ("substr", r#""hello", 2, -1"#, r#""llo""#),
        ("substr", r#""hello", 9, 1"#, r#""""#),
        ("substr", r#""hello", 1, 0"#, r#""""#),
        ("substr", r#""hello", -2, 0"#, r#""lo""#),
        ("trim", r#""?!hello?!", "!?""#, r#""hello""#),
        ("trimprefix", r#""helloworld", "hello""#, r#""world""#),
        ("trimsuffix", r#""a.tar.gz", ".gz""#, r#""a.tar""#),
        ("trimspace", r#""\u00a0 a \n""#, r#""a""#),
        ("startswith", r#""abc", "ab""#, "true"),
        ("endswith", r#""abc", "ab""#, "false"),
        ("strcontains", r#""abc", "bc""#, "true"),
    ]);
    check_errors(&[
        ("join", r#""-""#, "at least one list is required"),
        ("join", r#""-", ["a", null]"#, "element 1 is null; cannot concatenate null values"),
        ("upper", "null", "must not be null"),
        ("indent", r#"-1, "a""#, "must not be negative"),
        ("indent", r#"9000000000, "a\nb""#, "larger than 64 MiB"),
        ("substr", r#""a", 0.5, 1"#, "value must be a whole number"),
    ]);
}

#[test]
fn results_are_bounded() {
    let long = Value::string("x".repeat(1 << 20));
    let bomb = [long.clone(), Value::from("x"), Value::string("y".repeat(100))];
    for (name, args) in [
        ("replace", bomb.to_vec()),
        ("regex_replace", bomb.to_vec()),
        ("join", vec![long.clone(), Value::tuple(vec!["a".into(); 100])]),
        ("format", vec!["%1000000000d".into(), 1.into()]),
    ] {
        assert!(pure_call(name, &args).is_err(), "{name}");
    }
}

#[test]
fn formats() {
    check(&[
        ("format", r#""Hello, %s!", "Ann""#, r#""Hello, Ann!""#),
        (
            "format",
            r#""%%%v""#,
            r#"error: not enough arguments for "%v" at 2: need index 1 but have 0 total"#,
        ),
        ("format", r#""100%%""#, r#""100%""#),
        ("format", r#""%v %v %v %v", "a", 1.5, true, null"#, r#""a 1.5 true null""#),
        ("format", r#""%v %#v", ["a", 1], "b""#, r#""[\"a\",1] \"b\"""#),
        ("format", r#""%v %v %v", 100000, 1000000, 1234567.5"#, r#""100000 1e+06 1.2345675e+06""#),
        ("format", r#""%v %v", 0.0001, 0.00001"#, r#""0.0001 1e-05""#),
        ("format", r#""%d|%5d|%-5d|%05d|%+d|% d", 1, 2, 3, 4, 5, 6"#, r#""1|    2|3    |00004|+5| 6""#),
        ("format", r#""%03d", "7""#, r#""007""#),
        ("format", r#""%b %o %x %X %#x %.3d", 5, 8, 255, 255, 255, 7"#, r#""101 10 ff FF 0xff 007""#),
        (
            "format",
            r#""%f %.2f %8.2f|%-8.1f|%08.3f", 1.5, 0.125, -2.5, 3.25, -1.5"#,
            r#""1.500000 0.12    -2.50|3.2     |-001.500""#,
        ),
        (
            "format",
            r#""%e %.1E %g %.3g %G", 123456, 0.05, 1e21, 1234.5, 1e-7"#,
            r#""1.234560e+05 5.0E-02 1e+21 1.23e+03 1E-07""#,
        ),
        ("format", r#""%.2f %g %e", 0, 0, 0"#, r#""0.00 0 0.000000e+00""#),
        ("format", r#""%.10g %.3g", 100, 100"#, r#""100 100""#),
        ("format", r#""%t", "true""#, r#""true""#),
        (
            "format",
            r#""%q %.2s|%5s|%-5s|%05s", "a<b", "héllo", "x", "y", "z""#,
            r#""\"a\\u003cb\" hé|    x|y    |0000z""#,
        ),
        ("format", r#""%[2]s %[1]s %s", "a", "b""#, r#""b a b""#),
        ("formatlist", r#""%s-%s", ["a", "b"], "x""#, r#"["a-x","b-x"]"#),
        ("formatlist", r#""%s", "x""#, r#"["x"]"#),
        ("formatlist", r#""%s", []"#, "[]"),
        ("formatlist", r#""plain""#, r#"["plain"]"#),
    ]);
    check_errors(&[
        ("format", r#""%s", null"#, "unsupported value for \"%s\" at 0: null value cannot be formatted"),
        ("format", r#""%d", 1.5"#, "an integer is required"),
        ("format", r#""%z", 1"#, "unsupported format verb 'z' in \"%z\" at offset 0"),
        ("format", r#""%s", "a", "b""#, "too many arguments; only 1 used by format string"),
        ("format", r#""x", "a""#, "too many arguments; no verbs in format string"),
        ("format", r#""%☠""#, "unrecognized format character '☠' at offset 1"),
        ("format", r#""%[0]s", 1"#, "unrecognized format character '0' at offset 2"),
        ("format", r#""50%""#, "unterminated verb"),
        ("format", r#""%s", ["a"]"#, "a string is required"),
        (
            "formatlist",
            r#""%s%s", ["a", "b"], ["c"]"#,
            "argument 2 has length 1, which is inconsistent with argument 1 of length 2",
        ),
    ]);
    let late = Value::tuple(vec!["a".into(), Value::unknown(Type::String)]);
    let list = pure_call("formatlist", &["%s".into(), late]).unwrap();
    assert_eq!(list.as_items().unwrap()[0], "a".into());
    assert!(!list.as_items().unwrap()[1].is_known());
}

#[test]
fn patterns() {
    check(&[
        ("regex", r#""[a-z]+", "53453453.345345aaabbbccc23454""#, r#""aaabbbccc""#),
        ("regex", r#""(\\d+)-(\\d+)-(x)?", "2019-02-01""#, r#"["2019","02",null]"#),
        (
            "regex",
            r#""^(?P<scheme>[^:]+)://(?<host>[^/]+)", "https://a.b/c""#,
            r#"{"host":"a.b","scheme":"https"}"#,
        ),
        ("regexall", r#""[a-z]+", "1a2bc3""#, r#"["a","bc"]"#),
        ("regexall", r#""(\\w)(\\d)", "a1b2""#, r#"[["a","1"],["b","2"]]"#),
        ("regexall", r#""x", "abc""#, "[]"),
        ("regex_replace", r#""2020-01-02T03:04:05Z", "[- TZ:]", """#, r#""20200102030405""#),
        ("regex_replace", r#""-ab-axxb-", "a(x*)b", "${1}W$1W$$""#, r#""-W$-xxW$-""#),
        ("regex_replace", r#""hello", "(?P<first>h)", "[$first]""#, r#""[h]ello""#),
    ]);
    check_errors(&[
        ("regex", r#""x", "abc""#, "pattern did not match any part of the given string"),
        ("regex", r#""(", "abc""#, "invalid regexp pattern"),
        ("regex", r#""(a)(?P<n>b)", "ab""#, "cannot mix both named and unnamed capture groups"),
    ]);
}
