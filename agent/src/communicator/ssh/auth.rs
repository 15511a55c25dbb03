//! Logging in: every key, password and answer that there is, one after the other, until the server is content.
//!
//! Packer's client offers one public key at most. Here each one is tried; a server that hangs up after a few
//! wrong ones (OpenSSH after six) is called again and offered the rest.

use std::sync::Arc;

use kiln_component::Reporter;
use kiln_plan::secret::Sensitive;
use russh::MethodKind;
use russh::Signer;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt};
use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};

use super::agent::AgentSocket;
use super::connection::Events;
use crate::communicator::config::Login;
use crate::communicator::keys::KeyPair;

/// How many questions a server may ask in a row.
const MAX_QUESTIONS: usize = 20;

/// One thing to try.
enum Method {
    /// Nothing at all, which also shows what the server takes.
    Nothing,
    AgentKey(Box<AgentIdentity>),
    Key {
        key: KeyPair,
        label: &'static str,
    },
    Certificate {
        key: KeyPair,
    },
    Password(Sensitive<String>),
    /// A password as the answer to every question.
    Answers(Sensitive<String>),
    /// A person answers.
    Person(Reporter),
}

/// All that can be tried for one login, in order.
pub(super) struct Credentials {
    user: String,
    agent: AgentSocket,
    methods: Vec<Method>,
    /// What can't be tried, for the error.
    pub(super) missing: Vec<String>,
}

/// How a login ended.
pub(super) enum Outcome {
    /// Well.
    Accepted,
    /// Nothing suits the server.
    Rejected,
    /// The server hung up; the methods from `next` on have not been tried.
    HungUp { next: usize },
}

/// The sources of credentials for one login.
pub(super) struct Sources<'a> {
    pub(super) login: &'a Login,
    /// The temporary key of the guest.
    pub(super) temporary: Option<&'a KeyPair>,
    pub(super) agent: &'a AgentSocket,
    /// Whether the guest may use the agent: then its keys are tried as well, last.
    pub(super) agent_forwarded: bool,
    pub(super) reporter: &'a Reporter,
}

impl Credentials {
    pub(super) async fn gather(from: Sources<'_>) -> Self {
        let mut methods = vec![Method::Nothing];
        let mut missing = Vec::new();
        let mut agent_keys = match from.login.agent || from.agent_forwarded {
            true => from.agent.identities().await,
            false => Ok(Vec::new()),
        };
        if from.login.agent {
            match std::mem::replace(&mut agent_keys, Ok(Vec::new())) {
                Ok(keys) if keys.is_empty() => missing.push("the ssh-agent holds no keys".to_owned()),
                Ok(keys) => methods.extend(keys.into_iter().map(Box::new).map(Method::AgentKey)),
                Err(error) => missing.push(kiln_plan::fault::chain(&error)),
            }
        }
        if let Some(key) = &from.login.key {
            if key.certificate().is_some() {
                methods.push(Method::Certificate { key: key.clone() });
            }
            methods.push(Method::Key { key: key.clone(), label: "private key" });
        }
        if let Some(key) = from.temporary {
            methods.push(Method::Key { key: key.clone(), label: "temporary key" });
        }
        if let Some(password) = &from.login.password {
            methods.push(Method::Password(password.clone()));
            methods.push(Method::Answers(password.clone()));
        }
        if from.login.interactive {
            methods.push(Method::Person(from.reporter.clone()));
        }
        methods.extend(agent_keys.unwrap_or_default().into_iter().map(Box::new).map(Method::AgentKey));
        Self { user: from.login.username.clone(), agent: from.agent.clone(), methods, missing }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    /// Whether there is a method number `next`.
    pub(super) fn has_more(&self, next: usize) -> bool {
        next < self.methods.len()
    }

    /// Tries the methods from number `from` on; notes in `tried` what was tried.
    pub(super) async fn log_in(
        &self,
        handle: &mut Handle<Events>,
        from: usize,
        tried: &mut Vec<String>,
    ) -> Outcome {
        let mut accepted = vec![false; self.methods.len()];
        let mut offered: Option<russh::MethodSet> = None;
        let mut start = from;
        // A server may want several methods one after the other: then those passed over get another chance.
        'anew: loop {
            for (i, method) in self.methods.iter().enumerate().skip(start) {
                let unwanted = offered.as_ref().is_some_and(|o| !o.contains(&method.kind()));
                if accepted[i] || unwanted {
                    continue;
                }
                let result = self.attempt(handle, method).await;
                if !matches!(method, Method::Nothing) {
                    tried.push(method.label());
                }
                match result {
                    Ok(AuthResult::Success) => return Outcome::Accepted,
                    _ if handle.is_closed() => return Outcome::HungUp { next: i + 1 },
                    Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
                        offered = Some(remaining_methods);
                        if partial_success {
                            accepted[i] = true;
                            start = 0;
                            continue 'anew;
                        }
                    }
                    Err(error) => tracing::debug!(%error, method = method.label(), "login method failed"),
                }
            }
            return Outcome::Rejected;
        }
    }

    async fn attempt(&self, handle: &mut Handle<Events>, method: &Method) -> Result<AuthResult, LoginError> {
        let user = self.user.as_str();
        match method {
            Method::Nothing => Ok(handle.authenticate_none(user).await?),
            Method::Password(password) => Ok(handle.authenticate_password(user, password.reveal()).await?),
            Method::Answers(password) => {
                let answer = |_: &Prompt| password.reveal().clone();
                self.interactive(handle, |prompts| prompts.iter().map(answer).collect()).await
            }
            Method::Person(reporter) => self.person(handle, reporter).await,
            Method::Key { key, .. } => self.key(handle, key.private()).await,
            Method::Certificate { key } => self.certificate(handle, key).await,
            Method::AgentKey(identity) => self.agent_key(handle, identity).await,
        }
    }

    async fn key(
        &self,
        handle: &mut Handle<Events>,
        key: &Arc<PrivateKey>,
    ) -> Result<AuthResult, LoginError> {
        let mut result = None;
        for hash in hashes(handle, key.algorithm().is_rsa()).await {
            let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
            let outcome = handle.authenticate_publickey(&self.user, key).await?;
            if rejected_plainly(&outcome) && !handle.is_closed() {
                result = Some(outcome);
                continue;
            }
            return Ok(outcome);
        }
        result.ok_or(LoginError::NoHash)
    }

    async fn certificate(
        &self,
        handle: &mut Handle<Events>,
        key: &KeyPair,
    ) -> Result<AuthResult, LoginError> {
        let Some(certificate) = key.certificate() else { return Err(LoginError::NoHash) };
        let rsa = key.private().algorithm().is_rsa();
        let hash = hashes(handle, rsa).await.first().copied().flatten();
        let mut signer = KeySigner(key.private().clone());
        handle.authenticate_certificate_with(&self.user, (**certificate).clone(), hash, &mut signer).await
    }

    async fn agent_key(
        &self,
        handle: &mut Handle<Events>,
        identity: &AgentIdentity,
    ) -> Result<AuthResult, LoginError> {
        let mut agent = self.agent.client().await?;
        match identity {
            AgentIdentity::PublicKey { key, .. } => {
                let hash = hashes(handle, key.algorithm().is_rsa()).await.first().copied().flatten();
                Ok(handle.authenticate_publickey_with(&self.user, key.clone(), hash, &mut agent).await?)
            }
            AgentIdentity::Certificate { certificate, .. } => {
                let hash = hashes(handle, certificate.algorithm().is_rsa()).await.first().copied().flatten();
                let certificate = certificate.clone();
                Ok(handle.authenticate_certificate_with(&self.user, certificate, hash, &mut agent).await?)
            }
        }
    }

    async fn interactive(
        &self,
        handle: &mut Handle<Events>,
        mut answers: impl FnMut(&[Prompt]) -> Vec<String>,
    ) -> Result<AuthResult, LoginError> {
        let mut reply = handle.authenticate_keyboard_interactive_start(&self.user, None).await?;
        for _ in 0..MAX_QUESTIONS {
            let KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } = &reply else { break };
            let answers = answers(prompts);
            reply = handle.authenticate_keyboard_interactive_respond(answers).await?;
        }
        settled(reply)
    }

    async fn person(
        &self,
        handle: &mut Handle<Events>,
        reporter: &Reporter,
    ) -> Result<AuthResult, LoginError> {
        let mut reply = handle.authenticate_keyboard_interactive_start(&self.user, None).await?;
        for _ in 0..MAX_QUESTIONS {
            let KeyboardInteractiveAuthResponse::InfoRequest { name, instructions, prompts } = &reply else {
                break;
            };
            let mut answers = Vec::new();
            for prompt in prompts {
                let question = [name, instructions, &prompt.prompt].map(|t| t.trim()).join(" ");
                answers.push(reporter.ask(question.trim()).await.ok_or(LoginError::Nobody)?);
            }
            reply = handle.authenticate_keyboard_interactive_respond(answers).await?;
        }
        settled(reply)
    }
}

impl Method {
    const fn kind(&self) -> MethodKind {
        match self {
            Self::Nothing => MethodKind::None,
            Self::AgentKey(_) | Self::Key { .. } | Self::Certificate { .. } => MethodKind::PublicKey,
            Self::Password(_) => MethodKind::Password,
            Self::Answers(_) | Self::Person(_) => MethodKind::KeyboardInteractive,
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::AgentKey(identity) => {
                let (AgentIdentity::PublicKey { comment, .. } | AgentIdentity::Certificate { comment, .. }) =
                    &**identity;
                format!("agent key {comment:?}")
            }
            Self::Key { label, .. } => (*label).to_owned(),
            Self::Certificate { .. } => "certificate".to_owned(),
            Self::Password(_) => "password".to_owned(),
            Self::Answers(_) => "password as an answer".to_owned(),
            Self::Person(_) => "a person's answers".to_owned(),
        }
    }
}

/// Why a method could not even be tried.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    #[error("the protocol failed")]
    Protocol(#[from] russh::Error),
    #[error("the session is gone")]
    Send(#[from] russh::SendError),
    #[error(transparent)]
    Agent(#[from] super::agent::AgentError),
    #[error("the ssh-agent does not sign")]
    Signing(#[from] russh::AgentAuthError),
    #[error("cannot sign with the key")]
    Key(#[from] russh::keys::ssh_key::Error),
    #[error("cannot sign with the key")]
    Signature(#[from] russh::keys::signature::Error),
    #[error("cannot encode the signature")]
    Encoding(#[from] russh::keys::ssh_encoding::Error),
    #[error("the key suits no signature")]
    NoHash,
    #[error("there is nobody to ask")]
    Nobody,
}

/// Signs with a key of ours, where the library leaves signing to us.
struct KeySigner(Arc<PrivateKey>);

impl Signer for KeySigner {
    type Error = LoginError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut message: Vec<u8>,
    ) -> Result<Vec<u8>, LoginError> {
        use russh::keys::signature::Signer as _;
        let signature: Signature = match self.0.key_data() {
            KeypairData::Rsa(pair) => (pair, hash).try_sign(&message)?,
            _ => self.0.try_sign(&message)?,
        };
        signature.encode_prefixed(&mut message)?;
        Ok(message)
    }
}

/// The hashes to sign with, best first: servers that don't tell (before OpenSSH 7.2) may know SHA-1 alone.
async fn hashes(handle: &Handle<Events>, rsa: bool) -> Vec<Option<HashAlg>> {
    if !rsa {
        return vec![None];
    }
    match handle.best_supported_rsa_hash().await {
        Ok(Some(best)) => vec![best],
        _ => vec![Some(HashAlg::Sha256), None],
    }
}

fn rejected_plainly(result: &AuthResult) -> bool {
    matches!(result, AuthResult::Failure { partial_success: false, .. })
}

fn settled(reply: KeyboardInteractiveAuthResponse) -> Result<AuthResult, LoginError> {
    match reply {
        KeyboardInteractiveAuthResponse::Success => Ok(AuthResult::Success),
        KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
            Ok(AuthResult::Failure { remaining_methods, partial_success })
        }
        KeyboardInteractiveAuthResponse::InfoRequest { .. } => Err(LoginError::Nobody),
    }
}
