//! Through a proxy: SOCKS version 5 (RFC 1928, passwords RFC 1929) and HTTP's CONNECT (RFC 9110 §9.3.6). The proxy
//! resolves the guest's name, since it may know names that this machine doesn't.

use std::io;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::communicator::config::{Proxy, ProxyProtocol};

/// Why the proxy doesn't lead to the guest.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The proxy can't be reached, or hangs up.
    #[error("the connection to the proxy failed")]
    Stream(#[from] io::Error),
    /// It wants a name and a password, or others.
    #[error("the proxy refuses us: {0}")]
    Login(&'static str),
    /// It doesn't lead to the guest.
    #[error("the proxy cannot reach {to}: {reason}")]
    Refused {
        /// Where to.
        to: String,
        /// What it said.
        reason: String,
    },
    /// It speaks something else.
    #[error("what answers at {0} is neither a SOCKS5 nor an HTTP proxy")]
    Foreign(String),
    /// The name of the guest is too long for the protocol.
    #[error("the name {0:?} is too long for the proxy")]
    Name(String),
}

/// Connects to `to` through the proxy.
///
/// # Errors
/// Whatever the proxy says against it.
pub(super) async fn connect(proxy: &Proxy, to: (&str, u16)) -> Result<TcpStream, ProxyError> {
    if proxy.protocol == Some(ProxyProtocol::Http) {
        return http(dial(proxy).await?, proxy, to).await;
    }
    match socks5(dial(proxy).await?, proxy, to).await {
        // `H` is how an HTTP proxy begins to complain.
        Err(Socks::Version(b'H')) if proxy.protocol.is_none() => http(dial(proxy).await?, proxy, to).await,
        Err(Socks::Version(_)) => Err(ProxyError::Foreign(format!("{}:{}", proxy.host, proxy.port))),
        Err(Socks::Failed(error)) => Err(error),
        Ok(stream) => Ok(stream),
    }
}

async fn dial(proxy: &Proxy) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

enum Socks {
    Version(u8),
    Failed(ProxyError),
}

impl<E: Into<ProxyError>> From<E> for Socks {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

async fn socks5(mut stream: TcpStream, proxy: &Proxy, to: (&str, u16)) -> Result<TcpStream, Socks> {
    const NO_LOGIN: u8 = 0;
    const PASSWORD: u8 = 2;
    let methods: &[u8] =
        if proxy.credentials.is_some() { &[5, 2, NO_LOGIN, PASSWORD] } else { &[5, 1, NO_LOGIN] };
    stream.write_all(methods).await?;
    let version = stream.read_u8().await?;
    if version != 5 {
        return Err(Socks::Version(version));
    }
    match (stream.read_u8().await?, &proxy.credentials) {
        (NO_LOGIN, _) => {}
        (PASSWORD, Some((user, password))) => {
            let mut message = vec![1];
            for text in [user, password.reveal()] {
                let length = u8::try_from(text.len());
                message.push(length.map_err(|_| ProxyError::Login("the name or the password is too long"))?);
                message.extend_from_slice(text.as_bytes());
            }
            stream.write_all(&message).await?;
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).await?;
            if answer[1] != 0 {
                return Err(ProxyError::Login("the name or the password is wrong").into());
            }
        }
        _ => {
            return Err(
                ProxyError::Login("it wants a way to log in that ssh_proxy_username doesn't offer").into()
            );
        }
    }
    stream.write_all(&socks5_request(to)?).await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    if answer[1] != 0 {
        let to = format!("{}:{}", to.0, to.1);
        return Err(ProxyError::Refused { to, reason: socks5_reason(answer[1]).to_owned() }.into());
    }
    // The address that the proxy uses is of no interest, but must be read past.
    let length = match answer[3] {
        1 => 4,
        4 => 16,
        _ => usize::from(stream.read_u8().await?),
    };
    stream.read_exact(&mut vec![0; length + 2]).await?;
    Ok(stream)
}

fn socks5_request((host, port): (&str, u16)) -> Result<Vec<u8>, ProxyError> {
    let mut request = vec![5, 1, 0];
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            request.push(1);
            request.extend(ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            request.push(4);
            request.extend(ip.octets());
        }
        Err(_) => {
            request.push(3);
            request.push(u8::try_from(host.len()).map_err(|_| ProxyError::Name(host.to_owned()))?);
            request.extend(host.as_bytes());
        }
    }
    request.extend(port.to_be_bytes());
    Ok(request)
}

const fn socks5_reason(code: u8) -> &'static str {
    match code {
        2 => "its rules forbid it",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "it doesn't support connections",
        8 => "it doesn't support this kind of address",
        _ => "general failure",
    }
}

async fn http(mut stream: TcpStream, proxy: &Proxy, to: (&str, u16)) -> Result<TcpStream, ProxyError> {
    let host = if to.0.contains(':') { format!("[{}]", to.0) } else { to.0.to_owned() };
    let to = format!("{host}:{}", to.1);
    if to.contains(|c: char| c.is_control() || c == ' ') {
        return Err(ProxyError::Name(host));
    }
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n");
    if let Some((user, password)) = &proxy.credentials {
        let login = STANDARD.encode(format!("{user}:{}", password.reveal()));
        request.push_str(&format!("Proxy-Authorization: Basic {login}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    // Byte by byte, since what follows the head is the guest's.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
        if head.len() > 16 * 1024 {
            return Err(ProxyError::Foreign(format!("{}:{}", proxy.host, proxy.port)));
        }
    }
    let head = String::from_utf8_lossy(&head);
    let status = head.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some(code) if code.starts_with('2') => Ok(stream),
        Some("407") => Err(ProxyError::Login("it wants a name and a password, or others")),
        _ => Err(ProxyError::Refused { to, reason: status.chars().filter(|c| !c.is_control()).collect() }),
    }
}
