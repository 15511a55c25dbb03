//! Calls as templates write them, with arguments in JSON (so lists are tuples and maps are objects until a
//! parameter converts them) and results in JSON.

use super::*;
use crate::convert::convert;

mod encodings;
mod lists;
mod texts;
mod times;

/// Calls a function the way the evaluator does.
fn call(function: &Function, args: &[Value]) -> Result<Value, FunctionError> {
    let least = function.parameters.len() - function.optional;
    let most = if function.rest.is_some() { usize::MAX } else { function.parameters.len() };
    if args.len() < least || args.len() > most {
        return Err(FunctionError::new(format!("takes {least} arguments")));
    }
    let parameters = function.parameters.iter().chain(function.rest.iter().cycle());
    let mut converted = Vec::new();
    for (index, (arg, parameter)) in args.iter().zip(parameters).enumerate() {
        if arg.is_null() && !parameter.allow_null {
            return Err(FunctionError::argument(index, "argument must not be null"));
        }
        if !arg.is_known() && !parameter.allow_unknown {
            return Ok(Value::unknown(function.returns.clone()));
        }
        let value = convert(arg, &parameter.ty).map_err(|e| FunctionError::argument(index, e.to_string()))?;
        converted.push(value);
    }
    (function.body)(&converted)
}

fn pure_call(name: &str, args: &[Value]) -> Result<Value, FunctionError> {
    call(pure().get(name).unwrap_or_else(|| panic!("no function {name}")), args)
}

/// The result as JSON, or `error: …`.
fn shown(name: &str, args: &str) -> String {
    let args = pure_call("jsondecode", &[Value::from(format!("[{args}]"))]).unwrap();
    let result = pure_call(name, args.as_items().unwrap()).and_then(|value| json::encode(&value));
    result.unwrap_or_else(|e| format!("error: {e}"))
}

fn check(cases: &[(&str, &str, &str)]) {
    for (name, args, wanted) in cases {
        assert_eq!(shown(name, args), *wanted, "{name}({args})");
    }
}

fn check_errors(cases: &[(&str, &str, &str)]) {
    for (name, args, wanted) in cases {
        let shown = shown(name, args);
        assert!(shown.starts_with("error: ") && shown.contains(wanted), "{name}({args}): {shown}");
    }
}

#[test]
fn every_pure_function_of_packer_is_here_and_no_other() {
    let names = "abs alltrue anytrue base64decode base64encode base64gzip basename ceil chomp chunklist cidrhost \
                 cidrnetmask cidrsubnet cidrsubnets coalesce coalescelist compact concat contains csvdecode dirname \
                 distinct element endswith flatten floor format formatdate formatlist indent index join jsondecode \
                 jsonencode keys length log lookup lower max md5 merge min parseint pow range regex regex_replace \
                 regexall replace reverse rfc3339_parse rsadecrypt setintersection setproduct setunion sha1 sha256 \
                 sha512 signum slice sort split startswith strcontains strrev substr sum textdecodebase64 \
                 textencodebase64 timeadd title trim trimprefix trimspace trimsuffix unix_timestamp_parse upper \
                 urlencode uuidv5 values yamldecode yamlencode zipmap";
    assert_eq!(
        pure().names().collect::<Vec<_>>().join(" "),
        names.split_whitespace().collect::<Vec<_>>().join(" ")
    );
}

#[test]
fn errors_do_not_tell_secrets() {
    let secret = Value::from("hunter2").marked(true);
    let error = pure_call("parseint", &[secret, 10.into()]).unwrap_err();
    assert_eq!(error.argument, Some(0));
    assert!(!error.message.contains("hunter2"), "{error}");
}

#[test]
fn numbers() {
    check(&[
        ("abs", "-1.5", "1.5"),
        ("ceil", "1.2", "2"),
        ("ceil", "-1.2", "-1"),
        ("floor", "-1.2", "-2"),
        ("log", "8, 2", "3"),
        ("max", "1, 12, 3.5", "12"),
        ("min", "1, -12, 3.5", "-12"),
        ("parseint", r#""ff", 16"#, "255"),
        ("parseint", r#""-FF", 16"#, "-255"),
        ("parseint", r#""Z", 62"#, "61"),
        ("parseint", r#""123456789012345678901234567890", 10"#, "123456789012345678901234567890"),
        ("pow", "2, 10", "1024"),
        ("pow", "2, -1", "0.5"),
        ("pow", "2, 64", "18446744073709552000"),
        ("signum", "-5", "-1"),
        ("sum", r#"[0.1, 0.2, "3"]"#, "3.3"),
    ]);
    check_errors(&[
        ("max", "", "must pass at least one number"),
        ("parseint", r#""12", 63"#, "base must be a whole number between 2 and 62 inclusive"),
        ("parseint", r#""g", 16"#, "cannot parse \"g\" as a base 16 integer"),
        ("parseint", "12, 10", "first argument must be a string"),
        ("signum", "0.5", "value must be a whole number"),
        ("sum", "[]", "cannot sum an empty list"),
        ("log", "0, 10", "infinite or no number"),
        ("pow", "10, 400", "infinite or no number"),
    ]);
}

#[test]
fn networks() {
    check(&[
        ("cidrhost", r#""10.12.127.0/20", 16"#, r#""10.12.112.16""#),
        ("cidrhost", r#""10.12.127.0/20", -1"#, r#""10.12.127.255""#),
        ("cidrhost", r#""fd00:fd12:3456:7890:00a2::/72", 34"#, r#""fd00:fd12:3456:7890::22""#),
        ("cidrhost", r#""0.0.0.0/0", 4294967295"#, r#""255.255.255.255""#),
        ("cidrnetmask", r#""172.16.0.0/12""#, r#""255.240.0.0""#),
        ("cidrnetmask", r#""fd00::/64""#, r#""ffff:ffff:ffff:ffff::""#),
        ("cidrsubnet", r#""172.16.0.0/12", 4, 2"#, r#""172.18.0.0/16""#),
        ("cidrsubnet", r#""fd00::/48", 16, 162"#, r#""fd00:0:0:a2::/64""#),
        (
            "cidrsubnets",
            r#""10.1.0.0/16", 4, 4, 8, 4"#,
            r#"["10.1.0.0/20","10.1.16.0/20","10.1.32.0/24","10.1.48.0/20"]"#,
        ),
        ("cidrsubnets", r#""10.1.0.0/16""#, "[]"),
    ]);
    check_errors(&[
        ("cidrhost", r#""10.0.0.0/30", 4"#, "prefix of 30 does not accommodate a host numbered 4"),
        ("cidrhost", r#""10.0.0.0/30", -5"#, "does not accommodate"),
        ("cidrhost", r#""10.0.0.0", 4"#, "invalid CIDR expression"),
        ("cidrhost", r#""10.0.0.0/33", 4"#, "invalid CIDR expression"),
        ("cidrsubnet", r#""10.0.0.0/30", 4, 0"#, "insufficient address space to extend prefix of 30 by 4"),
        ("cidrsubnet", r#""10.0.0.0/8", 4, 16"#, "does not accommodate a subnet numbered 16"),
        ("cidrsubnets", r#""10.0.0.0/24", 1, 1, 1"#, "not enough remaining address space"),
        ("cidrsubnets", r#""255.255.255.0/24", 1, 1, 1"#, "not enough remaining address space"),
        ("cidrsubnets", r#""10.0.0.0/24", 0"#, "must extend prefix by at least one bit"),
    ]);
}

#[test]
fn paths() {
    check(&[
        ("basename", r#""/a/b.txt""#, r#""b.txt""#),
        ("basename", r#""a/b/""#, r#""b""#),
        ("basename", r#""""#, r#"".""#),
        ("basename", r#""//""#, r#""/""#),
        ("dirname", r#""/a/b.txt""#, r#""/a""#),
        ("dirname", r#""b.txt""#, r#"".""#),
        ("dirname", r#""a/../../b//c""#, r#""../b""#),
        ("dirname", r#""/../a""#, r#""/""#),
        ("dirname", r#""a/b/""#, r#""a/b""#),
    ]);
}
