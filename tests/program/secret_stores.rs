//! `vault`, `consul_key` and `aws_secretsmanager`: the value arrives, nobody sees it, and who only looks asks for none.

use kiln_tests::program::Place;
use kiln_tests::store::{Answer, Asked, Store};

use super::place;

const VAULT: &str = "from-the-vault";
const CONSUL: &str = "from-the-consul";
const AWS: &str = "from-the-aws";
const TOKEN: &str = "token-of-the-stores";

/// A store of all three kinds.
fn store() -> Store {
    Store::start(|asked: &Asked| -> Answer {
        let secret_id = || serde_json::from_str::<serde_json::Value>(&asked.body).unwrap_or_default();
        match (&*asked.method, &*asked.path) {
            ("GET", _)
                if asked.header("x-vault-token") != TOKEN && asked.header("x-consul-token") != TOKEN =>
            {
                (403, r#"{"errors": ["permission denied"]}"#.to_owned())
            }
            ("GET", "/v1/secret/data/app") => {
                (200, format!(r#"{{"data": {{"data": {{"password": "{VAULT}"}}, "metadata": {{}}}}}}"#))
            }
            // "from-the-consul"
            ("GET", "/v1/kv/app/name") => (200, r#"[{"Value": "ZnJvbS10aGUtY29uc3Vs"}]"#.to_owned()),
            ("POST", "/") if secret_id()["SecretId"] == "app" => {
                (200, format!(r#"{{"SecretString": "{{\"user\": \"{AWS}\"}}"}}"#))
            }
            ("POST", "/") => (400, r#"{"__type": "ResourceNotFoundException"}"#.to_owned()),
            _ => (404, String::new()),
        }
    })
}

fn furnished(store: &Store) -> Place {
    let mut place = place();
    let address = store.url();
    let variables = [
        ("VAULT_ADDR", &*address),
        ("VAULT_TOKEN", TOKEN),
        ("CONSUL_HTTP_ADDR", &*address),
        ("CONSUL_HTTP_TOKEN", TOKEN),
        ("AWS_ENDPOINT_URL", &*address),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", TOKEN),
        ("PACKER_LOG_PATH", "log.txt"),
        ("KILN_LOG", "trace"),
    ];
    variables.iter().for_each(|(name, value)| place.set(name, value));
    place.write("t.pkr.hcl", HCL2);
    place.write("t.json", JSON);
    place
}

const HCL2: &str = r#"
locals {
  vault  = vault("secret/data/app", "password")
  consul = consul_key("app/name")
}
source "null" "a" {
  communicator = "none"
}
source "null" "b" {
  communicator = "none"
}
build {
  sources = ["null.a", "null.b"]
  provisioner "shell-local" {
    inline = [
      "echo got ${local.vault} ${local.consul} ${aws_secretsmanager("app", null)} | tee -a seen",
      "echo raw '${jsondecode(aws_secretsmanager_raw("app")).user}' | tee -a seen",
    ]
  }
  post-processor "manifest" {
    custom_data = { vault = local.vault, aws = aws_secretsmanager("app", "user") }
  }
}
"#;

const JSON: &str = r#"{
  "variables": {
    "vault": "{{vault `secret/data/app` `password`}}",
    "rest": "{{consul_key `app/name`}} {{aws_secretsmanager `app`}}",
    "raw": "{{aws_secretsmanager_raw `app`}}"
  },
  "builders": [{"type": "null", "communicator": "none"}],
  "provisioners": [{"type": "shell-local", "inline": ["echo got {{user `vault`}} {{user `rest`}} | tee -a seen"]}],
  "post-processors": [{"type": "manifest", "custom_data": {"vault": "{{user `vault`}}"}}]
}"#;

fn expect_hidden(place: &Place, shown: &str) {
    let all = [shown.to_owned(), place.read("log.txt"), place.read("packer-manifest.json")];
    for secret in [VAULT, CONSUL, AWS, TOKEN] {
        for text in &all {
            assert!(!text.contains(secret), "{secret} is in:\n{text}");
        }
    }
}

#[test]
fn a_build_gets_what_the_stores_keep_and_shows_none_of_it() {
    for template in ["t.pkr.hcl", "t.json"] {
        let store = store();
        let place = furnished(&store);
        let ran = place.run(["build", "-color=false", template]);
        ran.expect_code(0).expect("got <sensitive> <sensitive>");
        let seen = place.read("seen");
        assert!(seen.contains(&format!("got {VAULT} {CONSUL} {AWS}\n")), "{seen}");
        if template == "t.pkr.hcl" {
            assert!(seen.contains(&format!("raw {AWS}\n")), "{seen}");
            ran.expect("raw <sensitive>");
        }
        expect_hidden(&place, &ran.all());
        let mut paths: Vec<_> = store.asked().into_iter().map(|asked| asked.path).collect();
        paths.sort();
        assert_eq!(paths, ["/", "/v1/kv/app/name", "/v1/secret/data/app"], "each is asked for once");
        place.leftovers().expect_none();
    }
}

#[test]
fn a_console_answers_with_what_is_hidden() {
    let store = store();
    let place = furnished(&store);
    let table = [
        ("t.pkr.hcl", "vault(\"secret/data/app\", \"password\")", "<sensitive>\n"),
        ("t.pkr.hcl", "length(aws_secretsmanager(\"app\", \"user\")) > 0", "true\n"),
        ("t.pkr.hcl", "\"x ${local.consul}\"", "<sensitive>\n"),
        ("t.json", "x {{user `vault`}}", "x <sensitive>\n"),
    ];
    for (template, line, expected) in table {
        let ran = place.run_on(line, ["console", template]);
        assert_eq!((ran.code(), ran.stdout.as_str()), (0, expected), "{line}\n{}", ran.stderr);
    }
}

#[test]
fn who_only_looks_asks_nobody() {
    let store = store();
    let place = furnished(&store);
    let looking: [&[&str]; 6] = [
        &["validate", "-syntax-only", "t.pkr.hcl"],
        &["validate", "-syntax-only", "t.json"],
        &["inspect", "t.pkr.hcl"],
        &["inspect", "t.json"],
        &["fmt", "-check", "t.pkr.hcl"],
        &["init", "t.pkr.hcl"],
    ];
    for words in looking {
        place.run(words).expect_code(0).expect_not(VAULT);
    }
    assert_eq!(store.asked(), []);
    place.run(["inspect", "t.pkr.hcl"]).expect_not("local.vault");
    for template in ["t.pkr.hcl", "t.json"] {
        place.run(["validate", template]).expect_code(0);
    }
    assert!(!store.asked().is_empty());
}

#[test]
fn each_failure_has_a_sentence_at_its_place() {
    let store = store();
    let nobody = "http://127.0.0.1:1";
    let table = [
        (("VAULT_TOKEN", ""), "vault(\"a\", \"b\")", "VAULT_TOKEN isn't set; set it to a token"),
        (("VAULT_TOKEN", "other"), "vault(\"a\", \"b\")", "refused with status 403: permission denied"),
        (("VAULT_ADDR", nobody), "vault(\"a\", \"b\")", "cannot ask Vault at http://127.0.0.1:1: "),
        (("", ""), "vault(\"secret/none\", \"b\")", "Vault has no secret at \"secret/none\""),
        (("", ""), "vault(\"secret/data/app\", \"b\")", "has no key \"b\"; it has \"password\""),
        (("CONSUL_HTTP_ADDR", nobody), "consul_key(\"k\")", "cannot ask Consul at http://127.0.0.1:1: "),
        (("", ""), "consul_key(\"k\")", "Consul has no key \"k\""),
        (("AWS_REGION", ""), "aws_secretsmanager_raw(\"s\")", "AWS_REGION isn't set; set it to the region"),
        (("", ""), "aws_secretsmanager(\"s\", null)", "AWS Secrets Manager has no secret \"s\" in us-east-1"),
        (("", ""), "aws_secretsmanager(\"app\", \"k\")", "the AWS secret \"app\" has no key \"k\""),
    ];
    for ((variable, value), call, expected) in table {
        let mut place = furnished(&store);
        if !variable.is_empty() {
            place.set(variable, value);
        }
        place.write(
            "f.pkr.hcl",
            format!(
                "source \"null\" \"a\" {{\n  communicator = {call}\n}}\nbuild {{ sources = [\"null.a\"] }}\n"
            ),
        );
        let ran = place.run(["validate", "f.pkr.hcl"]);
        ran.expect_code(1).expect_not(TOKEN).expect("on f.pkr.hcl line 2");
        // Lines are broken to the width of a page.
        let words = ran.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(expected), "{call}: no {expected:?} in\n{}", ran.stdout);
    }
}
