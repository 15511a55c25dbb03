//! Ports carried over the connection.

use kiln_component::Communicator;
use kiln_lang::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::communicator::testing::sshd::{Sshd, connect, free_port, refusal};
use crate::communicator::testing::{bounded, run, ssh_config};

/// A server that says a word and echoes one.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    port
}

async fn echoes(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(b"through").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    bounded(stream.read_to_string(&mut text)).await.unwrap();
    text
}

#[tokio::test]
async fn a_local_tunnel_leads_to_the_guests_side_even_after_a_reconnect() {
    let sshd = Sshd::start().await;
    let (here, there) = (free_port(), echo().await);
    let tunnel = Value::from(format!("{here}:127.0.0.1:{there}"));
    let ssh = connect(&sshd.target(ssh_config([("ssh_local_tunnels", tunnel)]))).await;
    assert_eq!(echoes(here).await, "through");
    bounded(run(&ssh, "kill -9 $PPID")).await;
    assert_eq!(echoes(here).await, "through");
    ssh.close().await;
    crate::communicator::testing::until("the port is free again", async || {
        TcpListener::bind(("127.0.0.1", here)).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_remote_tunnel_leads_to_this_side_even_after_a_reconnect() {
    let sshd = Sshd::start().await;
    let (there, here) = (free_port(), echo().await);
    let tunnel = Value::from(format!("{there}:127.0.0.1:{here}"));
    let ssh = connect(&sshd.target(ssh_config([("ssh_remote_tunnels", tunnel)]))).await;
    assert_eq!(echoes(there).await, "through");
    bounded(run(&ssh, "kill -9 $PPID")).await;
    bounded(run(&ssh, "true")).await;
    assert_eq!(echoes(there).await, "through");
}

#[tokio::test]
async fn a_port_that_is_taken_fails_the_attempt() {
    let sshd = Sshd::start().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    // A guest's sshd is content with either loopback.
    let _also = TcpListener::bind(("::1", port)).await;
    for option in ["ssh_local_tunnels", "ssh_remote_tunnels"] {
        let tunnel = Value::from(format!("{port}:127.0.0.1:1"));
        let text = bounded(refusal(&sshd.target(ssh_config([(option, tunnel)])))).await;
        assert!(text.starts_with(&format!("cannot set up the tunnel of port {port}: ")), "{text}");
    }
}
