//! Which functions there are: Packer's, where it has them.

use super::{hcl, value_shown};

const FUNCTIONS: [&str; 103] = [
    "abs",
    "ceil",
    "floor",
    "log",
    "max",
    "min",
    "parseint",
    "pow",
    "signum",
    "sum",
    "chomp",
    "format",
    "formatlist",
    "indent",
    "join",
    "lower",
    "upper",
    "title",
    "replace",
    "regex",
    "regexall",
    "regex_replace",
    "split",
    "strrev",
    "substr",
    "trim",
    "trimprefix",
    "trimsuffix",
    "trimspace",
    "startswith",
    "endswith",
    "strcontains",
    "alltrue",
    "anytrue",
    "chunklist",
    "coalesce",
    "coalescelist",
    "compact",
    "concat",
    "contains",
    "distinct",
    "element",
    "flatten",
    "index",
    "keys",
    "length",
    "lookup",
    "merge",
    "range",
    "reverse",
    "setintersection",
    "setproduct",
    "setunion",
    "slice",
    "sort",
    "values",
    "zipmap",
    "base64decode",
    "base64encode",
    "base64gzip",
    "csvdecode",
    "jsondecode",
    "jsonencode",
    "textdecodebase64",
    "textencodebase64",
    "urlencode",
    "yamldecode",
    "yamlencode",
    "abspath",
    "basename",
    "dirname",
    "file",
    "filebase64",
    "fileexists",
    "fileset",
    "pathexpand",
    "templatefile",
    "formatdate",
    "timeadd",
    "timestamp",
    "legacy_isotime",
    "legacy_strftime",
    "rfc3339_parse",
    "unix_timestamp_parse",
    "bcrypt",
    "md5",
    "sha1",
    "sha256",
    "sha512",
    "rsadecrypt",
    "uuidv4",
    "uuidv5",
    "cidrhost",
    "cidrnetmask",
    "cidrsubnet",
    "cidrsubnets",
    "can",
    "try",
    "convert",
    "consul_key",
    "vault",
    "aws_secretsmanager",
    "aws_secretsmanager_raw",
];

/// What Terraform has and Packer doesn't.
const ABSENT: [&str; 34] = [
    "tostring",
    "tonumber",
    "tobool",
    "tolist",
    "toset",
    "tomap",
    "one",
    "nonsensitive",
    "sensitive",
    "issensitive",
    "type",
    "setsubtract",
    "matchkeys",
    "transpose",
    "timecmp",
    "plantimestamp",
    "ephemeralasnull",
    "templatestring",
    "base64sha256",
    "base64sha512",
    "filemd5",
    "filesha1",
    "filesha256",
    "filesha512",
    "filebase64sha256",
    "filebase64sha512",
    "uuid",
    "env",
    "ends_with",
    "user",
    "isotime",
    "timeout",
    "cidrcontains",
    "replace_all",
];

fn with(expression: &str) -> String {
    hcl(&format!("source \"null\" \"a\" {{\n x = {expression}\n}}\nbuild {{ sources = [\"null.a\"] }}\n"))
}

#[test]
fn there_are_packers_functions_and_no_others() {
    let is_known = |name: &str| !with(&format!("{name}()")).contains("Call to unknown function");
    let missing: Vec<_> = FUNCTIONS.iter().filter(|name| !is_known(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let strange: Vec<_> = ABSENT.iter().filter(|name| is_known(name)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn signatures_are_packers_where_terraforms_differ() {
    let cases = [
        ("convert([\"a\", \"a\"], set(string))", "{\"a\"}"),
        ("lookup({a = 1}, \"b\", 2)", "2"),
        ("replace(\"a/b/\", \"/b/\", \"x\")", "\"ax\""),
        ("coalesce(\"\", null, \"x\")", "\"x\""),
        ("length(\"e\u{301}👍🏽\")", "2"),
        ("jsonencode(\"<a>&\")", r#""\"\\u003ca\\u003e\\u0026\"""#),
        ("yamlencode({a = 1})", r#""\"a\": 1\n""#),
        ("title(\"o'neil is here\")", "\"O'Neil Is Here\""),
        ("uuidv5(\"dns\", \"x.y\")", "\"81d6e2b1-e0a7-5bf9-a5d8-b4bcb4d8a0f8\""),
        ("rfc3339_parse(\"2020-02-03 04:05:06.7Z\").unix", "1580702706"),
        ("unix_timestamp_parse(0).rfc3339", "\"1970-01-01T00:00:00Z\""),
        ("try(local.absent, \"x\")", "\"x\""),
        ("can(convert(\"x\", number))", "false"),
    ];
    for (expression, value) in cases {
        let shown = value_shown(&with(expression));
        if expression.starts_with("uuidv5") {
            assert_eq!(shown.len(), value.len(), "{shown}");
        } else {
            assert_eq!(shown, value, "{expression}");
        }
    }
    let wrong = [
        "lookup({a = 1}, \"a\")",
        "element([1], -1)",
        "coalesce(null, \"\")",
        "unix_timestamp_parse(1.5)",
        "vault(\"a\")",
        "aws_secretsmanager(\"a\")",
    ];
    for expression in wrong {
        assert!(with(expression).contains("Error"), "{expression}: {}", with(expression));
    }
}
