//! Calls of functions on collections, and what they yield.

use super::*;

#[test]
fn collections() {
    check(&[
        ("alltrue", r#"[true, "true"]"#, "true"),
        ("alltrue", "[true, null]", "false"),
        ("alltrue", "[]", "true"),
        ("anytrue", "[false, true]", "true"),
        ("anytrue", "[]", "false"),
        ("coalesce", r#"null, "", "b", "c""#, r#""b""#),
        ("coalesce", r#"null, 1, "b""#, r#""1""#),
        ("coalescelist", r#"[], ["a"]"#, r#"["a"]"#),
        ("contains", r#"["a", "b"], "b""#, "true"),
        ("contains", r#"["1"], 1"#, "false"),
        ("coalesce", r#"null, [1], "a""#, "[1]"),
        ("contains", r#"[{"a": [1]}], {"a": [1.0]}"#, "true"),
        ("element", r#"["a", "b"], 3"#, r#""b""#),
        ("index", r#"["a", "b"], "b""#, "1"),
        ("length", r#"["a", "b"]"#, "2"),
        ("length", r#"{"a": 1}"#, "1"),
        ("length", r#""e\u0301x""#, "2"),
    ]);
    check_errors(&[
        ("coalesce", r#"null, """#, "no non-null, non-empty-string arguments"),
        ("coalesce", r#""a", []"#, "all arguments must have the same type"),
        ("coalescelist", "[], []", "no non-null arguments"),
        ("coalescelist", r#"["a"], "b""#, "coalescelist arguments must be lists or tuples"),
        ("contains", "[null], null", "must not be null"),
        ("contains", r#""ab", "a""#, "argument must be list, tuple, or set"),
        ("element", r#"["a"], -1"#, "negative index"),
        ("element", "[], 0", "cannot use element function with an empty list"),
        ("element", "{}, 0", "cannot read elements from object"),
        ("index", r#"["a"], "b""#, "item not found"),
        ("length", "1", "argument must be a string, a collection type, or a structural type"),
    ]);
}

#[test]
fn sequences() {
    check(&[
        ("chunklist", r#"["a", "b", "c"], 2"#, r#"[["a","b"],["c"]]"#),
        ("chunklist", r#"["a", "b"], 0"#, r#"[["a","b"]]"#),
        ("compact", r#"["a", "", null, "b"]"#, r#"["a","b"]"#),
        ("concat", r#"["a"], [1, {}]"#, r#"["a",1,{}]"#),
        ("distinct", r#"["b", "a", "b"]"#, r#"["b","a"]"#),
        ("distinct", "[[1], [1], [2]]", "[[1],[2]]"),
        ("flatten", r#"[["a"], [], ["b", ["c"]], "d"]"#, r#"["a","b","c","d"]"#),
        ("range", "3", "[0,1,2]"),
        ("range", "-2", "[0,-1]"),
        ("range", "1, 4", "[1,2,3]"),
        ("range", "4, 1, -2", "[4,2]"),
        ("range", "0, 1, 0.25", "[0,0.25,0.5,0.75]"),
        ("range", "2, 2", "[]"),
        ("reverse", r#"["a", 1]"#, r#"[1,"a"]"#),
        ("slice", r#"["a", "b", "c", "d"], 1, 3"#, r#"["b","c"]"#),
        ("sort", r#"["b", "a", "C", 1]"#, r#"["1","C","a","b"]"#),
    ]);
    check_errors(&[
        ("distinct", "[1, {}]", "all elements must have the same type"),
        ("chunklist", "[1], -1", "the size argument must be positive"),
        ("concat", "", "at least one argument is required"),
        ("concat", r#"["a"], "b""#, "all arguments must be lists or tuples; got string"),
        ("flatten", "{}", "can only flatten lists, sets and tuples"),
        ("range", "1025", "more than 1024 values were generated"),
        ("range", "0, 1, 0", "step must not be zero"),
        ("range", "0, 1, -1", "end must be less than start when step is negative"),
        ("slice", r#"["a"], 1, 0"#, "start index must not be greater than end index"),
        ("slice", r#"["a"], 0, 2"#, "end index must not be greater than the length of the list"),
        ("sort", r#"["a", null]"#, "given list element 1 is null"),
    ]);
}

#[test]
fn mappings() {
    check(&[
        ("keys", r#"{"b": 1, "a": 2}"#, r#"["a","b"]"#),
        ("values", r#"{"b": 1, "a": "x"}"#, r#"["x",1]"#),
        ("lookup", r#"{"a": 1}, "a", "x""#, "1"),
        ("lookup", r#"{"a": 1}, "b", "x""#, r#""x""#),
        ("merge", r#"{"a": 1, "b": 1}, null, {"b": "x"}"#, r#"{"a":1,"b":"x"}"#),
        ("merge", "", "{}"),
        ("zipmap", r#"["a", "b"], [1, "x"]"#, r#"{"a":1,"b":"x"}"#),
    ]);
    check_errors(&[
        ("keys", "[]", "must have map or object type"),
        ("values", r#""a""#, "values() requires a map"),
        ("lookup", r#"{}, "a""#, "takes 3 arguments"),
        ("lookup", r#"[], "a", 1"#, "lookup() requires a map"),
        ("merge", "{}, []", "arguments must be maps or objects"),
        ("zipmap", r#"["a"], []"#, "number of keys (1) does not match number of values (0)"),
        ("zipmap", r#"["a"], "b""#, "values argument must be a list or tuple value"),
    ]);
}

#[test]
fn sets() {
    check(&[
        ("setunion", r#"["b", "a"], ["c", 1]"#, r#"["1","a","b","c"]"#),
        ("setintersection", r#"["b", "a"], ["a", "c"], ["a"]"#, r#"["a"]"#),
        ("setproduct", r#"["a", "b"], [1, 2]"#, r#"[["a",1],["a",2],["b",1],["b",2]]"#),
        ("setproduct", r#"["a"], []"#, "[]"),
    ]);
    check_errors(&[
        ("setproduct", r#"["a"]"#, "at least two arguments are required"),
        ("setproduct", r#"["a"], "b""#, "a set or a list is required"),
        ("setunion", r#"["a"], [{}]"#, "given sets must all have compatible element types"),
    ]);
    let many = Value::tuple((0..1000).map(Value::from).collect());
    assert!(pure_call("setproduct", &[many.clone(), many.clone(), many]).is_err());
}

#[test]
fn types_of_results_follow_those_of_arguments() {
    let strings = Value::list(Type::String, vec!["a".into(), "a".into()]);
    let numbers = Value::list(Type::Number, vec![1.into()]);
    let map = convert(&Value::object([("a".to_owned(), 1.into())]), &Type::map(Type::Number)).unwrap();
    let ty = |name, args: &[Value]| pure_call(name, args).unwrap().ty().to_string();
    assert_eq!(ty("concat", &[strings.clone(), numbers.clone()]), "list(string)");
    assert_eq!(
        ty("concat", &[strings.clone(), Value::tuple(vec![1.into()])]),
        "tuple([string, string, number])"
    );
    assert_eq!(ty("distinct", std::slice::from_ref(&strings)), "list(string)");
    assert_eq!(ty("chunklist", &[strings.clone(), 1.into()]), "list(list(string))");
    assert_eq!(ty("keys", std::slice::from_ref(&map)), "list(string)");
    assert_eq!(ty("values", std::slice::from_ref(&map)), "list(number)");
    assert_eq!(ty("merge", &[map.clone(), map.clone()]), "map(number)");
    assert_eq!(ty("lookup", &[map.clone(), "x".into(), "5".into()]), "number");
    assert_eq!(ty("zipmap", &[strings.clone(), strings.clone()]), "map(string)");
    assert_eq!(ty("setunion", &[strings.clone(), numbers]), "set(string)");
    assert_eq!(ty("regexall", &["(a)".into(), "b".into()]), "list(tuple([string]))");
}

#[test]
fn what_is_not_known_yet_stays_so_without_harm() {
    let late = Value::unknown(Type::String);
    let partly = Value::tuple(vec!["a".into(), late.clone()]);
    for (name, args) in [
        ("upper", vec![late.clone()]),
        ("join", vec![",".into(), partly.clone()]),
        ("sort", vec![partly.clone()]),
        ("jsonencode", vec![partly.clone()]),
        ("format", vec!["%s".into(), late.clone()]),
        ("coalesce", vec![Value::null(), late.clone(), "b".into()]),
        ("contains", vec![partly.clone(), "b".into()]),
        ("setunion", vec![partly.clone()]),
    ] {
        assert!(!pure_call(name, &args).unwrap().is_known(), "{name}");
    }
    assert_eq!(pure_call("contains", &[partly.clone(), "a".into()]).unwrap(), true.into());
    assert_eq!(pure_call("length", std::slice::from_ref(&partly)).unwrap(), 2.into());
    assert_eq!(pure_call("element", &[partly, 0.into()]).unwrap(), "a".into());
    assert_eq!(pure_call("coalesce", &["a".into(), late]).unwrap(), "a".into());
}
