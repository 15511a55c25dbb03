//! A mirror of plug-ins in a directory, with small ones that are real processes, and a web server that has it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;

/// Bytes that no compression makes fewer, so that an archive is big enough to be cut.
const PADDING: usize = 1 << 20;

/// A mirror of plug-ins.
#[derive(Debug)]
pub struct Mirror {
    directory: PathBuf,
}

/// `linux_amd64`, as Go says it.
pub fn platform() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}_{arch}", std::env::consts::OS)
}

/// The name of a plug-in's program.
pub fn program_name(name: &str, version: &str) -> String {
    format!("packer-plugin-{name}_v{version}_x5.0_{}", platform())
}

/// The SHA-256 of some content, as it lies beside a plug-in.
pub fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// A plug-in that does nothing but describe itself.
pub fn program(version: &str) -> String {
    let said = format!(
        r#"{{"version":"{version}","sdk_version":"0.6.10","api_version":"x5.0","builders":["a"],"provisioners":[]}}"#
    );
    format!("#!/bin/sh\n[ \"$1\" = describe ] || exit 1\necho '{said}'\n")
}

impl Mirror {
    /// A mirror in `directory`, without plug-ins.
    ///
    /// # Panics
    /// When it can't be made.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        std::fs::create_dir_all(&directory).expect("the place is ours");
        Self { directory }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Adds a release, in the files that GitHub has, and what a web server needs to list it.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn release(&self, source: &str, version: &str) -> &Self {
        let (plugin, name) =
            (self.directory.join(source), program_name(source.rsplit('/').next().unwrap_or(source), version));
        let stem = name.split("_x5.0").next().expect("the name has a protocol").to_owned();
        let directory = plugin.join(version);
        let archive = archive(&name, program(version).as_bytes());
        let sums = format!("{}  {name}.zip\n", sha256(&archive));
        let write = || {
            std::fs::create_dir_all(&directory)?;
            std::fs::write(directory.join(format!("{name}.zip")), archive)?;
            std::fs::write(directory.join(format!("{stem}_SHA256SUMS")), sums)?;
            let entries = std::fs::read_dir(&plugin)?.flatten();
            let versions = entries.filter(|e| e.path().is_dir()).map(|e| e.file_name().into_string());
            let versions: serde_json::Map<_, _> =
                versions.flatten().map(|v| (v, serde_json::json!({}))).collect();
            std::fs::write(plugin.join("index.json"), serde_json::json!({ "versions": versions }).to_string())
        };
        let written: std::io::Result<()> = write();
        written.expect("the place is ours");
        self
    }

    /// Serves it over HTTP.
    pub fn serve(&self) -> Web {
        Web::start(&self.directory, false)
    }

    /// Serves it over HTTP, but of each archive only the first part comes, and then silence.
    pub fn serve_slowly(&self) -> Web {
        Web::start(&self.directory, true)
    }
}

fn archive(member: &str, content: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut state = 1_u64;
    let noise = (0..PADDING).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    let members = [("LICENSE", noise.collect::<Vec<u8>>()), (member, content.to_vec())];
    for (name, content) in members {
        writer.start_file(name, SimpleFileOptions::default()).expect("memory has room");
        writer.write_all(&content).expect("memory has room");
    }
    writer.finish().expect("memory has room").into_inner()
}

/// A web server that has the files of a directory, until it is dropped.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Web {
    fn start(directory: &Path, stalls: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let over = Arc::new(AtomicBool::new(false));
        let (ended, directory) = (over.clone(), directory.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (ended, directory) = (ended.clone(), directory.clone());
                // A client that hangs up is none of our business.
                std::thread::spawn(move || drop(answer(stream, &directory, stalls.then_some(&*ended))));
            }
        });
        Self { address, over }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers one request; archives only in part, and then silence, when there is something to stall for.
fn answer(mut stream: TcpStream, directory: &Path, stall_until: Option<&AtomicBool>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let Ok(content) = std::fs::read(directory.join(&path)) else {
        return write!(stream, "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len())?;
    match stall_until.filter(|_| path.ends_with(".zip")) {
        None => stream.write_all(&content),
        Some(over) => {
            stream.write_all(&content[..content.len() / 2])?;
            while !over.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(20));
            }
            Ok(())
        }
    }
}
