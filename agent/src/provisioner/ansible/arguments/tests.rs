//! Arguments as text.

use std::cell::RefCell;

use super::*;
use crate::provisioner::testing::{Bench, SECRET};

fn connection(key: Option<&str>) -> Connection {
    Connection { host: "h".into(), port: 22, user: "u".into(), key: key.map(PathBuf::from) }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn arguments_stand_in_packers_order() {
    let start = "-e|packer_build_name=\"test\"|-e|packer_builder_type=qemu";
    let end = "-i|/i|/p.yml";
    let identities = "--ssh-extra-args|'-o IdentitiesOnly=yes'";
    let key = "-e|ansible_ssh_private_key_file=/k";
    let password = ["-e", "ansible_password=p"];
    type Case<'a> = (Option<&'a str>, &'a [&'a str], &'a [&'a str], Vec<&'a str>);
    let cases: [Case<'_>; 6] = [
        (None, &[], &[], vec![start, end]),
        (Some("/k"), &[], &["-v"], vec![start, identities, "-v", key, end]),
        (Some("/k"), &["-o A=b", "-4"], &[], vec![start, "--ssh-extra-args|'-o A=b -4'", key, end]),
        (None, &["-4"], &[], vec![start, "--ssh-extra-args|'-4'", end]),
        (
            Some("/k"),
            &[],
            &password,
            vec![start, identities, "-e|ansible_password=p|-e|ansible_host_key_checking=False", end],
        ),
        (
            None,
            &[],
            &["-e", "ansible_password=p ansible_host_key_checking=True"],
            vec![start, "-e|ansible_password=p ansible_host_key_checking=True", end],
        ),
    ];
    let bench = Bench::alone();
    let cx = bench.context();
    for (key, for_ssh, extra, expected) in cases {
        let files = (Path::new("/i"), Path::new("/p.yml"));
        let all = playbook(&cx, &connection(key), &strings(for_ssh), &strings(extra), files);
        assert_eq!(all.join("|"), expected.join("|"));
    }
}

#[test]
fn the_http_servers_address_is_told_if_there_is_one() {
    for (address, told) in [("10.0.2.2:80", true), ("ERR_HTTP_ADDR_NOT_IMPLEMENTED_BY_BUILDER", false)] {
        let mut bench = Bench::alone();
        bench.generated.set("PackerHTTPAddr", address);
        let files = (Path::new("/i"), Path::new("/p.yml"));
        let all = playbook(&bench.context(), &connection(None), &[], &[], files);
        assert_eq!(all.contains(&format!("packer_http_addr={address}")), told, "{all:?}");
    }
}

#[test]
fn extra_variables_with_secrets_move_to_files() {
    let json = format!("{{\"token\":\"{SECRET}\"}}");
    let pair = format!("token={SECRET}");
    let yaml = format!("{{token: {SECRET}}}");
    let cases: [(Vec<&str>, &str, &str); 7] = [
        (vec!["-e", "a=1", "-v"], "-e|a=1|-v", ""),
        (vec!["-e", &pair], "-e|@/1", &json),
        (vec!["--extra-vars", &yaml], "--extra-vars|@/1", &yaml),
        (vec![&*format!("--extra-vars={pair}").leak()], "--extra-vars=@/0", &json),
        (vec![&*format!("-e{pair}").leak()], "-e@/0", &json),
        (vec!["-e", "@vars.yml"], "-e|@vars.yml", ""),
        (vec!["--start-at-task", SECRET], &*format!("--start-at-task|{SECRET}").leak(), ""),
    ];
    for (given, arguments, file) in cases {
        let bench = Bench::alone();
        let written = RefCell::new(String::new());
        let write = |name: &str, text: &str| {
            written.borrow_mut().push_str(text);
            Ok(Path::new("/").join(name.trim_start_matches("extra-vars-")))
        };
        let out = without_secrets(&strings(&given), &bench.task.cx.reporter, &write).unwrap();
        assert_eq!((out.join("|").as_str(), written.borrow().as_str()), (arguments, file), "{given:?}");
        assert_eq!(bench.said("holds a secret"), arguments.contains(SECRET), "{given:?}");
    }
}

#[test]
fn pairs_become_json_as_ansible_reads_them() {
    let cases = [
        ("a=1 b='x y'", Some(r#"{"a":"1","b":"x y"}"#)),
        ("a=\"it's\" b=", Some(r#"{"a":"it's","b":""}"#)),
        (r#"{"a": 1}"#, Some(r#"{"a": 1}"#)),
        ("a='open", None),
        ("@file.yml", None),
    ];
    for (text, file) in cases {
        assert_eq!(as_file(text).as_deref(), file, "{text}");
    }
}

#[test]
fn passwords_are_masked_for_people() {
    let arguments = strings(&["-e", "ansible_password=x=y", "my_Secret=z", "-v"]);
    assert_eq!(masked(&arguments), "-e ansible_password=***** my_Secret=***** -v");
}
