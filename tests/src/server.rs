//! Web servers that behave badly, for downloads to cope with.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What a server does with every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Answers with this status and no content.
    Status(u16),
    /// Promises `of` bytes, sends `sent` of them, and hangs up.
    Cut {
        /// Bytes that are sent.
        sent: usize,
        /// Bytes that are promised.
        of: usize,
    },
    /// Promises `of` bytes and sends a few of them now and then, for ever.
    Slow {
        /// Bytes that are promised.
        of: usize,
    },
}

/// Between two drops of a slow server.
const DROP_PERIOD: Duration = Duration::from_millis(100);

/// A server on the loopback, until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Server {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no port.
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (requests, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, ended) = (requests.clone(), over.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let ended = ended.clone();
                // A client that hangs up is none of our business.
                std::thread::spawn(move || drop(answer(stream, manner, &ended)));
            }
        });
        Self { address, requests, over }
    }

    /// The URL of a file there.
    pub fn url(&self, file: &str) -> String {
        format!("http://{}/{file}", self.address)
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(stream: TcpStream, manner: Manner, ended: &AtomicBool) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut stream = stream;
    let length = match manner {
        Manner::Status(status) => {
            return write!(stream, "HTTP/1.1 {status} So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        Manner::Cut { of, .. } | Manner::Slow { of } => of,
    };
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    if first.starts_with("HEAD") {
        return Ok(());
    }
    match manner {
        Manner::Cut { sent, .. } => stream.write_all(&vec![b'x'; sent]),
        Manner::Slow { .. } => {
            while !ended.load(Ordering::Relaxed) {
                stream.write_all(&[b'x'; 64])?;
                std::thread::park_timeout(DROP_PERIOD);
            }
            Ok(())
        }
        Manner::Status(_) => Ok(()),
    }
}
