//! The network of one attempt: that of a thread, with one cable to the machine.
//!
//! ```text
//!   first thread, machine's network              second thread
//!        │                                           │ own network, own view of mounts
//!        │◄────────────── its number ────────────────┤
//!        │ makes the cable, one end over there       │
//!        ├────────────── addresses ─────────────────►│ gives its end an address and a way out; works
//!        │◄───────────── done ───────────────────────┤
//!        │ removes the cable
//! ```

use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc;

use kiln_component::Intent;
use kiln_component::journal::{Entry, Journal};
use kiln_component::process::find;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::IsolationError;
use super::command::run;

/// Where attempts' addresses come from: four for each.
pub(super) const NETWORK: &str = "10.213.0.0/16";

/// What the machine's ends of the cables are called, before their numbers.
pub(super) const INTERFACES: &str = "kiln";

/// How many networks there can be.
const MOST: u16 = 1 << 14;

/// Whether networks can be made at all, found out by making one.
pub(super) fn can_be_made() -> Result<(), IsolationError> {
    if find("ip").is_none() {
        let missing = io::Error::other("the program ip is not installed; install the package iproute2");
        return Err(IsolationError::system("make networks for attempts")(missing));
    }
    within(&Journal::in_memory(), || ())
}

/// Does `work` on a thread with a network of its own. What it starts is in that network, too.
pub(super) fn within<T: Send>(
    journal: &Journal,
    work: impl FnOnce() -> T + Send,
) -> Result<T, IsolationError> {
    let (entered, told) = mpsc::channel();
    let (connect, connected) = mpsc::channel::<Addresses>();
    std::thread::scope(|scope| {
        let inside = scope.spawn(move || {
            // The first thread listens until this one has ended.
            let _listens = entered.send(enter().map(|()| nix::unistd::gettid().as_raw()));
            let Ok(addresses) = connected.recv() else { return None };
            Some(addresses.configure().map(|()| work()))
        });
        let failed = || IsolationError::system("make a network")(io::Error::other("its thread ended"));
        let thread = told.recv().map_err(|_| failed())?.map_err(IsolationError::system("make a network"))?;
        let cable = Cable::make(journal, thread)?;
        let _listens = connect.send(cable.addresses);
        let done = inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        cable.remove();
        done.ok_or_else(failed)?.map_err(IsolationError::system("connect an attempt's network"))
    })
}

/// A network and a view of mounts of this thread's own. Mounts of the machine go on showing up in it.
fn enter() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_SLAVE | MsFlags::MS_REC, None::<&str>)?;
    let resolv = "/etc/resolv.conf";
    let names = fs::read_to_string(resolv).unwrap_or_default();
    if let Some(better) = reachable_names(&names) {
        mount(Some(better), resolv, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    }
    Ok(())
}

/// The file with the machine's true name servers, when the usual one names only the machine itself, which an attempt can't
/// reach.
fn reachable_names(names: &str) -> Option<&'static Path> {
    let servers = names.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let all_here = servers.map(str::trim).all(|server| server.starts_with("127.") || server == "::1");
    let true_ones = Path::new("/run/systemd/resolve/resolv.conf");
    (all_here && true_ones.exists()).then_some(true_ones)
}

/// The addresses of a cable's two ends, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses(pub(super) u16);

impl Addresses {
    fn address(self, place: u16) -> String {
        let number = self.0 * 4 + place;
        format!("10.213.{}.{}", number >> 8, number & 0xff)
    }

    /// Of the machine's end.
    pub(super) fn machine(self) -> String {
        self.address(1)
    }

    /// Of the attempt's end.
    pub(super) fn attempt(self) -> String {
        self.address(2)
    }

    fn configure(self) -> io::Result<()> {
        run("ip", "link set dev lo up")?;
        run("ip", &format!("address add {}/30 dev eth0", self.attempt()))?;
        run("ip", "link set dev eth0 up")?;
        run("ip", &format!("route add default via {}", self.machine()))
    }
}

/// A cable between the machine and an attempt.
struct Cable {
    name: String,
    addresses: Addresses,
    entry: Entry,
}

impl Cable {
    /// The first that nobody has, with its other end in the network of that thread.
    fn make(journal: &Journal, thread: i32) -> Result<Self, IsolationError> {
        // Numbers of threads differ, so that attempts begun together don't try the same names.
        let first = u16::try_from(thread.rem_euclid(i32::from(MOST))).unwrap_or(0);
        for number in (0..MOST).map(|step| (first + step) % MOST) {
            let name = format!("{INTERFACES}{number}");
            if Path::new("/sys/class/net").join(&name).exists() {
                continue;
            }
            let alias = uuid::Uuid::new_v4().simple().to_string();
            let entry = journal.intend(Intent::Interface { name: name.clone(), alias: alias.clone() })?;
            let made = run("ip", &format!("link add name {name} type veth peer name eth0 netns {thread}"));
            if let Err(error) = made {
                entry.clear();
                // Another attempt was faster.
                if Path::new("/sys/class/net").join(&name).exists() {
                    continue;
                }
                return Err(IsolationError::system("connect an attempt's network")(error));
            }
            let cable = Self { name: name.clone(), addresses: Addresses(number), entry };
            let machine = cable.addresses.machine();
            let configured = run("ip", &format!("link set dev {name} alias {alias}"))
                .and_then(|()| run("ip", &format!("address add {machine}/30 dev {name}")))
                .and_then(|()| run("ip", &format!("link set dev {name} up")));
            return match configured {
                Ok(()) => Ok(cable),
                Err(error) => {
                    cable.remove();
                    Err(IsolationError::system("connect an attempt's network")(error))
                }
            };
        }
        Err(IsolationError::NoRoom)
    }

    fn remove(self) {
        match run("ip", &format!("link delete dev {}", self.name)) {
            Ok(()) => self.entry.clear(),
            // It goes with the network's last process; the journal looks after it.
            Err(error) => tracing::debug!(%error, "a cable stays for now"),
        }
    }
}
