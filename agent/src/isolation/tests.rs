//! Attempts kept apart, where the tests run as root; who isn't, can't keep anything apart.

use std::net::TcpListener;
use std::process::Command;

use super::*;

fn prepared() -> Option<Isolation> {
    if !nix::unistd::geteuid().is_root() {
        assert_eq!(Isolation::prepare().label(), "none");
        return None;
    }
    Some(Isolation::prepare())
}

fn output(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split(' ')).output().expect("it is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_attempt_has_its_own_loopback_and_the_machines_is_out_of_reach() {
    let Some(isolation) = prepared().filter(|isolation| isolation.network) else { return };
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let journal = Journal::in_memory();
    let seen = isolation.confine(&Requirements::default(), &journal, || {
        // The same port is free here, and children see what their parent sees.
        let own = TcpListener::bind(("127.0.0.1", port)).is_ok();
        let route = output("ip", "route show default");
        let gateway = route.split(' ').nth(2).unwrap_or_default().to_owned();
        let machine = std::net::TcpStream::connect_timeout(
            &format!("{gateway}:{port}").parse().unwrap(),
            std::time::Duration::from_millis(300),
        );
        (own, gateway, machine.is_ok(), output("ip", "-br link"))
    });
    let (own, gateway, reached, links) = seen.unwrap();
    assert!(own && gateway.starts_with("10.213."), "{own} {gateway}");
    assert!(!reached, "the machine's services are out of reach");
    assert!(links.contains("eth0@"), "{links}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(journal.close()), [], "nothing is left");
}

#[test]
fn what_an_attempt_leaves_in_its_control_group_goes_with_its_journal() {
    let Some(isolation) = prepared() else { return };
    let Some(above) = &isolation.control_groups else { return };
    let journal = Journal::in_memory();
    let path = above.join(uuid::Uuid::new_v4().simple().to_string());
    let _open = journal.intend(kiln_component::Intent::ControlGroup { path: path.clone() }).unwrap();
    std::fs::create_dir(&path).unwrap();
    let mut left = Command::new("sleep").arg("612").spawn().unwrap();
    std::fs::write(path.join("cgroup.procs"), left.id().to_string()).unwrap();
    let reaped = std::thread::spawn(move || left.wait());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told: Vec<_> = runtime.block_on(journal.close()).iter().map(ToString::to_string).collect();
    assert_eq!(told, [format!("removed the control group {}", path.display())]);
    assert!(!path.exists() && !reaped.join().unwrap().unwrap().success());
}
