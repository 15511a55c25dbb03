//! Calls of encoding and hash functions, and what they yield.

use super::*;
use crate::function::hash::bcrypt;

#[test]
fn json() {
    check(&[
        (
            "jsonencode",
            r#"{"b": [1, 2.50, null, true], "a": "<é\"\n>"}"#,
            r#""{\"a\":\"\\u003cé\\\"\\n\\u003e\",\"b\":[1,2.5,null,true]}""#,
        ),
        ("jsonencode", "null", r#""null""#),
        (
            "jsondecode",
            r#""{\"a\": [1e3, -0.5, \"\\u00e9\\ud83d\\ude00\\/\"]}""#,
            r#"{"a":[1000,-0.5,"é😀/"]}"#,
        ),
        ("jsondecode", r#""12345678901234567890.123456789""#, "12345678901234567890.123456789"),
    ]);
    check_errors(&[
        ("jsondecode", r#""""#, "unexpected end of JSON input"),
        ("jsondecode", r#""{a: 1}""#, "expected a key in double quotes"),
        ("jsondecode", r#""[1,]""#, "expected a value"),
        ("jsondecode", r#""[1] 2""#, "expected nothing after the JSON value"),
        ("jsondecode", r#""01""#, "expected nothing after"),
        ("jsondecode", r#""\"\\x\"""#, "expected an escape"),
        ("jsondecode", r#""1e999999999""#, "too large"),
    ]);
    let deep = Value::string("[".repeat(100_000));
    assert!(pure_call("jsondecode", &[deep]).unwrap_err().message.contains("nested deeper"));
}

#[test]
fn base64_and_urls() {
    check(&[
        ("base64encode", r#""Hello é""#, r#""SGVsbG8gw6k=""#),
        ("base64decode", r#""SGVs\nbG8gw6k=""#, r#""Hello é""#),
        ("urlencode", r#""a b&c/é~-_.""#, r#""a+b%26c%2F%C3%A9~-_.""#),
        ("textencodebase64", r#""Hi", "UTF-16LE""#, r#""SABpAA==""#),
        ("textdecodebase64", r#""SABpAA==", "utf-16le""#, r#""Hi""#),
        ("textencodebase64", r#""é", "ISO-8859-1""#, r#""6Q==""#),
        ("textencodebase64", r#""é€", "windows-1252""#, r#""6YA=""#),
        ("textdecodebase64", r#""g2WDWA==", "Shift_JIS""#, r#""テス""#),
    ]);
    check_errors(&[
        ("base64decode", r#""!""#, "failed to decode base64 data"),
        ("base64decode", r#""/w==""#, "not valid UTF-8"),
        ("textencodebase64", r#""é", "nope""#, "not a supported IANA encoding name"),
        ("textencodebase64", r#""日", "windows-1252""#, "characters that the encoding does not have"),
        ("textdecodebase64", r#""SAA=x", "utf-8""#, "failed to decode base64 data"),
    ]);
}

#[test]
fn gzip_unpacks_to_what_went_in() {
    use std::io::Read;
    let packed = pure_call("base64gzip", &["hello hello hello".into()]).unwrap();
    let bytes = encoding::decode_base64(packed.as_str().unwrap()).unwrap();
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello hello hello");
}

#[test]
fn csv() {
    check(&[
        (
            "csvdecode",
            r#""a,b\n1,2\r\n\n\"x,\"\"y\"\"\n\",\n""#,
            r#"[{"a":"1","b":"2"},{"a":"x,\"y\"\n","b":""}]"#,
        ),
        ("csvdecode", r#""a,b""#, "[]"),
    ]);
    check_errors(&[
        ("csvdecode", r#""""#, "missing header line"),
        ("csvdecode", r#""a,a""#, "duplicate column name \"a\""),
        ("csvdecode", r#""a,b\n1""#, "CSV parse error on line 2: wrong number of fields"),
        ("csvdecode", r#""a\nx\"y""#, "CSV parse error on line 2: bare \" in non-quoted field"),
        ("csvdecode", r#""a\n\"x""#, "extraneous or missing"),
    ]);
}

#[test]
fn yaml_is_written_as_libyaml_does() {
    let long = "x".repeat(70);
    let cases = [
        (r#"true"#, "true\n...\n".to_owned()),
        (r#""hello""#, "\"hello\"\n".to_owned()),
        (r#""hello\nworld""#, "|-\n  hello\n  world\n".to_owned()),
        (r#"{}"#, "{}\n".to_owned()),
        (r#"["b", 1.50, null]"#, "- \"b\"\n- 1.5\n- null\n".to_owned()),
        (
            r#"{"a": {"b": [1, {"c": [], "d": "x"}]}, "e": [[1, 2], [3]]}"#,
            "\"a\":\n  \"b\":\n  - 1\n  - \"c\": []\n    \"d\": \"x\"\n\"e\":\n- - 1\n  - 2\n- - 3\n"
                .to_owned(),
        ),
        (r#"{"s": "a\n\n b\n"}"#, "\"s\": |\n  a\n\n   b\n".to_owned()),
        (r#"{"s": " a\n\n"}"#, "\"s\": |2+\n   a\n\n".to_owned()),
        (r#"{"s": "a \nb\tc\u00e9😀"}"#, "\"s\": \"a \\nb\\tcé\\U0001F600\"\n".to_owned()),
    ];
    for (json, yaml) in cases {
        let value = pure_call("jsondecode", &[json.into()]).unwrap();
        assert_eq!(pure_call("yamlencode", &[value]).unwrap(), yaml.into(), "{json}");
    }
    let folded = Value::object([("k".to_owned(), Value::from(format!("{long} {long} y")))]);
    let yaml = format!("\"k\": \"{long} {long}\n  y\"\n");
    assert_eq!(pure_call("yamlencode", &[folded]).unwrap(), yaml.into());
}

#[test]
fn yaml_is_read_by_the_core_rules() {
    let cases = [
        ("---\n...", "null"),
        ("|-\n true", r#""true""#),
        ("a: 1\nb: [x, 'y', \"yes\", yes, ~]", r#"{"a":1,"b":["x","y","yes",true,null]}"#),
        ("- 0x1f\n- 0o17\n- 1_000\n- +12\n- .5\n- 1e3\n- 010", r#"[31,15,"1_000",12,0.5,1000,10]"#),
        ("2020-1-2", r#""2020-01-02T00:00:00Z""#),
        ("2020-01-02 3:4:5.9", r#""2020-01-02T03:04:05Z""#),
        ("2020-01-02T03:04:05+02:00", r#""2020-01-02T03:04:05+02:00""#),
        ("2020-13-02", r#""2020-13-02""#),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}", r#"{"a":{"b":1},"c":{"b":1},"d":{"b":1,"e":2}}"#),
        ("!!str 12", r#""12""#),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y", r#"{"a":"x\ny\n","b":"x y"}"#),
        ("1: a\ntrue: b", r#"{"1":"a","true":"b"}"#),
    ];
    for (yaml, json) in cases {
        let value = pure_call("yamldecode", &[yaml.into()]).unwrap();
        assert_eq!(json::encode(&value).unwrap(), json, "{yaml}");
    }
    let errors = [
        ("", "missing start of document"),
        ("a: [", "on line"),
        ("--- a\n--- b", "only a single document is allowed"),
        ("[a]: b", "only strings are allowed as mapping keys"),
        ("~: b", "mapping key cannot be null"),
        ("!x 1", "unsupported tag"),
        (".inf", "infinite"),
        ("a: *x", "on line"),
        ("!!int x", "cannot parse \"x\" as !!int"),
    ];
    for (yaml, wanted) in errors {
        let error = pure_call("yamldecode", &[yaml.into()]).unwrap_err();
        assert!(error.message.contains(wanted), "{yaml}: {error}");
    }
}

#[test]
fn yaml_bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..9 {
        let before = i - 1;
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{before}"); 10].join(",")));
    }
    assert!(pure_call("yamldecode", &[bomb.into()]).unwrap_err().message.contains("yields more than"));
    assert!(pure_call("yamldecode", &["[".repeat(5000).into()]).is_err());
}

#[test]
fn digests() {
    check(&[
        ("md5", r#""hello""#, r#""5d41402abc4b2a76b9719d911017c592""#),
        ("sha1", r#""hello""#, r#""aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d""#),
        ("sha256", r#""hello""#, r#""2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824""#),
        ("uuidv5", r#""dns", "example.com""#, r#""cfbff0d1-9375-5685-968c-48ce8b15ae17""#),
        (
            "uuidv5",
            r#""6ba7b810-9dad-11d1-80b4-00c04fd430c8", "example.com""#,
            r#""cfbff0d1-9375-5685-968c-48ce8b15ae17""#,
        ),
    ]);
    assert!(shown("sha512", r#""hello""#).starts_with(r#""9b71d224bd62f378"#));
    check_errors(&[("uuidv5", r#""nope", "x""#, "doesn't support namespace nope")]);
}

#[test]
fn bcrypt_uses_the_given_salt() {
    // A vector of the original implementation, whose salt is written CCCCCCCCCCCCCCCCCCCCC.
    let mut salt = [0; 16];
    for (i, byte) in salt.iter_mut().enumerate() {
        *byte = [0x10, 0x41, 0x04][i % 3];
    }
    let function = bcrypt(move || salt);
    let hash = call(&function, &["U*U".into(), 5.into()]).unwrap();
    assert_eq!(hash, "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".into());
    assert!(call(&function, &["x".into()]).unwrap().as_str().unwrap().starts_with("$2a$10$"));
    assert!(call(&function, &["x".into(), 31.into()]).is_err());
    assert!(call(&function, &[Value::string("x".repeat(73))]).is_err());
}

#[test]
fn rsa_secrets_are_decrypted() {
    let plain = pure_call("rsadecrypt", &[CIPHERTEXT.into(), KEY.into()]);
    assert_eq!(plain, Ok("Administrator1!".into()));
    let broken = |ciphertext: &str, key: &str| {
        pure_call("rsadecrypt", &[ciphertext.into(), key.into()]).unwrap_err().message
    };
    assert!(broken("AAAA", KEY).contains("not made for this key"));
    assert!(broken(CIPHERTEXT, "").contains("no key found"));
    assert!(
        broken(CIPHERTEXT, "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED")
            .contains("password protected")
    );
}

/// Made for this test and used nowhere else.
const KEY: &str = "\
-----BEGIN RSA PRIVATE KEY-----\n\
MIICXAIBAAKBgQC98DCK9q13Hh7GdFfA6JpP3l0ZZ4JF8cgcLor64l11pMJh299L\n\
3m2cJqvL/bHfYn7yi1iG9z7bBkgEqwBnzDSe5MlG9AByde567y3rTbZMfrtfA5sD\n\
sYs3Od7puzVHo9fCVIhE2CkVBX3BbDal53DnywkHpjt8HW80WaGG/KxgPQIDAQAB\n\
AoGAB4PWV9k0uc7ORunZgv9xA5H3uwaWZ/AOC9dnlk+YhQwUyMxrRFQzoAcDqxmJ\n\
jR4Xib8rrINh0EaqWMzvQiwZNNKdClBExqngmWmX80sK8GAPmE61j9PLB4F9NYAE\n\
NSZjYRq0lB/ckhLO0dIfbbyDK6sUEGfz7MrmKrsxbD8lVKECQQD7aB57eC0F0a4o\n\
D06bdQ5SgFu5i4nxLmoqYQ5JSDjV2ZAxOmIYEXoqWambnbVN7sPc30Ag1nA6pM1d\n\
Zvjz8ksJAkEAwWiR4ZHBeUSoOsrNw7To+JlcHScEuXc6/dj7ziqMbP2OC3GLCXoK\n\
38quxk4eUPP0hEFTz5rgwml9EI0lbPoUlQJBAJM9vLSVgtDoqDZAGMrFeNjq4k2+\n\
ItEFXRpq84IJ8XeVz3R1fCQagFEzaDmC2T/GeiHvAtD4poxCHyD4ARBmtHkCQFTP\n\
R/kD8zT8GFD/kU8aS3aHuU7HR1kUoXei6Hg1TDKW1OzLs05Kh+4ucIlgxAZ3k2dT\n\
Ri8pGRnnLAJQAnNRDikCQF+sE25gG2FJ8SR1GOSON4CKCQE73FOFeKF+T/I05osu\n\
LEHuSei/cVCDitAZxYtgkzOFeTcvuQDvHxZ5sVRnLxg=\n\
-----END RSA PRIVATE KEY-----\n\
";
const CIPHERTEXT: &str = "TXqNipXUXqBTACHAdXQFfMjJxRqoMvdTsFRsAg7JB8Sx9M/v3MsYfNsuzHYLDWewcMCyp4Xa1n2ZVzitLfpQzz\n\
c/IXjOfVeGH1pdJmP7O/Y9M0I3woaFEo62Ml3m4szbP7+uX3BWZx3bUX4MTC6h6SZNhCiuyadKV/51WDp1dII=";
