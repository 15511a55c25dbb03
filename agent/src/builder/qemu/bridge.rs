//! Guests behind a bridge of this machine: their hardware address by QEMU's object tree, their IP address by the
//! kernel's table of neighbours, and this machine's own address on the bridge.

use std::net::Ipv4Addr;

use serde::Deserialize;
use serde_json::json;

use super::qmp::{Qmp, QmpError};
use crate::communicator::guest::NoAddress;

/// QEMU's name of the guest's network.
const NETDEV: &str = "user.0";
/// The flag of a neighbour whose address is known.
const COMPLETE: u32 = 0x2;

#[derive(Deserialize)]
struct Child {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The hardware address of the network card that is attached to `user.0`.
///
/// # Errors
/// When QEMU can't be asked.
pub async fn hardware_address(qmp: &Qmp) -> Result<Option<String>, QmpError> {
    for place in ["/machine/peripheral", "/machine/peripheral-anon"] {
        let children: Vec<Child> = qmp.ask("qom-list", json!({ "path": place })).await?;
        for child in children.iter().filter(|child| child.kind.starts_with("child<")) {
            let path = format!("{place}/{}", child.name);
            // Most devices have no such property.
            if qmp.property::<String>(&path, "netdev").await.is_ok_and(|netdev| netdev == NETDEV) {
                return qmp.property(&path, "mac").await.map(Some);
            }
        }
    }
    Ok(None)
}

/// The IP address of a neighbour on a bridge.
///
/// # Errors
/// When the kernel knows no such neighbour yet.
pub fn neighbour(bridge: &str, hardware_address: &str) -> Result<String, NoAddress> {
    let table = std::fs::read_to_string("/proc/net/arp").unwrap_or_default();
    find_neighbour(&table, bridge, hardware_address)
        .ok_or_else(|| NoAddress(format!("no neighbour {hardware_address} on {bridge}")))
}

/// Columns: IP address, hardware type, flags, hardware address, mask, device.
fn find_neighbour(table: &str, bridge: &str, hardware_address: &str) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [ip, _, flags, address, _, device] = fields[..] else { return None };
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()?;
        let fits = address.eq_ignore_ascii_case(hardware_address) && device == bridge;
        (fits && flags & COMPLETE != 0).then(|| ip.to_owned())
    })
}

/// This machine's first IPv4 address on a network interface.
///
/// # Errors
/// When the interfaces can't be listed.
pub fn own_address(interface: &str) -> std::io::Result<Option<Ipv4Addr>> {
    let mut all = nix::ifaddrs::getifaddrs()?.filter(|i| i.interface_name == interface);
    Ok(all.find_map(|i| i.address.as_ref()?.as_sockaddr_in().map(nix::sys::socket::SockaddrIn::ip)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_is_found_by_bridge_and_hardware_address() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
            192.168.1.5      0x1         0x0         52:54:00:12:34:56     *        br0\n\
            192.168.1.7      0x1         0x2         52:54:00:12:34:56     *        br0\n\
            192.168.2.8      0x1         0x2         52:54:00:12:34:56     *        br1\n";
        let cases = [
            ("br0", "52:54:00:12:34:56", Some("192.168.1.7")),
            ("br1", "52:54:00:12:34:56", Some("192.168.2.8")),
            ("br0", "52:54:00:00:00:00", None),
        ];
        for (bridge, address, expected) in cases {
            assert_eq!(find_neighbour(table, bridge, address).as_deref(), expected);
        }
    }

    #[test]
    fn the_loopback_has_its_address() {
        assert_eq!(own_address("lo").expect("interfaces"), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(own_address("no-such-bridge").expect("interfaces"), None);
    }
}
