//! What templates may write, and what they are told.

use std::collections::BTreeSet;

use kiln_lang::decode::field_names;
use kiln_lang::diagnostic::Severity;
use kiln_plan::schema::OptionSchema;

use super::raw;
use super::*;
use crate::communicator::testing::options as given;

fn parse(options: Vec<(&str, Value)>) -> Result<SshConfig, Vec<String>> {
    let all = [("ssh_username", Value::from("root"))].into_iter().chain(options);
    match CommunicatorConfig::parse(&given(all), Path::new("/nowhere")) {
        Ok((config, _)) => Ok(config.ssh().expect("ssh").clone()),
        Err(found) => {
            let errors = found.into_iter().filter(|d| d.severity == Severity::Error);
            Err(errors.map(|d| d.summary).collect())
        }
    }
}

#[test]
fn timeouts_and_attempts_come_as_a_pair() {
    let seconds = |s| Some(Duration::from_secs(s));
    let text = Value::from;
    let cases = [
        (vec![], seconds(300), Some(10)),
        (vec![("ssh_timeout", text("20m"))], seconds(1200), None),
        (vec![("ssh_handshake_attempts", Value::from(3))], None, Some(3)),
        (vec![("ssh_timeout", text("1s")), ("ssh_handshake_attempts", Value::from(3))], seconds(1), Some(3)),
        (vec![("ssh_timeout", text("0s"))], seconds(300), Some(10)),
        (vec![("ssh_wait_timeout", text("7s"))], seconds(7), Some(10)),
        (vec![("ssh_wait_timeout", text("7s")), ("ssh_timeout", text("9s"))], seconds(7), None),
    ];
    for (options, timeout, attempts) in cases {
        let shown = format!("{options:?}");
        let patience = parse(options).unwrap().patience;
        assert_eq!((patience.timeout, patience.handshake_attempts), (timeout, attempts), "{shown}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    let options = vec![
        ("ssh_username", Value::from("")),
        ("ssh_private_key_file", Value::from("missing")),
        ("ssh_bastion_host", Value::from("b")),
        ("ssh_bastion_certificate_file", Value::from("c")),
        ("ssh_proxy_host", Value::from("p")),
        ("ssh_file_transfer_method", Value::from("ftp")),
        ("ssh_local_tunnels", Value::tuple(vec!["80:x".into(), "1:h:2".into(), "a:h:2".into()])),
        ("ssh_remote_tunnels", Value::from("0:h:1")),
        ("temporary_key_pair_type", Value::from("dsa")),
        ("ssh_port", Value::from(70_000)),
        ("ssh_timeout", Value::from("-1s")),
    ];
    let mut found = parse(options).unwrap_err();
    found.sort();
    let expected = [
        "An ssh_username must be specified",
        "Both a bastion and a proxy are set",
        "ssh_bastion_private_key_file must be specified if ssh_bastion_certificate_file is",
        "ssh_file_transfer_method (\"ftp\") is invalid",
        "ssh_local_tunnels (\"80:x\") is invalid",
        "ssh_local_tunnels (\"a:h:2\") is invalid",
        "ssh_port (70000) is invalid",
        "ssh_private_key_file is invalid",
        "ssh_remote_tunnels (\"0:h:1\") is invalid",
        "ssh_timeout is negative",
        "temporary_key_pair_type is invalid",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_bastion_needs_some_way_to_log_in() {
    let host = ("ssh_bastion_host", Value::from("b"));
    assert_eq!(parse(vec![host.clone()]).unwrap_err(), ["No way to log in to the bastion"]);
    for way in ["ssh_bastion_agent_auth", "ssh_bastion_interactive", "ssh_bastion_password"] {
        let config = parse(vec![host.clone(), (way, Value::from(true))]).unwrap();
        let Route::Bastion(bastion) = config.route else { panic!("{way}") };
        assert_eq!((bastion.port, bastion.login.username.as_str()), (22, "root"), "{way}");
    }
}

#[test]
fn an_unknown_communicator_is_told_alone() {
    let summaries = |name: &str| {
        let options = given([("communicator", Value::from(name)), ("ssh_port", Value::from(-1))]);
        let found = CommunicatorConfig::parse(&options, Path::new("/")).unwrap_err();
        found.into_iter().map(|d| (d.summary, d.hint)).collect::<Vec<_>>()
    };
    let hint = Some("Did you mean \"ssh\"?".to_owned());
    assert_eq!(summaries("shh"), [("Communicator type shh is invalid".to_owned(), hint)]);
    let winrm = summaries("winrm");
    assert_eq!(winrm[0].0, "Communicator \"winrm\" is not available");
    assert!(winrm[0].1.as_ref().unwrap().contains("OpenSSH"));
}

#[test]
fn none_needs_nothing() {
    let (config, warnings) =
        CommunicatorConfig::parse(&given([("communicator", Value::from("none"))]), Path::new("/")).unwrap();
    assert!(config.ssh().is_none() && warnings.is_empty());
    assert_eq!(config.name(), "none");
}

#[test]
fn a_proxy_may_say_what_it_speaks() {
    let cases = [
        ("p", 0, None, "p", 1080),
        ("p", 3128, None, "p", 3128),
        ("http://p:3128", 0, Some(ProxyProtocol::Http), "p", 3128),
        ("http://p:3128/", 8080, Some(ProxyProtocol::Http), "p", 8080),
        ("socks5://[::1]:9", 0, Some(ProxyProtocol::Socks5), "::1", 9),
        ("::1", 0, None, "::1", 1080),
    ];
    for (host, port, protocol, name, number) in cases {
        let options = vec![("ssh_proxy_host", Value::from(host)), ("ssh_proxy_port", Value::from(port))];
        let Route::Proxy(proxy) = parse(options).unwrap().route else { panic!("{host}") };
        assert_eq!((proxy.protocol, proxy.host.as_str(), proxy.port), (protocol, name, number), "{host}");
    }
    let error = parse(vec![("ssh_proxy_host", Value::from("ftp://p"))]).unwrap_err();
    assert_eq!(error, ["ssh_proxy_host has the unknown scheme \"ftp\""]);
}

#[test]
fn names_of_algorithms_that_nobody_knows_are_passed_over() {
    let list = |names: &[&str]| Value::tuple(names.iter().map(|n| Value::from(*n)).collect());
    let config = parse(vec![("ssh_ciphers", list(&["arcfour", "aes128-ctr"]))]).unwrap();
    let ciphers: Vec<_> =
        config.algorithms.preferred().cipher.iter().map(|c| c.as_ref().to_owned()).collect();
    assert_eq!(ciphers, ["aes128-ctr"]);
    let error = parse(vec![("ssh_key_exchange_algorithms", list(&["none", "x"]))]).unwrap_err();
    assert_eq!(error, ["ssh_key_exchange_algorithms names nothing that is supported"]);
}

#[test]
fn keepalives_can_be_slowed_and_stopped() {
    let cases = [("", Some(5000)), ("0s", Some(5000)), ("250ms", Some(250)), ("-1s", None)];
    for (text, expected) in cases {
        let options =
            if text.is_empty() { vec![] } else { vec![("ssh_keep_alive_interval", Value::from(text))] };
        let upkeep = parse(options).unwrap().upkeep;
        assert_eq!(upkeep.keep_alive, expected.map(Duration::from_millis), "{text}");
    }
}

#[test]
fn values_of_the_wrong_type_are_told_by_name_and_nothing_else_is() {
    let found = parse(vec![("ssh_port", Value::from("x")), ("ssh_timeout", Value::from("5"))]).unwrap_err();
    assert_eq!(found, ["ssh_port is invalid", "ssh_timeout is invalid"]);
}

#[test]
fn the_schema_lists_what_is_read_and_helps_with_each() {
    let all = options();
    let names: BTreeSet<&str> = all.iter().map(|o| &*o.name).collect();
    assert_eq!(names.len(), all.len(), "no name twice");
    let groups = [
        field_names::<raw::Main>(),
        field_names::<raw::Login>(),
        field_names::<raw::Keys>(),
        field_names::<raw::Patience>(),
        field_names::<raw::Session>(),
        field_names::<raw::Bastion>(),
        field_names::<raw::Route>(),
    ];
    for name in groups.concat() {
        assert!(names.contains(name), "{name}");
    }
    let helpless: Vec<&OptionSchema> = all.iter().filter(|o| !o.help.ends_with('.')).collect();
    assert!(helpless.is_empty(), "{helpless:?}");
}

#[test]
fn home_directories_are_expanded() {
    assert_eq!(expand("a/b", Path::new("/work dir")), Path::new("/work dir/a/b"));
    assert_eq!(expand("/a", Path::new("/x")), Path::new("/a"));
    let home = PathBuf::from(std::env::var_os("HOME").expect("HOME is set"));
    assert_eq!(expand("~/k", Path::new("/x")), home.join("k"));
    let me = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap().unwrap();
    assert_eq!(expand(&format!("~{}/k", me.name), Path::new("/x")), me.dir.join("k"));
}
