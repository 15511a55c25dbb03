//! What passes between attempts' networks and the world: everything outwards under the machine's address, nothing to the
//! machine itself or to other attempts, nothing inwards.

use std::fs;

use kiln_component::process::find;

use super::IsolationError;
use super::command::{feed, run};
use super::network::{INTERFACES, NETWORK};

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Sets the rules up, in place of those of an earlier daemon.
pub(super) fn set_up() -> Result<(), IsolationError> {
    let problem = IsolationError::system;
    if find("nft").is_some() {
        feed("nft", "-f -", &rules()).map_err(problem("set up the firewall for attempts with nft"))?;
    } else if find("iptables").is_some() {
        with_iptables().map_err(problem("set up the firewall for attempts with iptables"))?;
    } else {
        let missing = std::io::Error::other("neither nft nor iptables is installed");
        return Err(problem("set up the firewall for attempts")(missing));
    }
    let forwards = fs::read_to_string(FORWARDING).is_ok_and(|text| text.trim() == "1");
    if !forwards {
        fs::write(FORWARDING, "1").map_err(problem("let the machine forward packets of attempts"))?;
        tracing::info!(
            "the machine forwards packets from now on (net.ipv4.ip_forward), for attempts' networks"
        );
    }
    Ok(())
}

fn rules() -> String {
    let ours = format!("\"{INTERFACES}*\"");
    format!(
        "table ip kiln\ndelete table ip kiln\ntable ip kiln {{\n\
         chain out {{ type nat hook postrouting priority srcnat; ip saddr {NETWORK} oifname != {ours} masquerade; }}\n\
         chain in {{ type filter hook input priority filter; iifname {ours} drop; }}\n\
         chain through {{ type filter hook forward priority filter;\n\
         iifname {ours} oifname {ours} drop;\n\
         oifname {ours} ct state established,related accept;\n\
         oifname {ours} drop; }}\n}}\n"
    )
}

/// Puts in what isn't there from before.
fn with_iptables() -> std::io::Result<()> {
    for (table, rule) in iptables() {
        if run("iptables", &format!("-w -t {table} -C {rule}")).is_err() {
            run("iptables", &format!("-w -t {table} -I {rule}"))?;
        }
    }
    Ok(())
}

/// Table and rule, in the order in which they are put in front of all others.
fn iptables() -> [(&'static str, String); 6] {
    let ours = format!("{INTERFACES}+");
    [
        ("nat", format!("POSTROUTING -s {NETWORK} ! -o {ours} -j MASQUERADE")),
        ("filter", format!("INPUT -i {ours} -j DROP")),
        ("filter", format!("FORWARD -o {ours} -j DROP")),
        ("filter", format!("FORWARD -o {ours} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")),
        ("filter", format!("FORWARD -i {ours} -j ACCEPT")),
        ("filter", format!("FORWARD -i {ours} -o {ours} -j DROP")),
    ]
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::sched::{CloneFlags, unshare};

    use super::*;

    /// Without touching the machine's: in a network of its own.
    #[test]
    fn iptables_takes_the_rules_once_and_the_strictest_first() {
        if !nix::unistd::geteuid().is_root() || unshare(CloneFlags::CLONE_NEWNET).is_err() {
            // Who isn't root has no firewall to set up.
            return;
        }
        assert!(find("iptables").is_some(), "iptables is missing; ./install-tools.sh installs it");
        let listed = || {
            let output =
                Command::new("iptables").args(["-w", "-S", "FORWARD"]).output().expect("it is installed");
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>()
        };
        with_iptables().unwrap();
        let ours = format!("{INTERFACES}+");
        let expected = [
            "-P FORWARD ACCEPT".to_owned(),
            format!("-A FORWARD -i {ours} -o {ours} -j DROP"),
            format!("-A FORWARD -i {ours} -j ACCEPT"),
            format!("-A FORWARD -o {ours} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
            format!("-A FORWARD -o {ours} -j DROP"),
        ];
        assert_eq!(listed(), expected);
        with_iptables().unwrap();
        assert_eq!(listed(), expected, "the next daemon finds them");
    }
}
