//! The step that waits until the guest lets us in.
//!
//! ```text
//!                 ┌──────────── pause: 250 ms growing to 0.5 s; after a refused login 5 s ───────────┐
//!                 ▼                                                                                │
//!   start ─► attempt: address ─► TCP ─► banner ─► key exchange ─► login ──(why not)──► note it ────┘
//!                 │                                                                                │
//!                 ▼ in                    too many refused logins · ssh_timeout · guest gone · cancelled
//!             connected ─► (pause_before_connecting, once) ─► the same again              ─► failure
//! ```
//!
//! Packer tries every 5 to 7 seconds; a guest that is up is found here within a fraction of a second. Refused
//! logins are counted at Packer's pace all the same, because templates rely on its patience: a server may be up
//! before cloud-init has made the user. And they are repeated slowly, since OpenSSH 9.8 and later shut out whoever
//! fails more often than every 5 s.

mod seen;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kiln_component::{Communicator, Done, Ending, GeneratedData, Step, TaskContext, Undo};
use kiln_lang::Value;
use kiln_plan::Failure;
use tokio::time::{Instant, sleep};

use super::config::{CommunicatorConfig, SshConfig};
use super::guest::{Address, Guest};
use super::keys::KeyPair;
use super::none::NoCommunicator;
use super::ssh::{AgentSocket, AttemptError, Limits, Ssh, Target};
use seen::Seen;

/// Waits until the guest can be spoken with.
#[derive(Clone, Debug)]
pub struct Connect {
    /// How.
    pub config: CommunicatorConfig,
    /// The key pair that the guest was told of, from [`super::keys::MakeKeys`].
    pub key: Option<KeyPair>,
    /// Where the guest is.
    pub guest: Arc<dyn Guest>,
    /// This machine's ssh-agent: [`AgentSocket::of_environment`].
    pub agent: AgentSocket,
    /// How often to try.
    pub pace: Pace,
}

/// The way to the guest, and what is known of it.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The way.
    pub communicator: Arc<dyn Communicator>,
    /// `Host`, `Port`, `User`, `Password`, `ConnType` and the keys; empty without a communicator. The builder adds
    /// `ID` and what it knows besides.
    pub generated: GeneratedData,
    /// Where the guest was reached; `None` without a communicator.
    pub address: Option<Address>,
}

/// How often to try.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The first pause after a failed attempt.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// The pause after a refused login.
    pub after_refusal: Duration,
    /// What a refused login takes in Packer: `ssh_handshake_attempts` of them are waited out at least.
    pub refusal_counts_for: Duration,
    /// How long to wait for the first word of the first connection; a second more after each silent one.
    pub banner: Duration,
    /// The longest such wait.
    pub longest_banner: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            first: Duration::from_millis(250),
            longest: Duration::from_millis(500),
            after_refusal: seconds(5),
            refusal_counts_for: seconds(7),
            banner: seconds(5),
            longest_banner: seconds(20),
        }
    }
}

#[async_trait]
impl Step for Connect {
    type Output = Connected;

    fn name(&self) -> &'static str {
        "connect to the guest"
    }

    async fn run(&self, cx: &TaskContext) -> Result<Done<Connected>, Failure> {
        let Some(config) = self.config.ssh() else {
            let communicator = Arc::new(NoCommunicator);
            let generated = GeneratedData::default();
            return Ok(Done::plain(Connected { communicator, generated, address: None }));
        };
        let mut ssh = self.wait(cx, config).await?;
        let pause = config.patience.pause_before_connecting;
        if !pause.is_zero() {
            ssh.close().await;
            cx.reporter.say(format!("Pausing {} before connecting anew...", shown(pause)));
            if cx.cancel.run_until_cancelled(sleep(pause)).await.is_none() {
                return Err(Failure::cancelled());
            }
            ssh = self.wait(cx, config).await?;
        }
        let address = ssh.address().await;
        let generated = generated(config, self.key.as_ref(), address.as_ref());
        let communicator: Arc<dyn Communicator> = Arc::new(ssh);
        let undo = HangUp(communicator.clone());
        Ok(Done::with_undo(Connected { communicator, generated, address }, undo))
    }
}

struct HangUp(Arc<dyn Communicator>);

#[async_trait]
impl Undo for HangUp {
    async fn undo(self: Box<Self>, _: &TaskContext, _: Ending) {
        self.0.close().await;
    }
}

impl Connect {
    /// A step with the usual pace and the ssh-agent of the environment.
    pub fn new(config: CommunicatorConfig, key: Option<KeyPair>, guest: Arc<dyn Guest>) -> Self {
        Self { config, key, guest, agent: AgentSocket::of_environment(), pace: Pace::default() }
    }

    async fn wait(&self, cx: &TaskContext, config: &SshConfig) -> Result<Ssh, Failure> {
        let target = Target {
            config: Arc::new(config.clone()),
            // The template's own key stands in the config already.
            key: self.key.clone().filter(|_| config.login.key.is_none()),
            agent: self.agent.clone(),
            guest: self.guest.clone(),
            reporter: cx.reporter.clone(),
        };
        if let Ok(address) = self.guest.address().await {
            cx.reporter.say(format!("Using SSH communicator to connect: {}", address.host));
        }
        cx.reporter.say("Waiting for SSH to become available...");
        let seen = Mutex::new(Seen::default());
        let patience = config.patience;
        let expired = async {
            match patience.timeout {
                Some(limit) => {
                    sleep(limit).await;
                    limit
                }
                None => std::future::pending().await,
            }
        };
        let connected = tokio::select! {
            biased;
            () = cx.cancel.cancelled() => return Err(Failure::cancelled()),
            connected = self.try_until_in(&target, &seen) => connected,
            reason = self.guest.gone() => {
                let message = format!("the guest went away while SSH was being waited for: {reason}");
                return Err(lock(&seen).failure(&message));
            }
            limit = expired => {
                return Err(lock(&seen).failure(&format!("Timeout waiting for SSH after {}", shown(limit))));
            }
        };
        let ssh = connected.map_err(|tries| {
            lock(&seen).failure(&format!("the guest has refused {tries} logins over SSH"))
        })?;
        cx.reporter.say("Connected to SSH!");
        Ok(ssh)
    }

    /// Tries until the guest lets us in, or has refused too often: then the number of refusals.
    async fn try_until_in(&self, target: &Target, seen: &Mutex<Seen>) -> Result<Ssh, u32> {
        let pace = self.pace;
        let mut pause = pace.first;
        let mut silences = 0;
        let mut refusals = Refusals::default();
        loop {
            let banner = (pace.banner + Duration::from_secs(silences)).min(pace.longest_banner);
            let error = match Ssh::connect(target, Limits { banner, ..Limits::default() }).await {
                Ok(ssh) => return Ok(ssh),
                Err(error) => error,
            };
            tracing::debug!(error = kiln_plan::fault::chain(&error), "not yet");
            silences = if error.is_silence() { silences + 1 } else { 0 };
            let wait = if error.is_login() {
                refusals.note();
                pace.after_refusal
            } else {
                let now = pause;
                pause = (pause * 3 / 2).min(pace.longest);
                now
            };
            let enough = error.is_login() && self.is_enough(&refusals);
            lock(seen).note(error);
            if enough {
                return Err(refusals.count);
            }
            sleep(wait).await;
        }
    }

    fn is_enough(&self, refusals: &Refusals) -> bool {
        let limit = self.config.ssh().and_then(|c| c.patience.handshake_attempts);
        let Some((limit, first)) = limit.zip(refusals.first) else { return false };
        refusals.count >= limit && first.elapsed() >= self.pace.refusal_counts_for * limit.saturating_sub(1)
    }
}

#[derive(Debug, Default)]
struct Refusals {
    count: u32,
    first: Option<Instant>,
}

impl Refusals {
    fn note(&mut self) {
        self.count += 1;
        self.first.get_or_insert_with(Instant::now);
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `build.*` and `{{build}}` tell of the connection. The address is the one that was connected to, so that
/// with a forwarded port `Port` is the port of this machine.
fn generated(config: &SshConfig, key: Option<&KeyPair>, address: Option<&Address>) -> GeneratedData {
    let mut data = GeneratedData::default();
    let key = config.login.key.as_ref().or(key);
    let secret = |text: String| Value::string(text).marked(true);
    data.set("ConnType", "ssh");
    data.set("Host", address.map_or_else(String::new, |a| a.host.clone()));
    data.set("Port", address.map_or(config.port, |a| a.port).to_string());
    data.set("User", config.login.username.as_str());
    let password = config.login.password.as_ref().map_or_else(String::new, |p| p.reveal().clone());
    data.set("Password", if password.is_empty() { Value::from("") } else { secret(password) });
    data.set("SSHPublicKey", key.map_or("", KeyPair::public_line));
    let private = key.map_or_else(String::new, |k| k.private_text().reveal().clone());
    data.set("SSHPrivateKey", if private.is_empty() { Value::from("") } else { secret(private) });
    let file = config.login.key_file.as_ref().map_or_else(String::new, |p| p.display().to_string());
    data.set("SSHPrivateKeyFile", file);
    data.set("SSHAgentAuth", config.login.agent);
    data.set("WinRMPassword", "");
    data
}

/// A duration as templates write it.
fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 60, seconds % 60) {
        (0, s) if duration.subsec_millis() > 0 => format!("{s}.{:03}s", duration.subsec_millis()),
        (0, s) => format!("{s}s"),
        (m, 0) => format!("{m}m"),
        (m, s) => format!("{m}m{s}s"),
    }
}
