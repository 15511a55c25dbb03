//! `scp -t` and `scp -f`, carried by us: what comes is gathered in a private directory and goes to the guest by its
//! communicator, and the other way round. So Ansible's `scp` works whatever the guest and its communicator are like.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use kiln_component::{Communicator, CommunicatorError, Exit};
use kiln_plan::fault::chain;
use russh::server::Msg;
use russh::{Channel, ChannelReadHalf, ChannelWriteHalf};

use super::exec::{complain, finish};
use crate::communicator::scp::{Header, ScpError, Sink, Source, Target};
use crate::communicator::tree::{self, Entry};

/// Which way files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// `-t`: to the guest.
    To,
    /// `-f`: from the guest.
    From,
}

/// What a client asks of scp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    way: Way,
    /// `-r`
    recursive: bool,
    /// `-d`: the target is a directory.
    directory: bool,
    path: String,
}

impl Call {
    /// The call in a command line, if it is one of scp with `-t` or `-f` and one path.
    pub(super) fn parse(command: &str) -> Option<Self> {
        let words = words(command)?;
        let (program, arguments) = words.split_first()?;
        if program.rsplit('/').next() != Some("scp") {
            return None;
        }
        let (mut way, mut recursive, mut directory, mut paths) = (None, false, false, Vec::new());
        let mut options = true;
        for argument in arguments {
            match argument.strip_prefix('-') {
                Some("-") if options => options = false,
                Some(letters) if options && !letters.is_empty() => {
                    for letter in letters.chars() {
                        match letter {
                            't' => way = Some(Way::To),
                            'f' => way = Some(Way::From),
                            'r' => recursive = true,
                            'd' => directory = true,
                            'p' | 'v' | 'q' => {}
                            _ => return None,
                        }
                    }
                }
                _ => paths.push(argument.clone()),
            }
        }
        let [path] = <[String; 1]>::try_from(paths).ok()?;
        Some(Self { way: way?, recursive, directory, path })
    }
}

/// The words of a command line as a shell splits them; `None` for what only a shell understands.
fn words(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = command.trim().chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => words.extend(word.take()),
            '\'' => loop {
                match chars.next()? {
                    '\'' => break word = Some(word.unwrap_or_default()),
                    c => word.get_or_insert_default().push(c),
                }
            },
            '"' => loop {
                match chars.next()? {
                    '"' => break word = Some(word.unwrap_or_default()),
                    '\\' => word.get_or_insert_default().push(chars.next()?),
                    c => word.get_or_insert_default().push(c),
                }
            },
            '\\' => word.get_or_insert_default().push(chars.next()?),
            ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`' | '\n' => return None,
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// Why files could not be carried.
#[derive(Debug, thiserror::Error)]
enum CarryError {
    #[error(transparent)]
    Scp(#[from] ScpError),
    #[error(transparent)]
    Guest(#[from] CommunicatorError),
    #[error("cannot use a directory for what is on its way")]
    Room(#[from] std::io::Error),
    /// The client was told in the protocol's own way, which ends the stream: OpenSSH hangs up on whoever goes on talking.
    #[error("the client was told")]
    Told,
}

/// Answers the call on `channel`, to its end.
pub(super) async fn carry(communicator: &dyn Communicator, channel: Channel<Msg>, call: &Call, room: &Path) {
    let (mut reader, writer) = channel.split();
    let outcome = match call.way {
        Way::To => to_guest(communicator, (&mut reader, &writer), call, room).await,
        Way::From => from_guest(communicator, (&mut reader, &writer), call, room).await,
    };
    if let Err(error) = outcome.as_ref()
        && !matches!(error, CarryError::Told)
    {
        complain(&writer, &format!("scp: {}", chain(error))).await;
    }
    finish(&writer, Some(u32::from(outcome.is_err()))).await;
}

async fn to_guest(
    communicator: &dyn Communicator,
    (reader, writer): (&mut ChannelReadHalf, &ChannelWriteHalf<Msg>),
    call: &Call,
    room: &Path,
) -> Result<(), CarryError> {
    let place = tempfile::Builder::new().prefix("scp").tempdir_in(room)?;
    let target = Target::Directory(place.path().to_owned());
    Sink::new(reader.make_reader(), writer.make_writer()).receive(&target).await?;
    let mut arrived = std::fs::read_dir(place.path())?.collect::<Result<Vec<_>, _>>()?;
    arrived.sort_by_key(std::fs::DirEntry::file_name);
    let several = arrived.len() > 1;
    let into = call.directory
        || call.path.ends_with('/')
        || several
        || is_directory(communicator, &call.path).await?;
    for entry in arrived {
        let from = entry.path();
        if entry.file_type()?.is_dir() {
            communicator.upload_dir(&from, &call.path, false).await?;
        } else if into {
            let name = entry.file_name();
            let to = format!("{}/{}", call.path.trim_end_matches('/'), name.to_string_lossy());
            communicator.upload(&from, &to).await?;
        } else {
            communicator.upload(&from, &call.path).await?;
        }
    }
    Ok(())
}

/// Whether the guest has a directory there, in which case what comes goes into it.
async fn is_directory(communicator: &dyn Communicator, path: &str) -> Result<bool, CommunicatorError> {
    // The tilde must stay open to the shell.
    let (home, rest) = match path.strip_prefix("~/") {
        Some(rest) => ("~/", rest),
        None => ("", path),
    };
    let quoted = format!("{home}'{}'", rest.replace('\'', r"'\''"));
    let mut command = communicator.start(&format!("test -d {quoted}")).await?;
    command.stdin = None;
    let mut nowhere = (tokio::io::sink(), tokio::io::sink());
    // It says nothing, but must be read.
    let _ = tokio::join!(
        tokio::io::copy(&mut command.stdout, &mut nowhere.0),
        tokio::io::copy(&mut command.stderr, &mut nowhere.1)
    );
    Ok(command.exit.await == Ok(Exit::Code(0)))
}

async fn from_guest(
    communicator: &dyn Communicator,
    (reader, writer): (&mut ChannelReadHalf, &ChannelWriteHalf<Msg>),
    call: &Call,
    room: &Path,
) -> Result<(), CarryError> {
    let place = tempfile::Builder::new().prefix("scp").tempdir_in(room)?;
    let mut source = Source::start(reader.make_reader(), writer.make_writer()).await?;
    let fetched = if call.recursive {
        communicator.download_dir(&call.path, place.path()).await
    } else {
        let name = call.path.trim_end_matches('/').rsplit('/').next().unwrap_or("file");
        communicator.download(&call.path, &place.path().join(name)).await
    };
    if let Err(error) = fetched {
        source.refuse(&format!("scp: {}", chain(&error))).await?;
        return Err(CarryError::Told);
    }
    for entry in tree::walk(place.path(), true).await? {
        match entry {
            Entry::Enter { name, mode } => source.enter(name.as_bytes(), mode).await?,
            Entry::Leave => source.leave().await?,
            Entry::File { path, name, mode, size } => {
                let mut file = tokio::fs::File::open(&path).await?;
                source.file(Header { name: name.as_bytes(), mode, size }, &mut file).await?;
            }
        }
    }
    Ok(source.finish().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_true_calls_of_scp_are_taken_for_such() {
        let call = |way, recursive, directory, path: &str| {
            Some(Call { way, recursive, directory, path: path.to_owned() })
        };
        let cases = [
            ("scp -t /tmp/x", call(Way::To, false, false, "/tmp/x")),
            ("/usr/bin/scp -r -p -t -- '/tmp/a b'", call(Way::To, true, false, "/tmp/a b")),
            ("scp -vrdt \"it's\"", call(Way::To, true, true, "it's")),
            (r"scp -f ~/a\ b", call(Way::From, false, false, "~/a b")),
            ("scp -f -- -x", call(Way::From, false, false, "-x")),
            ("scp a b", None),
            ("scp -t", None),
            ("scp -t a b", None),
            ("scp -S x -t a", None),
            ("scp -t /tmp/x; rm -rf /", None),
            ("scp -t '", None),
            ("echo scp -t x", None),
            ("/bin/sh -c 'scp -t x'", None),
        ];
        for (command, expected) in cases {
            assert_eq!(Call::parse(command), expected, "{command}");
        }
    }
}
