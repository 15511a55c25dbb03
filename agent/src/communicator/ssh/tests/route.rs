//! Through bastions and proxies.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kiln_component::reporter::EventSink;
use kiln_component::{Communicator, Reporter};
use kiln_lang::Value;
use kiln_plan::{EventKind, Redactor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::communicator::Address;
use crate::communicator::config::{Route, SshConfig};
use crate::communicator::ssh::Target;
use crate::communicator::testing::passwords::{Ask, Passwords};
use crate::communicator::testing::sshd::{Sshd, connect, refusal};
use crate::communicator::testing::{bounded, me, run, ssh_config};

fn through(bastion: &Sshd) -> SshConfig {
    let file = bastion.path().join("key");
    if !file.exists() {
        bastion.key.write_private(&file).unwrap();
    }
    ssh_config([
        ("ssh_bastion_host", Value::from("127.0.0.1")),
        ("ssh_bastion_port", Value::from(i64::from(bastion.port))),
        ("ssh_bastion_username", Value::from(me())),
        ("ssh_bastion_private_key_file", Value::from(file.to_str().unwrap())),
    ])
}

#[tokio::test]
async fn a_bastion_leads_to_the_guest_with_a_login_of_its_own() {
    let (bastion, guest) = (Sshd::start().await, Sshd::start().await);
    let ssh = bounded(connect(&guest.target(through(&bastion)))).await;
    let ran = bounded(run(&ssh, "echo $SSH_CONNECTION")).await;
    assert!(ran.out.trim().ends_with(&guest.port.to_string()), "{ran:?}");
    bounded(run(&ssh, "kill -9 $PPID")).await;
    assert_eq!(bounded(run(&ssh, "echo again")).await.out, "again\n", "the whole way is gone again");
}

#[tokio::test]
async fn a_bastion_that_does_not_lead_there_is_told_apart_from_the_guest() {
    let (bastion, guest) = (Sshd::start().await, Sshd::stopped(""));
    let text = bounded(refusal(&guest.target(through(&bastion)))).await;
    assert!(text.starts_with(&format!("the bastion cannot connect to 127.0.0.1:{}", guest.port)), "{text}");
    let stranger = Sshd::start().await;
    let mut config = through(&bastion);
    if let Route::Bastion(b) = &mut config.route {
        b.login.key = Some(stranger.key.clone());
    }
    let text = bounded(refusal(&stranger.target(config))).await;
    assert!(text.starts_with("the bastion: authentication failed as"), "{text}");
}

#[tokio::test]
async fn a_bastion_may_ask_a_person() {
    let server = Passwords::start(Ask::Questions).await;
    let mut config = ssh_config([
        ("ssh_bastion_host", Value::from("127.0.0.1")),
        ("ssh_bastion_port", Value::from(i64::from(server.address.port))),
        ("ssh_bastion_interactive", Value::from(true)),
    ]);
    config.login.password = None;
    let guest = Sshd::stopped("");
    let person = Arc::new(Person::default());
    let reporter = Reporter::new(person.clone(), Arc::new(Redactor::default()));
    let text = bounded(refusal(&Target { reporter, ..guest.target(config) })).await;
    assert!(text.contains("a person's answers"), "{text}");
    assert_eq!(*person.0.lock().unwrap(), ["Password:", "Once more:"]);
}

/// Answers every question, and remembers them.
#[derive(Debug, Default)]
struct Person(Mutex<Vec<String>>);

#[async_trait]
impl EventSink for Person {
    fn send(&self, _: EventKind) {}

    async fn ask(&self, text: &str) -> Option<String> {
        self.0.lock().unwrap().push(text.to_owned());
        Some("the answer".to_owned())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Speaks {
    Socks { login: bool },
    Http { login: bool },
    Nonsense,
}

/// A proxy that takes `user` with `pass`, or anybody.
async fn proxy(speaks: Speaks) -> Address {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut stream = stream;
                let to = match speaks {
                    Speaks::Socks { login } => socks(&mut stream, login).await,
                    Speaks::Http { login } => http(&mut stream, login).await,
                    Speaks::Nonsense => {
                        let _ = stream.write_all(b"zz").await;
                        None
                    }
                };
                let Some(to) = to else { return };
                let mut target = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut target).await;
            });
        }
    });
    Address::new("127.0.0.1", port)
}

async fn socks(stream: &mut TcpStream, login: bool) -> Option<(String, u16)> {
    assert_eq!(stream.read_u8().await.unwrap(), 5);
    let mut methods = vec![0; usize::from(stream.read_u8().await.unwrap())];
    stream.read_exact(&mut methods).await.unwrap();
    if login {
        if !methods.contains(&2) {
            stream.write_all(&[5, 0xff]).await.unwrap();
            return None;
        }
        stream.write_all(&[5, 2]).await.unwrap();
        let mut message = [0; 11];
        stream.read_exact(&mut message).await.unwrap();
        let good = &message == b"\x01\x04user\x04pass";
        stream.write_all(&[1, u8::from(!good)]).await.unwrap();
        if !good {
            return None;
        }
    } else {
        stream.write_all(&[5, 0]).await.unwrap();
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.unwrap();
    let host = if head[3] == 3 {
        let mut name = vec![0; usize::from(stream.read_u8().await.unwrap())];
        stream.read_exact(&mut name).await.unwrap();
        String::from_utf8(name).unwrap()
    } else {
        let mut ip = [0; 4];
        stream.read_exact(&mut ip).await.unwrap();
        Ipv4Addr::from(ip).to_string()
    };
    let port = stream.read_u16().await.unwrap();
    let refused = TcpStream::connect((host.as_str(), port)).await.is_err();
    stream.write_all(&[5, if refused { 5 } else { 0 }, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    (!refused).then_some((host, port))
}

async fn http(stream: &mut TcpStream, login: bool) -> Option<(String, u16)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.ok()?;
        head.push(byte);
        // As real proxies do with what isn't HTTP.
        if head.len() == 1 && byte != b'C' {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            return None;
        }
    }
    let head = String::from_utf8(head).unwrap();
    // user:pass
    if login && !head.contains("Proxy-Authorization: Basic dXNlcjpwYXNz\r\n") {
        stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
        return None;
    }
    let to = head.split(' ').nth(1).unwrap().to_owned();
    let (host, port) = to.rsplit_once(':').unwrap();
    stream.write_all(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n").await.unwrap();
    Some((host.to_owned(), port.parse().unwrap()))
}

fn options(proxy: &Address, scheme: &str, user: &str) -> SshConfig {
    ssh_config([
        ("ssh_proxy_host", Value::from(format!("{scheme}{}", proxy.host))),
        ("ssh_proxy_port", Value::from(i64::from(proxy.port))),
        ("ssh_proxy_username", Value::from(user)),
        ("ssh_proxy_password", Value::from("pass")),
    ])
}

#[tokio::test]
async fn proxies_of_both_kinds_lead_to_the_guest() {
    let guest = Sshd::start().await;
    let cases = [
        (Speaks::Socks { login: false }, "", ""),
        (Speaks::Socks { login: true }, "", "user"),
        (Speaks::Socks { login: true }, "socks5://", "user"),
        (Speaks::Http { login: false }, "http://", ""),
        (Speaks::Http { login: true }, "http://", "user"),
        // Found out by what it answers.
        (Speaks::Http { login: true }, "", "user"),
    ];
    for (speaks, scheme, user) in cases {
        let proxy = proxy(speaks).await;
        for name in ["127.0.0.1", "localhost"] {
            let mut target = guest.target(options(&proxy, scheme, user));
            target.guest = Arc::new(Address::new(name, guest.port));
            let ssh = bounded(connect(&target)).await;
            assert_eq!(bounded(run(&ssh, "echo in")).await.out, "in\n");
            ssh.close().await;
        }
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_says_why() {
    let (up, down) = (Sshd::start().await, Sshd::stopped(""));
    let cases = [
        (Speaks::Socks { login: true }, "", "", &up, "it wants a way to log in"),
        (Speaks::Socks { login: true }, "", "ueser", &up, "the name or the password is wrong"),
        (Speaks::Socks { login: false }, "", "", &down, "connection refused"),
        (Speaks::Http { login: true }, "http://", "", &up, "it wants a name and a password"),
        (Speaks::Nonsense, "", "", &up, "neither a SOCKS5 nor an HTTP proxy"),
    ];
    for (speaks, scheme, user, guest, reason) in cases {
        let proxy = proxy(speaks).await;
        let user = if user == "ueser" { "usre" } else { user };
        let text = bounded(refusal(&guest.target(options(&proxy, scheme, user)))).await;
        assert!(text.contains("through the proxy") && text.contains(reason), "{text}");
    }
}
