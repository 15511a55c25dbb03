//! Data sources: asked on an agent before the build, once for all its tasks.

use kiln_tests::server::{Manner, Server};

use super::place;

/// A chain: a data source, a local made of its answer, a data source made of that, and two builds that use it.
fn template(url: &str) -> String {
    format!(
        r#"
variable "token" {{
  default   = "hunter2hunter2"
  sensitive = true
}}
data "null" "first" {{
  input = "p"
}}
locals {{
  url = "{url}?${{data.null.first.output}}"
}}
data "http" "page" {{
  url             = local.url
  request_headers = {{ Authorization = "Bearer ${{var.token}}" }}
}}
data "null" "secret" {{
  input = "s-${{var.token}}"
}}
source "null" "a" {{
  communicator = "none"
}}
source "null" "b" {{
  communicator = "none"
}}
build {{
  sources = ["null.a", "null.b"]
  provisioner "shell-local" {{
    inline = ["echo got ${{data.http.page.body}} and ${{data.null.secret.output}}"]
  }}
}}
"#
    )
}

#[test]
fn a_build_asks_once_for_all_its_tasks() {
    let server = Server::start(Manner::Cut { sent: 7, of: 7 });
    let place = place();
    place.write("t.pkr.hcl", template(&server.url("page")));
    let ran = place.run(["build", "-color=false", "t.pkr.hcl"]);
    ran.expect_code(0).expect("null.a: got xxxxxxx and").expect("null.b: got xxxxxxx and");
    ran.expect_not("hunter2").expect("<sensitive>");
    assert_eq!(server.requests(), 1, "the answer is pinned");
    place.leftovers().expect_none();
}

#[test]
fn validate_asks_only_when_it_is_told_to() {
    let server = Server::start(Manner::Cut { sent: 7, of: 7 });
    let place = place();
    place.write("t.pkr.hcl", template(&server.url("page")));
    place.run(["validate", "t.pkr.hcl"]).expect_code(0).expect("The configuration is valid.");
    assert_eq!(server.requests(), 0);
    let asked = place.run(["validate", "-evaluate-datasources", "t.pkr.hcl"]);
    asked.expect_code(0).expect("The configuration is valid.");
    assert_eq!(server.requests(), 1);
}

#[test]
fn unknown_answers_have_the_attributes_of_their_data_source() {
    let place = place();
    let text = template("http://127.0.0.1:1/").replace("http.page.body", "http.page.bodi");
    place.write("t.pkr.hcl", text);
    let ran = place.run(["validate", "t.pkr.hcl"]);
    ran.expect_code(1).expect("Unsupported attribute").expect("\"bodi\"").expect("did you mean \"body\"?");
}

#[test]
fn a_data_source_that_fails_is_told_with_its_line_and_nothing_is_built() {
    let server = Server::start(Manner::Status(503));
    let place = place();
    place.write("t.pkr.hcl", template(&server.url("page")));
    for command in ["build", "validate"] {
        let words = [command, "-evaluate-datasources", "t.pkr.hcl"];
        let words = if command == "build" { &["build", "t.pkr.hcl"][..] } else { &words[..] };
        let ran = place.run(words);
        ran.expect_code(1)
            .expect("was answered with 503")
            .expect("on t.pkr.hcl line 12, in data \"http\" \"page\"");
        ran.expect_not("hunter2").expect_not("got ");
    }
}

#[test]
fn what_is_wrong_with_a_question_is_told_before_it_is_asked() {
    let place = place();
    let cases = [
        ("data \"htpp\" \"a\" {}", "Unknown data type htpp"),
        ("data \"http\" \"a\" {}", "\"url\" is required"),
        (
            "data \"http\" \"a\" {\n  url    = \"http://h/\"\n  method = \"FETCH\"\n}",
            "\"FETCH\" is not one of",
        ),
        ("data \"null\" \"a\" {\n  input = \"x\"\n  output = \"y\"\n}", "\"output\" is not expected here"),
        ("data \"null\" \"a\" {\n  input = local.x\n}\nlocals {\n  x = data.null.a.output\n}", "Cycle"),
    ];
    for (data, expected) in cases {
        let rest =
            "source \"null\" \"a\" {\n  communicator = \"none\"\n}\nbuild {\n  sources = [\"null.a\"]\n}\n";
        place.write("t.pkr.hcl", format!("{data}\n{rest}"));
        let ran = place.run(["validate", "-evaluate-datasources", "t.pkr.hcl"]);
        ran.expect_code(1).expect(expected).expect("on t.pkr.hcl line ");
    }
}
