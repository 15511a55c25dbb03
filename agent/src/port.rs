//! Free TCP ports of this machine, without clashes between parallel tasks and processes.
//!
//! A port is taken by a lock on `<cache>/port/<number>`, as Packer takes them, so that both can build beside each
//! other; the lock outlives the socket that proved the port free, until the [`Port`] is dropped. When every port of
//! a range is locked by other builds, we wait for one of them, as Packer does. When they are taken by strangers, we
//! say so soon.

use std::fs::{File, TryLockError};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kiln_component::Reporter;
use uuid::Uuid;

/// How long a range that strangers fill is tried.
const PATIENCE_WITH_STRANGERS: Duration = Duration::from_secs(5);
/// How long other builds are waited for.
const PATIENCE_WITH_BUILDS: Duration = Duration::from_secs(4 * 3600);
/// Between two looks at the range.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The lock files can't be used.
    #[error("cannot lock the port file {}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Nothing free.
    #[error(
        "no free port for {purpose}: the range {range} is exhausted on {address:?}; widen it, or end what uses it"
    )]
    Exhausted {
        /// What it is for.
        purpose: &'static str,
        /// As the template has it.
        range: PortRange,
        /// Where it was tried.
        address: String,
    },
    /// The address isn't one of this machine.
    #[error("cannot bind {address:?} for {purpose}")]
    Address {
        /// What it is for.
        purpose: &'static str,
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The ports to choose from: `min` up to but without `max`, unless they are equal; Packer's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest.
    pub min: u16,
    /// One above the highest, or the same as `min`.
    pub max: u16,
}

impl std::fmt::Display for PortRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.min, self.max)
    }
}

impl PortRange {
    /// All of its ports, in an order that `seed` decides.
    fn shuffled(self, seed: u128) -> Vec<u16> {
        let highest = if self.max > self.min { self.max - 1 } else { self.min };
        let mut ports: Vec<u16> = (self.min..=highest).collect();
        let mut state = seed | 1;
        for last in (1..ports.len()).rev() {
            // A linear congruential step: chance good enough to keep parallel builds apart.
            state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
            ports.swap(last, usize::try_from((state >> 64) % (last as u128 + 1)).unwrap_or(0));
        }
        ports
    }
}

/// What port is wanted.
#[derive(Clone, Debug)]
pub struct PortRequest<'a> {
    /// For messages: `the HTTP server`.
    pub purpose: &'static str,
    /// The ports to choose from.
    pub range: PortRange,
    /// The address that it must be free on.
    pub address: &'a str,
}

/// A port of this machine that no other build will take while this lives.
#[derive(Debug)]
pub struct Port {
    /// Its number.
    pub number: u16,
    _lock: File,
}

/// Takes a port at random, and the socket that listens on it: keep it to serve, drop it to let another program
/// (QEMU) bind the port. May be dropped at any time.
///
/// # Errors
/// When the range stays exhausted, the address isn't this machine's or the locks can't be used.
pub async fn take(
    request: &PortRequest<'_>,
    cache_dir: &Path,
    reporter: &Reporter,
) -> Result<(Port, TcpListener), PortError> {
    let directory = cache_dir.join("port");
    std::fs::create_dir_all(&directory)
        .map_err(|source| PortError::Lock { path: directory.clone(), source })?;
    let started = Instant::now();
    let mut told = false;
    loop {
        let mut held_by_builds = false;
        for number in request.range.shuffled(Uuid::new_v4().as_u128()) {
            match attempt(request, &directory, number)? {
                Attempt::Taken(port, listener) => return Ok((port, listener)),
                Attempt::HeldByABuild => held_by_builds = true,
                Attempt::HeldByAStranger => {}
            }
        }
        let patience = if held_by_builds { PATIENCE_WITH_BUILDS } else { PATIENCE_WITH_STRANGERS };
        if started.elapsed() > patience {
            let (purpose, range) = (request.purpose, request.range);
            return Err(PortError::Exhausted { purpose, range, address: request.address.to_owned() });
        }
        if held_by_builds && !told {
            told = true;
            reporter.say(format!(
                "All ports for {} ({}) are in use by other builds; waiting for one of them",
                request.purpose, request.range
            ));
        }
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
}

enum Attempt {
    Taken(Port, TcpListener),
    HeldByABuild,
    HeldByAStranger,
}

fn attempt(request: &PortRequest<'_>, directory: &Path, number: u16) -> Result<Attempt, PortError> {
    let path = directory.join(number.to_string());
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|source| PortError::Lock { path: path.clone(), source })?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Attempt::HeldByABuild),
        Err(TryLockError::Error(source)) => return Err(PortError::Lock { path, source }),
    }
    match TcpListener::bind((request.address, number)) {
        Ok(listener) => Ok(Attempt::Taken(Port { number, _lock: lock }, listener)),
        Err(error) if belongs_to_the_address(&error) => Err(PortError::Address {
            purpose: request.purpose,
            address: request.address.to_owned(),
            source: error,
        }),
        Err(_) => Ok(Attempt::HeldByAStranger),
    }
}

/// Whether another port would fail the same way.
fn belongs_to_the_address(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{AddrInUse, PermissionDenied};
    !matches!(error.kind(), AddrInUse | PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_voice;

    fn request(range: PortRange) -> PortRequest<'static> {
        PortRequest { purpose: "the test", range, address: "127.0.0.1" }
    }

    #[test]
    fn the_highest_port_is_left_out_unless_it_is_the_lowest_too() {
        let mut all = PortRange { min: 10, max: 14 }.shuffled(7);
        all.sort_unstable();
        assert_eq!(all, [10, 11, 12, 13]);
        assert_eq!(PortRange { min: 10, max: 10 }.shuffled(7), [10]);
        assert_eq!(PortRange { min: 65535, max: 65535 }.shuffled(7), [65535]);
    }

    #[tokio::test]
    async fn two_builds_never_get_the_same_port() {
        let cache = tempfile::tempdir().expect("a directory");
        let voice = test_voice::reporter();
        let range = PortRange { min: 21_000, max: 21_400 };
        let mut held = Vec::new();
        for _ in 0..60 {
            let (port, listener) = take(&request(range), cache.path(), &voice).await.expect("a port");
            drop(listener);
            assert!(held.iter().all(|other: &Port| other.number != port.number));
            held.push(port);
        }
    }

    #[tokio::test]
    async fn a_port_is_free_again_when_its_build_has_ended() {
        let cache = tempfile::tempdir().expect("a directory");
        let voice = test_voice::reporter();
        let probe = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let number = probe.local_addr().expect("an address").port();
        drop(probe);
        let range = PortRange { min: number, max: number };
        let (first, listener) = take(&request(range), cache.path(), &voice).await.expect("a port");
        drop(listener);
        let wanted = request(range);
        let second = take(&wanted, cache.path(), &voice);
        tokio::pin!(second);
        let waits = tokio::time::timeout(LOOK_AGAIN_AFTER * 2, &mut second).await;
        assert!(waits.is_err(), "the port was given out twice");
        drop(first);
        let (second, _) = second.await.expect("the port of the first build");
        assert_eq!(second.number, number);
    }

    #[tokio::test]
    async fn a_range_that_strangers_fill_is_reported_as_exhausted() {
        let cache = tempfile::tempdir().expect("a directory");
        let stranger = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let number = stranger.local_addr().expect("an address").port();
        let range = PortRange { min: number, max: number };
        let error = take(&request(range), cache.path(), &test_voice::reporter())
            .await
            .expect_err("no port")
            .to_string();
        assert!(error.contains("is exhausted") && error.contains(&number.to_string()), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_an_error_at_once() {
        let cache = tempfile::tempdir().expect("a directory");
        let wanted = PortRequest { address: "192.0.2.1", ..request(PortRange { min: 9000, max: 9100 }) };
        let error = take(&wanted, cache.path(), &test_voice::reporter()).await.expect_err("no port");
        assert!(matches!(error, PortError::Address { .. }), "{error:?}");
    }
}
