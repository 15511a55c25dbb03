//! Questions to stores that answer from tables.

use std::collections::HashMap;

use kiln_plan::SecretQuestion;
use kiln_tests::store::{Asked, Store};

use super::{Environment, SecretError, SecretStores};

const TOKEN: &str = "tok-e-n-of-mine";

fn vault(path: &str, key: &str) -> SecretQuestion {
    SecretQuestion::Vault { path: path.to_owned(), key: key.to_owned() }
}

fn consul(key: &str) -> SecretQuestion {
    SecretQuestion::Consul { key: key.to_owned() }
}

fn aws(name: &str, key: Option<&str>) -> SecretQuestion {
    SecretQuestion::Aws { name: name.to_owned(), key: key.map(str::to_owned) }
}

fn raw(name: &str) -> SecretQuestion {
    SecretQuestion::AwsRaw { name: name.to_owned() }
}

/// The answer, or what is told instead.
async fn said(environment: Environment, question: &SecretQuestion) -> String {
    shown(SecretStores::new(environment).answer(question).await)
}

fn shown(outcome: Result<kiln_plan::Sensitive<String>, SecretError>) -> String {
    match outcome {
        Ok(answer) => answer.reveal().clone(),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn expect(said: &str, expected: &str, place: &Store) {
    let said = said.replace(&place.url(), "HERE");
    assert!(!said.contains(TOKEN), "{said}");
    assert_eq!(said, expected);
}

#[tokio::test]
async fn vault_answers_for_both_versions_of_its_engine() {
    let hint = "for version 2 of the key-value engine the path has \"data\" after the engine's name";
    let v2 = r#"{"data": {"data": {"k": "v", "n": 5, "b": true, "l": []}, "metadata": {"version": 1}}}"#;
    let v1 = r#"{"data": {"k": "old", "data": "odd", "value": "x"}, "warnings": null}"#;
    let table = [
        (200, v2, "k", "v".to_owned()),
        (200, v2, "n", "5".to_owned()),
        (200, v2, "b", "true".to_owned()),
        (200, v2, "l", "the value of \"l\" in Vault's secret at \"p\" isn't text".to_owned()),
        (200, v2, "none", r#"Vault's secret at "p" has no key "none"; it has "k", "n", "b", "l""#.to_owned()),
        (200, v1, "k", "old".to_owned()),
        (200, v1, "data", "odd".to_owned()),
        (
            200,
            v1,
            "none",
            r#"Vault's secret at "p" has no key "none"; it has "k", "data", "value""#.to_owned(),
        ),
        (
            404,
            r#"{"data": {"data": null, "metadata": {"version": 2}}}"#,
            "k",
            "the newest version of the secret at \"p\" is deleted in Vault".to_owned(),
        ),
        (404, r#"{"errors": []}"#, "k", format!("Vault has no secret at \"p\"; {hint}")),
        (
            404,
            r#"{"warnings": ["Invalid path. See the API docs."]}"#,
            "k",
            format!("Vault has no secret at \"p\" (Invalid path. See the API docs); {hint}"),
        ),
        (
            403,
            r#"{"errors": ["1 error occurred:\n\t* permission denied\n\n", "for tok-e-n-of-mine"]}"#,
            "k",
            "Vault at HERE refused with status 403: 1 error occurred: * permission denied; for <sensitive>"
                .to_owned(),
        ),
        (503, "no JSON", "k", "Vault at HERE refused with status 503".to_owned()),
        (307, "", "k", "Vault at HERE refused with status 307".to_owned()),
        (200, "<html>", "k", "cannot ask Vault at HERE: its answer isn't what the API promises".to_owned()),
    ];
    for (status, body, key, expected) in table {
        let store = Store::start(move |_| (status, body.to_owned()));
        let environment = Environment::from_iter([("VAULT_ADDR", &*store.url()), ("VAULT_TOKEN", TOKEN)]);
        expect(&said(environment, &vault("p", key)).await, &expected, &store);
    }
}

#[tokio::test]
async fn vault_is_asked_as_its_own_client_asks() {
    let store = Store::start(|_| (200, r#"{"data": {"k": "v"}}"#.to_owned()));
    let address = format!("{}/behind/", store.url());
    let variables = [("VAULT_ADDR", &*address), ("VAULT_TOKEN", TOKEN), ("VAULT_NAMESPACE", "team/a")];
    assert_eq!(said(Environment::from_iter(variables), &vault("/secret//data/a b?c", "k")).await, "v");
    let asked = &store.asked()[0];
    assert_eq!((&*asked.method, &*asked.path), ("GET", "/behind/v1/secret/data/a%20b%3Fc"));
    let headers = ["x-vault-token", "x-vault-namespace", "x-vault-request"].map(|name| asked.header(name));
    assert_eq!(headers, [TOKEN, "team/a", "true"]);
}

#[tokio::test]
async fn settings_that_can_not_work_are_told_before_anybody_is_asked() {
    let no_file = "/none/of/these.pem: No such file or directory (os error 2)";
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let table: [(Variables<'_>, SecretQuestion, String); 12] = [
        (
            &[],
            vault("p", "k"),
            "VAULT_TOKEN isn't set; set it to a token that may read the secret, to use the vault function"
                .into(),
        ),
        (
            &[("VAULT_TOKEN", "t"), ("VAULT_ADDR", "vault.example:8200")],
            vault("p", "k"),
            "VAULT_ADDR can't be used: it must begin with http:// or https://".into(),
        ),
        (
            &[("VAULT_TOKEN", "t"), ("VAULT_ADDR", "")],
            vault("p", "k"),
            "cannot ask Vault at https://127.0.0.1:8200: ".into(),
        ),
        (
            &[("VAULT_TOKEN", "t"), ("VAULT_SKIP_VERIFY", "perhaps")],
            vault("p", "k"),
            "VAULT_SKIP_VERIFY can't be used: it is neither true nor false".into(),
        ),
        (
            &[("VAULT_TOKEN", "t"), ("VAULT_CACERT", "/none/of/these.pem")],
            vault("p", "k"),
            format!("VAULT_CACERT can't be used: {no_file}"),
        ),
        (
            &[("VAULT_TOKEN", "t"), ("VAULT_CACERT_BYTES", "x")],
            vault("p", "k"),
            "VAULT_CACERT_BYTES can't be used: there are no PEM certificates in it".into(),
        ),
        (
            &[("VAULT_TOKEN", "t"), ("VAULT_CLIENT_KEY", "k")],
            vault("p", "k"),
            "VAULT_CLIENT_KEY can't be used: VAULT_CLIENT_CERT isn't set".into(),
        ),
        (
            &[("VAULT_TOKEN", "t\nu")],
            vault("p", "k"),
            "VAULT_TOKEN can't be used: it holds characters that no header can carry".into(),
        ),
        (
            &[("CONSUL_HTTP_TOKEN_FILE", "/none/of/these.pem")],
            consul("k"),
            format!("CONSUL_HTTP_TOKEN_FILE can't be used: {no_file}"),
        ),
        (
            &[("CONSUL_HTTP_ADDR", "tcp://x")],
            consul("k"),
            "CONSUL_HTTP_ADDR can't be used: it must begin with http:// or https://".into(),
        ),
        (&[], consul("/"), "consul_key needs the name of a key".into()),
        (&[], raw(""), "the name of an AWS secret must not be empty".into()),
    ];
    for (variables, question, expected) in table {
        let environment = Environment::from_iter(variables.iter().copied());
        let said = said(environment, &question).await;
        assert!(said.starts_with(&expected), "{said:?} isn't {expected:?}");
    }
}

#[tokio::test]
async fn consul_answers_with_what_is_not_empty() {
    let table = [
        (200, r#"[{"Key": "k", "Value": "dmFs\nw7w="}]"#.replace("\\n", ""), "val\u{fc}"),
        (200, r#"[{"Key": "k", "Value": null}]"#.to_owned(), "the value of \"a/k\" in Consul is empty"),
        (200, r#"[{"Key": "k", "Value": ""}]"#.to_owned(), "the value of \"a/k\" in Consul is empty"),
        (200, r#"[{"Key": "k", "Value": "/w=="}]"#.to_owned(), "the value of \"a/k\" in Consul isn't text"),
        (200, "[]".to_owned(), "cannot ask Consul at HERE: its answer isn't what the API promises"),
        (404, String::new(), "Consul has no key \"a/k\""),
        (
            403,
            format!("Permission denied: {TOKEN} may not\nread"),
            "Consul at HERE refused with status 403: Permission denied: <sensitive> may not",
        ),
    ];
    for (status, body, expected) in table {
        let store = Store::start(move |_| (status, body.clone()));
        let environment =
            Environment::from_iter([("CONSUL_HTTP_ADDR", &*store.url()), ("CONSUL_HTTP_TOKEN", TOKEN)]);
        expect(&said(environment, &consul("/a/k")).await, expected, &store);
        assert_eq!(store.asked()[0].path, "/v1/kv/a/k");
    }
}

#[tokio::test]
async fn consul_is_asked_as_its_own_client_asks() {
    let store = Store::start(|_| (200, r#"[{"Value": "eA=="}]"#.to_owned()));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "of-the-file\n").unwrap();
    let bare = store.url().replace("http://", "");
    let variables = [
        ("CONSUL_HTTP_ADDR", &*bare),
        ("CONSUL_HTTP_TOKEN", TOKEN),
        ("CONSUL_HTTP_TOKEN_FILE", file.to_str().unwrap()),
        ("CONSUL_HTTP_AUTH", "user:pass:word"),
        ("CONSUL_NAMESPACE", "n s"),
        ("CONSUL_PARTITION", "p"),
    ];
    assert_eq!(said(Environment::from_iter(variables), &consul("a//b c")).await, "x");
    let asked = &store.asked()[0];
    assert_eq!(asked.path, "/v1/kv/a//b%20c?ns=n+s&partition=p");
    assert_eq!(asked.header("x-consul-token"), "of-the-file");
    assert_eq!(asked.header("authorization"), "Basic dXNlcjpwYXNzOndvcmQ=");
    // What asks for TLS is never answered without.
    let plain = store.url();
    let said = said(
        Environment::from_iter([("CONSUL_HTTP_ADDR", &*plain), ("CONSUL_HTTP_SSL", "true")]),
        &consul("k"),
    )
    .await;
    assert!(said.starts_with("cannot ask Consul at https://127.0.0.1:"), "{said}");
    assert_eq!(store.asked().len(), 1);
}

fn with_keys(store: &Store) -> Environment {
    Environment::from_iter([
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret-access-key"),
        ("AWS_SESSION_TOKEN", TOKEN),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL", &*store.url()),
    ])
}

#[tokio::test]
async fn a_secret_of_aws_is_its_text_or_one_of_its_fields() {
    let table = [
        ("plain text", None, "plain text"),
        ("plain text", Some("k"), "plain text"),
        ("12345", None, "12345"),
        ("[1]", Some("k"), "the AWS secret \"s\" is no JSON object, so it has no keys"),
        (r#"{"a": "one"}"#, None, "one"),
        (r#"{"a": "one", "b": 2}"#, Some("a"), "one"),
        (r#"{"a": "one", "b": 2}"#, Some("b"), "2"),
        (r#"{"a": 5432.6}"#, None, "5433"),
        (r#"{"a": "one", "b": 2}"#, Some("c"), "the AWS secret \"s\" has no key \"c\""),
        (
            r#"{"a": "one", "b": 2}"#,
            None,
            "the AWS secret \"s\" has several keys; name one of them as the second argument",
        ),
        ("{}", None, "the AWS secret \"s\" has no keys"),
        (
            r#"{"a": {}}"#,
            None,
            "the AWS secret \"s\" holds neither text nor a number there; use aws_secretsmanager_raw",
        ),
    ];
    for (text, key, expected) in table {
        let body = serde_json::json!({ "Name": "s", "SecretString": text }).to_string();
        let store = Store::start(move |_| (200, body.clone()));
        let stores = SecretStores::new(with_keys(&store));
        expect(&shown(stores.answer(&aws("s", key)).await), expected, &store);
        assert_eq!(shown(stores.answer(&raw("s")).await), text);
        assert_eq!(store.asked().len(), 1, "a secret is fetched once");
    }
}

#[tokio::test]
async fn aws_is_asked_for_the_current_version_with_a_signature() {
    let store = Store::start(|_| (200, r#"{"SecretString": "x"}"#.to_owned()));
    assert_eq!(said(with_keys(&store), &aws("prod/db", None)).await, "x");
    let asked = &store.asked()[0];
    assert_eq!((&*asked.method, &*asked.path), ("POST", "/"));
    assert_eq!(asked.body, r#"{"SecretId":"prod/db","VersionStage":"AWSCURRENT"}"#);
    assert_eq!(asked.header("x-amz-target"), "secretsmanager.GetSecretValue");
    assert_eq!(asked.header("content-type"), "application/x-amz-json-1.1");
    assert_eq!(asked.header("x-amz-security-token"), TOKEN);
    let date = &asked.header("x-amz-date")[..8];
    let signed = format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{date}/eu-central-1/secretsmanager/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature="
    );
    assert!(asked.header("authorization").starts_with(&signed), "{asked:?}");
}

#[tokio::test]
async fn what_aws_says_is_told_without_credentials() {
    let table = [
        (
            400,
            r#"{"__type": "com.amazonaws#ResourceNotFoundException", "Message": "Secrets Manager can't find it"}"#,
            "AWS Secrets Manager has no secret \"s\" in eu-central-1, or its current version has no value",
        ),
        (
            400,
            r#"{"__type": "AccessDeniedException", "Message": "User arn:x is not authorized"}"#,
            "AWS Secrets Manager at HERE refused with status 400: AccessDeniedException: User arn:x is not authorized",
        ),
        (
            403,
            r#"{"__type": "InvalidSignatureException", "message": "no, tok-e-n-of-mine\nThe Canonical String"}"#,
            "AWS Secrets Manager at HERE refused with status 403: InvalidSignatureException: no, <sensitive>",
        ),
        (500, "", "AWS Secrets Manager at HERE refused with status 500"),
        (
            200,
            r#"{"SecretBinary": "eA=="}"#,
            "the AWS secret \"s\" is binary; only text can be used in a template",
        ),
        (200, "{}", "cannot ask AWS Secrets Manager at HERE: its answer isn't what the API promises"),
    ];
    for (status, body, expected) in table {
        let store = Store::start(move |_| (status, body.to_owned()));
        expect(&said(with_keys(&store), &aws("s", None)).await, expected, &store);
    }
}

/// A store that is also container, instance and token service: it hands out credentials whose access key tells their
/// origin.
fn aws_with_origins() -> Store {
    let keys = |access_key: &str| {
        format!(r#"{{"AccessKeyId": "{access_key}", "SecretAccessKey": "secret-key", "Token": "{TOKEN}"}}"#)
    };
    Store::start(move |asked: &Asked| {
        let with_token = asked.header("x-aws-ec2-metadata-token") == "metadata-token";
        let (_, signed) = asked.header("authorization").split_once("Credential=").unwrap_or_default();
        let key = signed.split('/').next().unwrap_or_default();
        match (&*asked.method, &*asked.path) {
            ("GET", "/container") if asked.header("authorization") == "let-me" => (200, keys("CONTAINER")),
            ("PUT", "/latest/api/token") => (200, "metadata-token".to_owned()),
            ("GET", "/latest/meta-data/iam/security-credentials/") if with_token => {
                (200, "role\n".to_owned())
            }
            ("GET", "/latest/meta-data/iam/security-credentials/role") if with_token => {
                (200, keys("INSTANCE"))
            }
            ("POST", "/") if asked.header("content-type").contains("form") => roles(asked, key),
            ("POST", "/") => {
                let region = signed.split('/').nth(2).unwrap_or_default();
                let text = serde_json::json!({ "SecretString": format!("{key} {region}") });
                (200, text.to_string())
            }
            _ => (404, String::new()),
        }
    })
}

/// What the token service says.
fn roles(asked: &Asked, key: &str) -> (u16, String) {
    let taker = match key {
        "" if asked.body.ends_with("&WebIdentityToken=of+the+file") => "IDENTITY",
        key => key,
    };
    let action = "Action=AssumeRole";
    let by_role =
        |arn: &str| asked.body.starts_with(action) && asked.body.contains(&format!("&RoleArn={arn}&"));
    if by_role("closed") {
        let message = format!("no, {TOKEN}");
        let error = format!("<Code>AccessDenied</Code>\n<Message>{message}</Message>");
        return (403, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"));
    }
    let name = if by_role("arn%3Aaws%3Ax%2Fy") { "ROLE" } else { "OTHER" };
    let id = if asked.body.ends_with("&ExternalId=e") { "E" } else { "" };
    let keys = format!(
        "<AccessKeyId>{name}{id}-OF-{taker}</AccessKeyId><SecretAccessKey>secret-key</SecretAccessKey>\
         <SessionToken>{TOKEN}</SessionToken>"
    );
    (200, format!("<R>\n<Credentials>{keys}</Credentials></R>"))
}

const CONFIG: &str = "\
[default]
region = of-default
[profile other]
region = of-other
[profile role]
role_arn = arn:aws:x/y
source_profile = other
external_id = e
[profile closed]
role_arn = closed
credential_source = Ec2InstanceMetadata
[profile chain]
role_arn = arn:aws:x/y
source_profile = role
[profile alone]
role_arn = arn:aws:x/y
[profile process]
credential_process = x
[profile bare]
region = of-bare
[profile half]
aws_access_key_id = x
";

const CREDENTIALS: &str = "\
[default]
aws_access_key_id = DEFAULT
aws_secret_access_key = s
[other]
aws_access_key_id = OTHER
aws_secret_access_key = s
[half]
region = r
";

/// Asks with these variables, in a home with AWS files.
async fn found(store: &Store, variables: &[(&str, &str)]) -> String {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    std::fs::write(home.path().join(".aws/config"), CONFIG).unwrap();
    std::fs::write(home.path().join(".aws/credentials"), CREDENTIALS).unwrap();
    std::fs::write(home.path().join("identity"), "of the file\n").unwrap();
    let mut all = HashMap::from([
        ("HOME".to_owned(), home.path().display().to_string()),
        ("AWS_ENDPOINT_URL".to_owned(), store.url()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT".to_owned(), store.url()),
    ]);
    let value = |value: &str| value.replace("HOME/", &format!("{}/", home.path().display()));
    all.extend(variables.iter().map(|(name, text)| ((*name).to_owned(), value(text))));
    let said = said(Environment::from_iter(all), &raw("s")).await;
    assert!(!said.contains(TOKEN), "{said}");
    said.replace(&store.url(), "HERE")
}

#[tokio::test]
async fn credentials_and_region_are_found_in_the_order_of_aws() {
    let store = aws_with_origins();
    let container = format!("{}/container", store.url());
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*container),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let-me"),
    ];
    let bare = ("AWS_PROFILE", "bare");
    let keys = [("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let identity = [("AWS_WEB_IDENTITY_TOKEN_FILE", "HOME/identity"), ("AWS_ROLE_ARN", "arn:aws:x/y")];
    let role = [("AWS_PROFILE", "role"), ("AWS_REGION", "r")];
    let table = [
        (vec![], "DEFAULT of-default"),
        (vec![("AWS_PROFILE", "other")], "OTHER of-other"),
        (vec![("AWS_DEFAULT_PROFILE", "other"), ("AWS_DEFAULT_REGION", "d")], "OTHER d"),
        (vec![("AWS_REGION", "r"), ("AWS_DEFAULT_REGION", "d")], "DEFAULT r"),
        (vec![keys[0], keys[1]], "ENV of-default"),
        (vec![keys[0], keys[1], identity[0], identity[1]], "ENV of-default"),
        (vec![identity[0], identity[1]], "ROLE-OF-IDENTITY of-default"),
        (vec![role[0], role[1]], "ROLEE-OF-OTHER r"),
        (vec![bare, container[0], container[1]], "CONTAINER of-bare"),
        (vec![bare], "INSTANCE of-bare"),
    ];
    for (variables, expected) in table {
        assert_eq!(found(&store, &variables).await, expected, "{variables:?}");
    }
}

#[tokio::test]
async fn credentials_that_can_not_be_used_are_told_and_not_passed_over() {
    let store = aws_with_origins();
    let advice = "which isn't built in; put credentials into the environment, for example by `aws configure \
                  export-credentials --format env`";
    let chain = format!("it asks for a role to be taken from another role, {advice}");
    let process = format!("it asks for credentials of a process, {advice}");
    let of_profile = [
        ("chain", &*chain),
        ("process", &process),
        ("alone", "it has a role, but neither source_profile nor credential_source"),
        ("half", "it has only one of aws_access_key_id and aws_secret_access_key"),
    ];
    for (profile, reason) in of_profile {
        let said = found(&store, &[("AWS_PROFILE", profile), ("AWS_REGION", "r")]).await;
        assert_eq!(said, format!("the AWS profile {profile:?} can't be used: {reason}"));
    }
    let bare = ("AWS_PROFILE", "bare");
    let table = [
        (
            vec![("AWS_ACCESS_KEY_ID", "ENV")],
            "AWS_SECRET_ACCESS_KEY isn't set; the other half of the AWS credentials is",
        ),
        (
            vec![bare, ("AWS_EC2_METADATA_DISABLED", "true")],
            "AWS_ACCESS_KEY_ID isn't set; and there are no AWS credentials in the profile, for this container or for \
             this instance",
        ),
        (
            vec![bare, ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/x")],
            "AWS_CONTAINER_CREDENTIALS_FULL_URI can't be used: without https only this machine's own addresses are \
             trusted",
        ),
        (
            vec![("AWS_PROFILE", "closed"), ("AWS_REGION", "r")],
            "the AWS Security Token Service at HERE refused with status 403: AccessDenied: no, <sensitive>",
        ),
        (
            vec![("AWS_WEB_IDENTITY_TOKEN_FILE", "HOME/identity")],
            "AWS_ROLE_ARN isn't set; AWS_WEB_IDENTITY_TOKEN_FILE is",
        ),
        (vec![("AWS_PROFILE", "none")], "AWS_PROFILE can't be used: no AWS file has a profile \"none\""),
        (
            vec![("AWS_REGION", "a.evil.example/")],
            "the AWS region can't be used: \"a.evil.example/\" is no name of one",
        ),
        (
            vec![("HOME", "/none")],
            "AWS_REGION isn't set; set it to the region of the secret, or `region` in the profile",
        ),
    ];
    for (variables, expected) in table {
        assert_eq!(found(&store, &variables).await, expected, "{variables:?}");
    }
}

#[tokio::test]
async fn each_secret_is_asked_for_once_whether_there_is_an_answer_or_not() {
    let store = Store::start(|asked| match asked.path.ends_with("/there") {
        true => (200, r#"{"data": {"a": "1", "b": "2"}}"#.to_owned()),
        false => (404, r#"{"errors": []}"#.to_owned()),
    });
    let stores =
        SecretStores::new(Environment::from_iter([("VAULT_ADDR", &*store.url()), ("VAULT_TOKEN", TOKEN)]));
    for (path, key) in [("there", "a"), ("there", "b"), ("none", "a"), ("there", "c"), ("none", "a")] {
        let _ = stores.answer(&vault(path, key)).await;
    }
    let paths: Vec<_> = store.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/v1/there", "/v1/none"]);
    assert!(!format!("{stores:?}").contains("tok-e-n"), "{stores:?}");
}

#[tokio::test]
async fn answers_have_a_bound() {
    let store = Store::start(|_| (200, "x".repeat((1 << 20) + 1)));
    let environment = Environment::from_iter([("VAULT_ADDR", &*store.url()), ("VAULT_TOKEN", TOKEN)]);
    let expected = "cannot ask Vault at HERE: its answer is longer than 1024 KiB";
    expect(&said(environment, &vault("p", "k")).await, expected, &store);
}
