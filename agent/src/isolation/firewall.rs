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
        for rule in iptables() {
            if run("iptables", &format!("-w -t {} -C {}", rule.0, rule.1)).is_err() {
                let inserted = run("iptables", &format!("-w -t {} -I {}", rule.0, rule.1));
                inserted.map_err(problem("set up the firewall for attempts with iptables"))?;
            }
        }
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
