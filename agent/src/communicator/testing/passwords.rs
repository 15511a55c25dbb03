//! A server that takes passwords, behind the true protocol. OpenSSH would want the password of a real user.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::communicator::guest::Address;
use crate::communicator::keys::{KeyKind, KeyPair};

/// The password that it takes.
pub(crate) const PASSWORD: &str = "correct horse";

/// How it takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// By the method `password`.
    Password,
    /// By questions.
    Questions,
    /// By a public key first, then a password.
    KeyThenPassword,
}

/// The server. Ends with the value.
pub(crate) struct Passwords {
    pub(crate) address: Address,
    /// How many logins were refused.
    pub(crate) refused: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Passwords {
    pub(crate) async fn start(ask: Ask) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
        let refused = Arc::new(AtomicUsize::new(0));
        let host = KeyPair::generate(KeyKind::EcdsaP256, "").unwrap();
        let methods = Keeper { ask, refused: refused.clone() }.methods();
        let config = Arc::new(Config {
            keys: vec![(**host.private()).clone()],
            methods,
            auth_rejection_time: Duration::from_millis(1),
            ..Config::default()
        });
        let count = refused.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keeper = Keeper { ask, refused: count.clone() };
                if let Ok(session) = russh::server::run_stream(config.clone(), stream, keeper).await {
                    tokio::spawn(session);
                }
            }
        });
        Self { address, refused, _task: AbortOnDropHandle::new(task) }
    }
}

struct Keeper {
    ask: Ask,
    refused: Arc<AtomicUsize>,
}

impl Keeper {
    fn methods(&self) -> MethodSet {
        MethodSet::from(match self.ask {
            Ask::Password => &[MethodKind::Password][..],
            Ask::Questions => &[MethodKind::KeyboardInteractive],
            Ask::KeyThenPassword => &[MethodKind::PublicKey],
        })
    }

    fn judge(&self, password: &[u8]) -> Auth {
        if password == PASSWORD.as_bytes() {
            return Auth::Accept;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        // As OpenSSH: what it takes stays the same.
        Auth::Reject { proceed_with_methods: Some(self.methods()), partial_success: false }
    }
}

impl Handler for Keeper {
    type Error = russh::Error;

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(if self.ask == Ask::Questions { Auth::reject() } else { self.judge(password.as_bytes()) })
    }

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        if self.ask != Ask::KeyThenPassword {
            return Ok(Auth::reject());
        }
        let proceed_with_methods = Some(MethodSet::from(&[MethodKind::Password][..]));
        Ok(Auth::Reject { proceed_with_methods, partial_success: true })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        match response {
            None => Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password: ".into(), false), ("Once more: ".into(), false)].into(),
            }),
            Some(answers) => {
                let answers: Vec<Vec<u8>> = answers.map(|a| a.to_vec()).collect();
                let good = answers.len() == 2 && answers.iter().all(|a| a == PASSWORD.as_bytes());
                Ok(self.judge(if good { PASSWORD.as_bytes() } else { b"" }))
            }
        }
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)?;
        session.data(channel, command.to_vec())?;
        // A command named `vanish` never tells how it ended.
        if command != b"vanish" {
            session.exit_status_request(channel, 7)?;
        }
        session.eof(channel)?;
        session.close(channel)
    }
}
