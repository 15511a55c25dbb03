//! Gzip by all processors: the input is cut into blocks of one size, which are compressed side by side and written in
//! order, so that the output doesn't depend on how many processors there are.
//!
//! As plain gzip all blocks form one member: each ends on a byte boundary (a sync flush), and one empty last block ends
//! the stream. As bgzf each block is a member of its own that tells its size, and an empty member ends the file.

use std::io::{self, Write};
use std::thread;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// How many blocks each thread gets in one round.
const BLOCKS_PER_THREAD: usize = 4;

/// How blocks are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    Gzip,
    Bgzf,
}

impl BlockKind {
    fn size(self) -> usize {
        match self {
            Self::Gzip => 1 << 20,
            // What the block-compressing tools of the format use: compressed, it must stay below 64 KiB.
            Self::Bgzf => 0xff00,
        }
    }
}

/// Compresses what is written to it.
pub(super) struct BlockWriter<W: Write> {
    writer: W,
    kind: BlockKind,
    level: Compression,
    threads: usize,
    buffer: Vec<u8>,
    /// Of the whole input.
    crc: Crc,
}

/// How many threads may compress at once.
pub(super) fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl<W: Write> BlockWriter<W> {
    pub(super) fn new(mut writer: W, kind: BlockKind, level: Compression) -> io::Result<Self> {
        if kind == BlockKind::Gzip {
            // No name, no time, no operating system.
            writer.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])?;
        }
        Ok(Self { writer, kind, level, threads: threads(), buffer: Vec::new(), crc: Crc::new() })
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.compress_round()?;
        match self.kind {
            BlockKind::Gzip => {
                self.writer.write_all(&[3, 0])?;
                self.writer.write_all(&self.crc.sum().to_le_bytes())?;
                self.writer.write_all(&self.crc.amount().to_le_bytes())?;
            }
            BlockKind::Bgzf => self.writer.write_all(&bgzf(&[], self.level)?)?,
        }
        Ok(self.writer)
    }

    fn round(&self) -> usize {
        self.kind.size() * self.threads * BLOCKS_PER_THREAD
    }

    fn compress_round(&mut self) -> io::Result<()> {
        let blocks: Vec<&[u8]> = self.buffer.chunks(self.kind.size()).collect();
        let (kind, level) = (self.kind, self.level);
        let one = |block: &&[u8]| match kind {
            BlockKind::Gzip => deflate(block, level, FlushCompress::Sync),
            BlockKind::Bgzf => bgzf(block, level),
        };
        let shares = blocks.chunks(blocks.len().div_ceil(self.threads).max(1));
        let done: Vec<io::Result<Vec<Vec<u8>>>> = thread::scope(|scope| {
            let share = |share| scope.spawn(move || <[&[u8]]>::iter(share).map(one).collect());
            let running: Vec<_> = shares.map(share).collect();
            self.crc.update(&self.buffer);
            let join = |t: thread::ScopedJoinHandle<'_, _>| {
                t.join().unwrap_or_else(|_| Err(io::Error::other("a compressing thread panicked")))
            };
            running.into_iter().map(join).collect()
        });
        for compressed in done {
            for block in compressed? {
                self.writer.write_all(&block)?;
            }
        }
        self.buffer.clear();
        Ok(())
    }
}

impl<W: Write> Write for BlockWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.round() - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == self.round() {
            self.compress_round()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn deflate(block: &[u8], level: Compression, flush: FlushCompress) -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(level, false);
    let mut out = Vec::with_capacity(block.len() / 2 + 64);
    loop {
        let consumed = usize::try_from(compress.total_in()).map_err(io::Error::other)?;
        let status = compress.compress_vec(&block[consumed..], &mut out, flush).map_err(io::Error::other)?;
        let all_in = compress.total_in() == block.len() as u64;
        let all_out = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            // Room that is left means that nothing more waits to be written.
            _ => out.len() < out.capacity(),
        };
        if all_in && all_out {
            return Ok(out);
        }
        out.reserve(block.len() / 4 + 64);
    }
}

fn bgzf(block: &[u8], level: Compression) -> io::Result<Vec<u8>> {
    const HEAD: usize = 18;
    const TAIL: usize = 8;
    let mut body = deflate(block, level, FlushCompress::Finish)?;
    if body.len() + HEAD + TAIL > 1 << 16 {
        body = deflate(block, Compression::none(), FlushCompress::Finish)?;
    }
    let size = u16::try_from(body.len() + HEAD + TAIL - 1).map_err(io::Error::other)?;
    let mut crc = Crc::new();
    crc.update(block);
    let mut out = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, b'B', b'C', 2, 0];
    out.extend(size.to_le_bytes());
    out.extend(body);
    out.extend(crc.sum().to_le_bytes());
    out.extend(crc.amount().to_le_bytes());
    Ok(out)
}
