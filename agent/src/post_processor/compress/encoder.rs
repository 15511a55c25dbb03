//! One face for the compression algorithms.

use std::io::{self, Write};

use super::block::{BlockKind, BlockWriter};
use super::format::Algorithm;

/// Compresses what is written to it.
pub(super) enum Encoder<W: Write> {
    Plain(W),
    Blocks(BlockWriter<W>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<W>>),
    Xz(Box<liblzma::write::XzEncoder<W>>),
    Bzip2(Box<bzip2::write::BzEncoder<W>>),
}

impl<W: Write> Encoder<W> {
    /// With `level` from 1 to 9, where the algorithm knows levels: lz4 has one, and xz takes its own choice, as in Packer.
    pub(super) fn new(writer: W, algorithm: Option<Algorithm>, level: Option<u32>) -> io::Result<Self> {
        let gzip = level.map_or(flate2::Compression::default(), flate2::Compression::new);
        Ok(match algorithm {
            None => Self::Plain(writer),
            Some(Algorithm::Gzip) => Self::Blocks(BlockWriter::new(writer, BlockKind::Gzip, gzip)?),
            Some(Algorithm::Bgzf) => Self::Blocks(BlockWriter::new(writer, BlockKind::Bgzf, gzip)?),
            Some(Algorithm::Lz4) => Self::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(writer))),
            Some(Algorithm::Xz) => Self::Xz(Box::new(xz(writer)?)),
            Some(Algorithm::Bzip2) => {
                let level = bzip2::Compression::new(level.unwrap_or(9));
                Self::Bzip2(Box::new(bzip2::write::BzEncoder::new(writer, level)))
            }
        })
    }

    /// Writes the end; hands back what it wrote to.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(writer) => Ok(writer),
            Self::Blocks(encoder) => encoder.finish(),
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
            Self::Xz(encoder) => encoder.finish(),
            Self::Bzip2(encoder) => encoder.finish(),
        }
    }

    fn inner(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(writer) => writer,
            Self::Blocks(encoder) => encoder,
            Self::Lz4(encoder) => encoder,
            Self::Xz(encoder) => encoder,
            Self::Bzip2(encoder) => encoder,
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner().flush()
    }
}

/// xz by all processors: one would take an hour for a disk.
fn xz<W: Write>(writer: W) -> io::Result<liblzma::write::XzEncoder<W>> {
    let stream = liblzma::stream::MtStreamBuilder::new()
        .threads(u32::try_from(super::block::threads()).unwrap_or(1))
        .preset(6)
        .check(liblzma::stream::Check::Crc64)
        .encoder()
        .map_err(io::Error::other)?;
    Ok(liblzma::write::XzEncoder::new_stream(writer, stream))
}
