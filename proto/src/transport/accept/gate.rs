//! Who is inside: a place for each connection, given back when it is dropped.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::Limits;

/// Counts connections.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    total: usize,
    strangers: usize,
    by_address: BTreeMap<IpAddr, usize>,
    next: u64,
    /// Who may be shown out, oldest first: those in their handshake, and those who have shown nothing good since.
    strange: BTreeMap<u64, (IpAddr, Option<Exit>)>,
}

/// How a stranger is shown out.
#[derive(Debug)]
enum Exit {
    /// Out of the handshake.
    Handshake(AbortHandle),
    /// Out of the connection, which listens to the other end of this.
    Connection(oneshot::Sender<()>),
}

/// A connection's place.
#[derive(Debug)]
pub(in crate::transport) struct Place {
    gate: Arc<Gate>,
    number: u64,
    from: IpAddr,
    known: Mutex<bool>,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, inside: Mutex::default() }
    }

    /// A place for a connection that begins its handshake, if there is one or the oldest stranger gives way.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let from = neighbourhood(address);
        self.with(|inside| {
            let crowded =
                inside.by_address.get(&from).copied().unwrap_or(0) >= self.limits.strangers_per_address;
            let full = inside.strangers >= self.limits.strangers || inside.total >= self.limits.connections;
            if crowded && !inside.drop_oldest(|address| address == from) {
                return None;
            }
            if !crowded && full && !inside.drop_oldest(|_| true) {
                return None;
            }
            let number = inside.next;
            inside.next += 1;
            inside.total += 1;
            inside.strangers += 1;
            *inside.by_address.entry(from).or_default() += 1;
            inside.strange.insert(number, (from, None));
            Some(Place { gate: Arc::clone(self), number, from, known: Mutex::new(false) })
        })
    }

    /// Makes a handshake one that can be ended.
    pub(super) fn watch(&self, number: u64, handle: AbortHandle) {
        self.with(|inside| {
            if let Some((_, exit @ None)) = inside.strange.get_mut(&number) {
                *exit = Some(Exit::Handshake(handle));
            }
        });
    }

    /// Shows all strangers out.
    pub(super) fn close(&self) {
        self.with(|inside| while inside.drop_oldest(|_| true) {});
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inside) -> T) -> T {
        work(&mut self.inside.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inside {
    /// Shows out the oldest stranger of those from an address that `suits`. Its place is given back soon after.
    fn drop_oldest(&mut self, suits: impl Fn(IpAddr) -> bool) -> bool {
        let may_go = |(_, (from, exit)): &(&u64, &(IpAddr, Option<Exit>))| exit.is_some() && suits(*from);
        let Some(oldest) = self.strange.iter().find(may_go).map(|(number, _)| *number) else {
            return false;
        };
        match self.strange.remove(&oldest) {
            Some((_, Some(Exit::Handshake(handle)))) => handle.abort(),
            // One that is gone already doesn't listen.
            Some((_, Some(Exit::Connection(exit)))) => drop(exit.send(())),
            _ => {}
        }
        true
    }

    fn drop_stranger(&mut self, from: IpAddr) {
        self.strangers -= 1;
        if let Some(count) = self.by_address.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&from);
            }
        }
    }
}

impl Place {
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The other end is known by its certificate, or by what it has shown since.
    pub(in crate::transport) fn welcome(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *known, true) {
            self.gate.with(|inside| {
                inside.strange.remove(&self.number);
                inside.drop_stranger(self.from);
            });
        }
    }

    /// The handshake is over, and the other end is a stranger nevertheless. What is returned tells when it must go.
    pub(super) fn stay(&self) -> oneshot::Receiver<()> {
        let (exit, go) = oneshot::channel();
        self.gate.with(|inside| {
            if let Some((_, handshake)) = inside.strange.get_mut(&self.number) {
                *handshake = Some(Exit::Connection(exit));
            }
        });
        go
    }

    /// Whether the other end counts as a stranger no more.
    pub(in crate::transport) fn is_known(&self) -> bool {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let known = *self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.gate.with(|inside| {
            inside.strange.remove(&self.number);
            inside.total -= 1;
            if !known {
                inside.drop_stranger(self.from);
            }
        });
    }
}

/// What counts as one address: a subscriber of IPv6 has a whole /64.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(connections: usize, strangers: usize, per_address: usize) -> Arc<Gate> {
        let limits =
            Limits { connections, strangers, strangers_per_address: per_address, ..Limits::default() };
        Arc::new(Gate::new(limits))
    }

    fn address(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn strangers_leave_room_for_those_who_are_known() {
        let gate = gate(4, 2, 2);
        let known: Vec<Place> = (0..2).map(|_| gate.enter(address(1)).unwrap()).collect();
        known.iter().chain(&known).for_each(Place::welcome);
        let strangers: Vec<Place> = (0..2).map(|_| gate.enter(address(1)).unwrap()).collect();
        assert!(gate.enter(address(2)).is_none(), "no more strangers, from wherever");
        drop(strangers);
        assert!(gate.enter(address(2)).is_some());
        drop(known);
        gate.with(|inside| assert_eq!((inside.total, inside.strangers, inside.by_address.len()), (0, 0, 0)));
    }

    #[test]
    fn who_has_shown_nothing_good_for_longest_gives_way_and_who_has_does_not() {
        let gate = gate(9, 3, 9);
        let places: Vec<Place> = (0..3).map(|_| gate.enter(address(1)).unwrap()).collect();
        let mut goes: Vec<_> = places.iter().map(Place::stay).collect();
        places[0].welcome();
        let newcomers = [gate.enter(address(2)).unwrap(), gate.enter(address(3)).unwrap()];
        let gone = goes.iter_mut().map(|go| go.try_recv()).collect::<Vec<_>>();
        assert_eq!(
            gone,
            [Err(oneshot::error::TryRecvError::Closed), Ok(()), Err(oneshot::error::TryRecvError::Empty)]
        );
        assert!(places[0].is_known());
        drop((places, newcomers));
        gate.with(|inside| assert_eq!((inside.total, inside.strangers, inside.strange.len()), (0, 0, 0)));
    }

    #[tokio::test]
    async fn the_oldest_handshake_of_a_crowded_address_gives_way() {
        let gate = gate(9, 9, 2);
        let mut tasks = Vec::new();
        for n in [2, 1, 1, 1] {
            let place = gate.enter(address(n)).unwrap();
            let number = place.number();
            let task = tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(place);
            });
            gate.watch(number, task.abort_handle());
            tasks.push(task);
        }
        let oldest = tasks.remove(1);
        assert!(oldest.await.unwrap_err().is_cancelled());
        assert!(tasks.iter().all(|task| !task.is_finished()));
        gate.close();
        for task in tasks {
            assert!(task.await.unwrap_err().is_cancelled());
        }
        gate.with(|inside| assert_eq!((inside.total, inside.strangers), (0, 0)));
    }

    #[test]
    fn a_subscriber_of_ipv6_counts_as_one() {
        let same = |a: &str, b: &str| neighbourhood(a.parse().unwrap()) == neighbourhood(b.parse().unwrap());
        assert!(same("fd00::1", "fd00::2:3:4:5"));
        assert!(!same("fd00::1", "fd00:0:0:1::1"));
        assert!(same("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(!same("10.0.0.1", "10.0.0.2"));
    }
}
