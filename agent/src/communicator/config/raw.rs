//! The options by the names that templates use, in groups, before they are made sense of.

use kiln_lang::decode::decode;
use kiln_lang::duration::SignedDuration;
use kiln_lang::{Diagnostic, Diagnostics, Value};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// All of them.
pub(super) struct Raw {
    pub(super) main: Main,
    pub(super) login: Login,
    pub(super) keys: Keys,
    pub(super) patience: Patience,
    pub(super) session: Session,
    pub(super) bastion: Bastion,
    pub(super) route: Route,
}

impl Raw {
    /// Reads all groups; `None` when a value doesn't fit its option, since what follows from it would mislead.
    pub(super) fn read(options: &Value, found: &mut Diagnostics) -> Option<Self> {
        let raw = Self {
            main: group(options, found),
            login: group(options, found),
            keys: group(options, found),
            patience: group(options, found),
            session: group(options, found),
            bastion: group(options, found),
            route: group(options, found),
        };
        (!found.has_errors()).then_some(raw)
    }
}

fn group<T: DeserializeOwned + Default>(options: &Value, found: &mut Diagnostics) -> T {
    decode(options).unwrap_or_else(|errors| {
        let told =
            errors.0.iter().map(|e| Diagnostic::error(format!("{} is invalid", e.path), format!("{e}.")));
        found.extend(told);
        T::default()
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Main {
    pub(super) communicator: String,
    pub(super) pause_before_connecting: SignedDuration,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Login {
    pub(super) ssh_host: String,
    pub(super) ssh_port: i64,
    pub(super) ssh_username: String,
    pub(super) ssh_password: String,
    pub(super) ssh_private_key_file: String,
    pub(super) ssh_certificate_file: String,
    pub(super) ssh_agent_auth: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Keys {
    pub(super) ssh_keypair_name: String,
    pub(super) ssh_private_key: String,
    pub(super) temporary_key_pair_name: String,
    pub(super) temporary_key_pair_type: String,
    pub(super) temporary_key_pair_bits: i64,
    pub(super) ssh_clear_authorized_keys: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Patience {
    pub(super) ssh_timeout: SignedDuration,
    pub(super) ssh_wait_timeout: SignedDuration,
    pub(super) ssh_handshake_attempts: i64,
    pub(super) ssh_keep_alive_interval: SignedDuration,
    pub(super) ssh_read_write_timeout: SignedDuration,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Session {
    pub(super) ssh_ciphers: Vec<String>,
    pub(super) ssh_key_exchange_algorithms: Vec<String>,
    pub(super) ssh_pty: bool,
    pub(super) ssh_disable_agent_forwarding: bool,
    pub(super) ssh_file_transfer_method: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Bastion {
    pub(super) ssh_bastion_host: String,
    pub(super) ssh_bastion_port: i64,
    pub(super) ssh_bastion_username: String,
    pub(super) ssh_bastion_password: String,
    pub(super) ssh_bastion_interactive: bool,
    pub(super) ssh_bastion_agent_auth: bool,
    pub(super) ssh_bastion_private_key_file: String,
    pub(super) ssh_bastion_certificate_file: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Route {
    pub(super) ssh_proxy_host: String,
    pub(super) ssh_proxy_port: i64,
    pub(super) ssh_proxy_username: String,
    pub(super) ssh_proxy_password: String,
    pub(super) ssh_remote_tunnels: Vec<String>,
    pub(super) ssh_local_tunnels: Vec<String>,
}
