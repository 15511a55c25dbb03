//! What a template says about reaching the guest: read, completed by Packer's defaults, and checked as a whole,
//! so that everything wrong is told at once.
//!
//! Two steps, kept apart: [`raw`] holds the options by the names that templates use; this file turns them into
//! the types that the rest of the communicator works with, in which a wrong combination can't be written.

mod algorithms;
mod options;
mod raw;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_component::factory::Made;
use kiln_lang::duration::SignedDuration;
use kiln_lang::{Diagnostic, Diagnostics, Value};
use kiln_plan::secret::Sensitive;

pub use algorithms::Algorithms;
pub use options::options;

use super::keys::{KeyError, KeyKind, KeyPair};
use raw::Raw;

/// Which communicator, with its options.
#[derive(Clone, Debug)]
pub enum CommunicatorConfig {
    /// The guest isn't spoken with.
    None,
    /// Over SSH.
    Ssh(Box<SshConfig>),
}

/// All that `ssh_*` options say.
#[derive(Clone, Debug)]
pub struct SshConfig {
    /// `ssh_host`: for the builder, which may know better.
    pub host: Option<String>,
    /// `ssh_port`: the port in the guest.
    pub port: u16,
    /// How to log in to the guest.
    pub login: Login,
    /// What temporary key to make when the template gives none.
    pub temporary_key: TemporaryKey,
    /// `ssh_keypair_name`: for cloud builders.
    pub keypair_name: Option<String>,
    /// How long to try.
    pub patience: Patience,
    /// What to offer in the key exchange.
    pub algorithms: Algorithms,
    /// How a connection is kept and given up.
    pub upkeep: Upkeep,
    /// How commands and files travel.
    pub session: SessionConfig,
    /// What lies between this machine and the guest.
    pub route: Route,
    /// Ports carried over the connection.
    pub tunnels: Vec<Tunnel>,
    /// `ssh_clear_authorized_keys`. Some builders force it.
    pub clear_authorized_keys: bool,
}

/// How to log in somewhere. All that is there is tried, in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// Who.
    pub username: String,
    /// With the keys of the ssh-agent.
    pub agent: bool,
    /// With this key and its certificate.
    pub key: Option<KeyPair>,
    /// Where that key came from, as the template has it.
    pub key_file: Option<PathBuf>,
    /// With this password, also as the answer to every question.
    pub password: Option<Sensitive<String>>,
    /// With what a person answers.
    pub interactive: bool,
}

/// `temporary_key_pair_*`.
#[derive(Clone, Debug)]
pub struct TemporaryKey {
    /// Its comment; empty when the template gives none.
    pub name: String,
    /// Its kind.
    pub kind: KeyKind,
}

/// How long to try. The defaults come as a pair: giving either lifts the other's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long in all; `None` for ever.
    pub timeout: Option<Duration>,
    /// How many refused logins; `None` for any number.
    pub handshake_attempts: Option<u32>,
    /// `pause_before_connecting`
    pub pause_before_connecting: Duration,
}

/// How a connection is kept and given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// How long silence lasts before it is probed; `None` for ever.
    pub keep_alive: Option<Duration>,
    /// How long one read or write may take; `None` for ever.
    pub io_timeout: Option<Duration>,
}

/// How commands and files travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// `ssh_pty`
    pub pty: bool,
    /// Whether the guest may use this machine's ssh-agent.
    pub forward_agent: bool,
    /// `ssh_file_transfer_method`
    pub transfer: TransferMethod,
}

/// `ssh_file_transfer_method`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferMethod {
    /// The protocol of rcp over a command.
    Scp,
    /// The file transfer subsystem.
    Sftp,
}

/// What lies between this machine and the guest.
#[derive(Clone, Debug)]
pub enum Route {
    /// Nothing.
    Direct,
    /// An SSH server.
    Bastion(Box<Bastion>),
    /// A proxy.
    Proxy(Proxy),
}

/// An SSH server to go through.
#[derive(Clone, Debug)]
pub struct Bastion {
    /// Its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How to log in there.
    pub login: Login,
}

/// A proxy to go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// What it speaks; `None`: SOCKS5, or HTTP when it answers so.
    pub protocol: Option<ProxyProtocol>,
    /// Its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// A name and a password, if it wants them.
    pub credentials: Option<(String, Sensitive<String>)>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// SOCKS version 5 (RFC 1928).
    Socks5,
    /// HTTP's CONNECT (RFC 9110).
    Http,
}

/// A port carried over the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// `ssh_local_tunnels`: a port of this machine leads to a server on the guest's side.
    Local {
        /// The port on this machine's loopback.
        port: u16,
        /// Where to, as the guest sees it.
        to: (String, u16),
    },
    /// `ssh_remote_tunnels`: a port of the guest leads to a server on this machine's side.
    Remote {
        /// The port on the guest's loopback.
        port: u16,
        /// Where to, as this machine sees it.
        to: (String, u16),
    },
}

impl CommunicatorConfig {
    /// Reads and checks the options. `working_dir` is where relative paths start. Reads the key files that the
    /// template names, so that they can be checked before anything is built.
    ///
    /// # Errors
    /// Everything that is wrong, all at once; but an unknown communicator is told alone.
    pub fn parse(options: &Value, working_dir: &Path) -> Made<Self> {
        let mut found = Diagnostics::new();
        let Some(raw) = Raw::read(options, &mut found) else { return Err(found) };
        let config = match raw.main.communicator.as_str() {
            "" | "ssh" => Self::Ssh(Box::new(ssh(&raw, working_dir, &mut found))),
            "none" => Self::None,
            known @ ("winrm" | "docker" | "dockerWindowsContainer") => return Err(unavailable(known).into()),
            other => return Err(unknown(other).into()),
        };
        if found.has_errors() { Err(found) } else { Ok((config, found)) }
    }

    /// What templates call it: `ssh` or `none`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ssh(_) => "ssh",
        }
    }

    /// The options of the SSH communicator, when it is the one.
    pub fn ssh(&self) -> Option<&SshConfig> {
        match self {
            Self::None => None,
            Self::Ssh(config) => Some(config),
        }
    }
}

fn unavailable(name: &str) -> Diagnostic {
    let detail = format!(
        "This version of Kiln doesn't speak {name:?} with guests yet; it speaks \"ssh\" and \"none\"."
    );
    let hint = match name {
        "winrm" => {
            "Windows guests can be reached over OpenSSH: enable its server in the guest, then set communicator = \"ssh\"."
        }
        _ => "Set communicator to \"ssh\" or \"none\".",
    };
    Diagnostic::error(format!("Communicator {name:?} is not available"), detail).hint(hint)
}

fn unknown(name: &str) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        format!("Communicator type {name} is invalid"),
        "The option \"communicator\" takes \"ssh\", \"winrm\" or \"none\".",
    );
    match kiln_lang::diagnostic::nearest(name, ["ssh", "winrm", "none"]) {
        Some(near) => diagnostic.hint(format!("Did you mean {near:?}?")),
        None => diagnostic,
    }
}

fn ssh(raw: &Raw, working_dir: &Path, found: &mut Diagnostics) -> SshConfig {
    let login = login(raw, working_dir, found);
    if login.username.is_empty() {
        found.push(Diagnostic::error(
            "An ssh_username must be specified",
            "The SSH communicator needs to know who logs in to the guest.",
        ));
    }
    let route = route(raw, &login, working_dir, found);
    let kind = KeyKind::asked_for(&raw.keys.temporary_key_pair_type, raw.keys.temporary_key_pair_bits);
    let kind = kind.unwrap_or_else(|e| {
        found.push(key_error("temporary_key_pair_type", &e));
        KeyKind::EcdsaP256
    });
    SshConfig {
        host: text(&raw.login.ssh_host),
        port: port("ssh_port", raw.login.ssh_port, 22, found),
        login,
        temporary_key: TemporaryKey { name: raw.keys.temporary_key_pair_name.clone(), kind },
        keypair_name: text(&raw.keys.ssh_keypair_name),
        patience: patience(raw, found),
        algorithms: Algorithms::new(
            &raw.session.ssh_ciphers,
            &raw.session.ssh_key_exchange_algorithms,
            found,
        ),
        upkeep: upkeep(raw, found),
        session: SessionConfig {
            pty: raw.session.ssh_pty,
            forward_agent: !raw.session.ssh_disable_agent_forwarding,
            transfer: transfer(&raw.session.ssh_file_transfer_method, found),
        },
        route,
        tunnels: tunnels(raw, found),
        clear_authorized_keys: raw.keys.ssh_clear_authorized_keys,
    }
}

fn login(raw: &Raw, working_dir: &Path, found: &mut Diagnostics) -> Login {
    let files = KeyFiles {
        key: ("ssh_private_key_file", &raw.login.ssh_private_key_file),
        certificate: ("ssh_certificate_file", &raw.login.ssh_certificate_file),
    };
    let key = match (files.load(working_dir, found), raw.keys.ssh_private_key.as_str()) {
        (None, text) if !text.is_empty() && files.key.1.is_empty() => {
            KeyPair::from_text(text).map_err(|e| found.push(key_error("ssh_private_key", &e))).ok()
        }
        (key, _) => key,
    };
    Login {
        username: raw.login.ssh_username.clone(),
        agent: raw.login.ssh_agent_auth,
        key,
        key_file: text(&raw.login.ssh_private_key_file).map(PathBuf::from),
        password: secret(&raw.login.ssh_password),
        interactive: false,
    }
}

fn route(raw: &Raw, guest: &Login, working_dir: &Path, found: &mut Diagnostics) -> Route {
    let bastion = bastion(raw, guest, working_dir, found);
    match (bastion, text(&raw.route.ssh_proxy_host)) {
        (Some(_), Some(_)) => {
            found.push(Diagnostic::error(
                "Both a bastion and a proxy are set",
                "Please specify either ssh_bastion_host or ssh_proxy_host, not both.",
            ));
            Route::Direct
        }
        (Some(bastion), None) => Route::Bastion(Box::new(bastion)),
        (None, Some(host)) => Route::Proxy(proxy(raw, &host, found)),
        (None, None) => Route::Direct,
    }
}

fn bastion(raw: &Raw, guest: &Login, working_dir: &Path, found: &mut Diagnostics) -> Option<Bastion> {
    let b = &raw.bastion;
    let files = KeyFiles {
        key: ("ssh_bastion_private_key_file", &b.ssh_bastion_private_key_file),
        certificate: ("ssh_bastion_certificate_file", &b.ssh_bastion_certificate_file),
    };
    let key = files.load(working_dir, found);
    let host = text(&b.ssh_bastion_host)?;
    let own_key = !b.ssh_bastion_private_key_file.is_empty();
    let login = Login {
        username: text(&b.ssh_bastion_username).unwrap_or_else(|| guest.username.clone()),
        agent: b.ssh_bastion_agent_auth,
        key: if own_key { key } else { guest.key.clone() },
        key_file: None,
        password: secret(&b.ssh_bastion_password),
        interactive: b.ssh_bastion_interactive,
    };
    let key_given = own_key || guest.key_file.is_some() || login.key.is_some();
    if !(login.agent || login.interactive || login.password.is_some() || key_given) {
        found.push(Diagnostic::error(
            "No way to log in to the bastion",
            "When ssh_bastion_host is specified, one of ssh_bastion_password, ssh_bastion_private_key_file, \
             ssh_bastion_agent_auth or ssh_bastion_interactive must be specified.",
        ));
    }
    Some(Bastion { host, port: port("ssh_bastion_port", b.ssh_bastion_port, 22, found), login })
}

fn proxy(raw: &Raw, host: &str, found: &mut Diagnostics) -> Proxy {
    let (protocol, rest) = match host.split_once("://") {
        Some(("socks5" | "socks5h", rest)) => (Some(ProxyProtocol::Socks5), rest),
        Some(("http", rest)) => (Some(ProxyProtocol::Http), rest),
        Some((scheme, rest)) => {
            found.push(Diagnostic::error(
                format!("ssh_proxy_host has the unknown scheme {scheme:?}"),
                "Write the bare name of the proxy, or put socks5:// or http:// before it.",
            ));
            (None, rest)
        }
        None => (None, host),
    };
    let rest = rest.trim_end_matches('/');
    // A port may stand in the URL as well; an IPv6 address has more than one colon.
    let (name, own_port) = match rest.rsplit_once(':') {
        Some((name, p)) if protocol.is_some() && !p.is_empty() => match p.parse::<i64>() {
            Ok(p) => (name, p),
            Err(_) => (rest, 0),
        },
        _ => (rest, 0),
    };
    let given = if raw.route.ssh_proxy_port == 0 { own_port } else { raw.route.ssh_proxy_port };
    let credentials = text(&raw.route.ssh_proxy_username)
        .map(|u| (u, Sensitive::new(raw.route.ssh_proxy_password.clone())));
    Proxy {
        protocol,
        host: name.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: port("ssh_proxy_port", given, 1080, found),
        credentials,
    }
}

/// Packer's rule (trap 1): 5 minutes and 10 attempts when both are silent; whoever gives one lifts the other.
fn patience(raw: &Raw, found: &mut Diagnostics) -> Patience {
    let p = &raw.patience;
    let limit = |d: SignedDuration| (!d.is_zero()).then(|| d.max_zero());
    let (mut timeout, mut attempts) = (limit(p.ssh_timeout), p.ssh_handshake_attempts);
    if timeout.is_none() && attempts == 0 {
        (timeout, attempts) = (Some(Duration::from_mins(5)), 10);
    }
    if !p.ssh_wait_timeout.is_zero() {
        timeout = limit(p.ssh_wait_timeout);
    }
    for (name, value) in [("ssh_timeout", p.ssh_timeout), ("ssh_wait_timeout", p.ssh_wait_timeout)] {
        if value.is_negative() {
            found.push(Diagnostic::error(
                format!("{name} is negative"),
                "A wait can't be shorter than nothing.",
            ));
        }
    }
    if attempts < 0 {
        found.push(Diagnostic::error(
            "ssh_handshake_attempts is negative",
            "Write 0 for any number of attempts.",
        ));
    }
    Patience {
        timeout,
        handshake_attempts: u32::try_from(attempts).ok().filter(|n| *n > 0),
        pause_before_connecting: raw.main.pause_before_connecting.max_zero(),
    }
}

fn upkeep(raw: &Raw, _found: &mut Diagnostics) -> Upkeep {
    let interval = raw.patience.ssh_keep_alive_interval;
    let keep_alive = match interval {
        i if i.is_zero() => Some(Duration::from_secs(5)),
        i if i.is_negative() => None,
        i => Some(i.max_zero()),
    };
    let io = raw.patience.ssh_read_write_timeout.max_zero();
    Upkeep { keep_alive, io_timeout: (!io.is_zero()).then_some(io) }
}

fn transfer(name: &str, found: &mut Diagnostics) -> TransferMethod {
    match name {
        "" | "scp" => TransferMethod::Scp,
        "sftp" => TransferMethod::Sftp,
        other => {
            found.push(Diagnostic::error(
                format!("ssh_file_transfer_method ({other:?}) is invalid"),
                "Valid methods are \"scp\" and \"sftp\".",
            ));
            TransferMethod::Scp
        }
    }
}

fn tunnels(raw: &Raw, found: &mut Diagnostics) -> Vec<Tunnel> {
    let mut all = Vec::new();
    let mut read = |name: &str, specs: &[String], make: fn(u16, (String, u16)) -> Tunnel| {
        for spec in specs {
            match tunnel(spec) {
                Some((port, to)) => all.push(make(port, to)),
                None => found.push(Diagnostic::error(
                    format!("{name} ({spec:?}) is invalid"),
                    "A tunnel is written as PORT:HOST:PORT, where both ports are numbers from 1 to 65535.",
                )),
            }
        }
    };
    read("ssh_local_tunnels", &raw.route.ssh_local_tunnels, |port, to| Tunnel::Local { port, to });
    read("ssh_remote_tunnels", &raw.route.ssh_remote_tunnels, |port, to| Tunnel::Remote { port, to });
    all
}

fn tunnel(spec: &str) -> Option<(u16, (String, u16))> {
    let (from, to) = spec.split_once(':')?;
    let (host, port) = to.rsplit_once(':')?;
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|p| *p > 0);
    let host = host.trim().trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some(())?;
    Some((number(from)?, (host.to_owned(), number(port)?)))
}

/// A pair of options that name a key and its certificate.
struct KeyFiles<'a> {
    key: (&'static str, &'a str),
    certificate: (&'static str, &'a str),
}

impl KeyFiles<'_> {
    fn load(&self, working_dir: &Path, found: &mut Diagnostics) -> Option<KeyPair> {
        let key = text(self.key.1).map(|p| expand(&p, working_dir));
        let certificate = text(self.certificate.1).map(|p| expand(&p, working_dir));
        let Some(key) = key else {
            if certificate.is_some() {
                found.push(Diagnostic::error(
                    format!("{} must be specified if {} is", self.key.0, self.certificate.0),
                    "A certificate is of no use without its private key.",
                ));
            }
            return None;
        };
        let name = |e: &KeyError| match e {
            KeyError::MalformedCertificate(_) | KeyError::Certificate(_) => self.certificate.0,
            KeyError::Unreadable { path, .. } if Some(path) == certificate.as_ref() => self.certificate.0,
            _ => self.key.0,
        };
        KeyPair::from_files(&key, certificate.as_deref())
            .map_err(|e| found.push(key_error(name(&e), &e)))
            .ok()
    }
}

fn key_error(option: &str, error: &KeyError) -> Diagnostic {
    Diagnostic::error(
        format!("{option} is invalid"),
        format!("{option}: {}.", kiln_plan::fault::chain(error)),
    )
}

/// `~` and `~user` at the start become home directories; the rest is relative to the working directory.
fn expand(path: &str, working_dir: &Path) -> PathBuf {
    let Some(rest) = path.strip_prefix('~') else { return working_dir.join(path) };
    let (user, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let home = if user.is_empty() {
        std::env::var_os("HOME").map(PathBuf::from)
    } else {
        nix::unistd::User::from_name(user).ok().flatten().map(|u| u.dir)
    };
    home.map_or_else(|| working_dir.join(path), |home| home.join(rest))
}

fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn secret(value: &str) -> Option<Sensitive<String>> {
    text(value).map(Sensitive::new)
}

fn port(name: &str, value: i64, default: u16, found: &mut Diagnostics) -> u16 {
    match u16::try_from(value) {
        Ok(0) => default,
        Ok(port) => port,
        Err(_) => {
            found.push(Diagnostic::error(
                format!("{name} ({value}) is invalid"),
                "A port is a number from 1 to 65535.",
            ));
            default
        }
    }
}
