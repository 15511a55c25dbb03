use std::collections::BTreeMap;

use kiln_lang::SourceMap;

use super::*;
use crate::{Answers, Evaluation, Inputs};

/// Files of a bundle, as a table.
#[derive(Debug, Default)]
struct Table(BTreeMap<&'static str, Found>);

impl Shelf for Table {
    fn look(&self, name: &str) -> Option<Found> {
        let below = format!("{name}/");
        let directory = name.is_empty() || self.0.keys().any(|known| known.starts_with(&below));
        self.0.get(name).cloned().or_else(|| directory.then_some(Found::Directory))
    }

    fn list(&self, directory: &str) -> Vec<String> {
        let start = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let names = self.0.keys().filter_map(|name| name.strip_prefix(start.as_str()));
        let mut names: Vec<String> =
            names.map(|rest| rest.split('/').next().unwrap_or_default().to_owned()).collect();
        names.dedup();
        names
    }
}

fn text(text: &str) -> Found {
    Found::File(text.as_bytes().to_vec())
}

fn shelf(files: impl IntoIterator<Item = (&'static str, Found)>) -> Arc<dyn Shelf> {
    Arc::new(Table(files.into_iter().collect()))
}

/// A machine without files, on which it is always noon.
#[derive(Debug)]
struct Noon;

impl Host for Noon {
    fn read_file(&self, path: &str) -> Result<Vec<u8>, HostError> {
        match path {
            "/etc/vars.hcl" => Ok(b"who = \"me\"".to_vec()),
            _ => Err(HostError::NotFound { path: path.to_owned() }),
        }
    }

    fn read_standard_input(&self) -> Result<Vec<u8>, HostError> {
        Ok(b"{}".to_vec())
    }

    fn kind(&self, _path: &str) -> Result<Option<FileKind>, HostError> {
        Ok(None)
    }

    fn list_directory(&self, path: &str) -> Result<Vec<DirectoryEntry>, HostError> {
        Err(HostError::NotFound { path: path.to_owned() })
    }

    fn environment(&self, name: &str) -> Option<String> {
        (name == "TOKEN").then(|| "t0ps3cret".to_owned())
    }

    fn now_ns(&self) -> i64 {
        43_200_000_000_000
    }

    fn random_uuid(&self) -> String {
        "00000000-0000-4000-8000-000000000000".to_owned()
    }

    fn working_directory(&self) -> String {
        "/home/me/images".to_owned()
    }

    fn home_directory(&self) -> Option<String> {
        Some("/home/me".to_owned())
    }

    fn secret(&self, question: &SecretQuestion) -> Result<Option<Sensitive<String>>, HostError> {
        Ok(Some(Sensitive::new(format!("answer to {question}"))))
    }
}

#[test]
fn a_bundle_answers_with_its_own_files_and_with_nothing_else() {
    let shelf = shelf([
        ("web/a.txt", text("a")),
        ("shared/b.txt", text("b")),
        ("web/link", Found::Link("../shared".into())),
        ("web/loop", Found::Link("loop".into())),
        ("web/out", Found::Link("../../x".into())),
    ]);
    let world = World { working_directory: "web".into(), ..World::default() };
    let host = BundleHost::new(shelf, world, Arc::new(Noon));
    let root = host.working_directory();
    assert_eq!(root, format!("{BUNDLE_ROOT}/web"));
    let told: Vec<String> = [
        "a.txt".to_owned(),
        "./link/b.txt".to_owned(),
        "../shared/b.txt".to_owned(),
        format!("{root}/a.txt"),
        "gone.txt".to_owned(),
        "link".to_owned(),
        "loop".to_owned(),
        "out".to_owned(),
        "../../../etc/passwd".to_owned(),
        "/etc/passwd".to_owned(),
        format!("{BUNDLE_ROOT}-other/x"),
    ]
    .iter()
    .map(|path| match host.read_file(path) {
        Ok(bytes) => String::from_utf8(bytes).unwrap(),
        Err(error) => error.to_string().replace(BUNDLE_ROOT, "ROOT"),
    })
    .collect();
    assert_eq!(
        told,
        [
            "a",
            "b",
            "b",
            "a",
            "gone.txt: no such file or directory",
            "link: it is not a regular file",
            "loop: too many levels of symbolic links",
            "out: it is not in the bundle that was sent to the farm",
            "../../../etc/passwd: it is not in the bundle that was sent to the farm",
            "/etc/passwd: it is not in the bundle that was sent to the farm",
            "ROOT-other/x: it is not in the bundle that was sent to the farm",
        ]
    );
    let mut names: Vec<String> =
        host.list_directory(".").unwrap().into_iter().map(|e| format!("{} {:?}", e.name, e.kind)).collect();
    names.sort();
    assert_eq!(names, ["a.txt File", "link Directory", "loop Other", "out Other"]);
}

#[test]
fn what_the_submitter_knew_travels_and_no_more() {
    let recorder = Recorder::new(Arc::new(Noon), &["/etc/vars.hcl".to_owned()]);
    assert_eq!(recorder.environment("TOKEN").as_deref(), Some("t0ps3cret"));
    assert_eq!(recorder.environment("UNSET"), None);
    recorder.read_file("/etc/vars.hcl").unwrap();
    recorder.read_file("/etc/other").unwrap_err();
    let world = recorder.world("web");
    assert_eq!(world.environment.keys().collect::<Vec<_>>(), ["TOKEN", "UNSET"]);
    assert_eq!(world.files.keys().collect::<Vec<_>>(), ["/etc/vars.hcl"]);
    assert!(!format!("{world:?}").contains("t0ps3cret"), "secrets are not shown");
    let travelled: World = serde_json::from_str(&serde_json::to_string(&world).unwrap()).unwrap();
    let host = BundleHost::new(shelf([]), travelled, Arc::new(Noon));
    assert_eq!(host.environment("TOKEN").as_deref(), Some("t0ps3cret"));
    assert_eq!(host.environment("PATH"), None);
    assert_eq!(host.read_file("/etc/vars.hcl").unwrap(), b"who = \"me\"");
    assert_eq!(host.home_directory().as_deref(), Some("/home/me"));
}

#[test]
fn a_template_is_evaluated_from_its_bundle() {
    let template = r#"
variable "token" {
  default   = env("TOKEN")
  sensitive = true
}
source "null" "a" { communicator = "none" }
build {
  sources = ["null.a"]
  provisioner "shell-local" {
    inline = ["echo ${file("motd")} ${path.cwd} ${var.token}"]
  }
}
"#;
    let template = template.to_owned().leak();
    let shelf = shelf([("web/t.pkr.hcl", text(template)), ("web/motd", text("hello"))]);
    let world = World {
        working_directory: "web".into(),
        environment: [("TOKEN".to_owned(), Some(Sensitive::new("t0ps3cret".to_owned())))].into(),
        ..World::default()
    };
    let host: SharedHost = Arc::new(BundleHost::new(shelf, world, Arc::new(Noon)));
    let request = Request { path: "t.pkr.hcl".into(), ..Request::default() };
    let (template, found, _): (_, _, SourceMap) = crate::parse(&request, &host);
    assert!(!found.has_errors(), "{found:?}");
    let inputs = Inputs { request: &request, catalog: None, answers: &Answers::none(), host: &host };
    let Evaluation::Done { plans, diagnostics } = crate::evaluate(&template.unwrap(), inputs) else {
        panic!("it asks no data sources")
    };
    assert!(!diagnostics.has_errors(), "{diagnostics:?}");
    let plan = serde_json::to_string(&plans).unwrap();
    assert!(plan.contains(&format!("echo hello {BUNDLE_ROOT}/web t0ps3cret")), "{plan}");
}

#[test]
fn secrets_are_answered_by_the_machine_of_the_submitter_alone() {
    let asked = SecretQuestion::Vault { path: "a/\"b".into(), key: "k".into() };
    let recorder = Recorder::new(Arc::new(Noon), &[]);
    recorder.secret(&asked).unwrap();
    let world = recorder.world("");
    assert!(!format!("{world:?}").contains("answer"), "{world:?}");
    let sent = serde_json::from_str(&serde_json::to_string(&world).unwrap()).unwrap();
    let host = BundleHost::new(shelf([]), sent, Arc::new(Noon));
    let answer = host.secret(&asked).unwrap().unwrap();
    assert_eq!(answer.reveal(), "answer to vault(\"a/\\\"b\", \"k\")");
    let other = SecretQuestion::Consul { key: "k".into() };
    let said = host.secret(&other).unwrap_err().to_string();
    assert!(said.starts_with("consul_key(\"k\") wasn't asked before"), "{said}");
}
