//! The message that a proxy keeps on disk, read and written a piece at a time, so that a large one never lies in memory whole. The file around it
//! (checksum, rights) is the proxy's business.

use crate::limits;
use crate::v1::Snapshot;
use crate::v1::snapshot::{Alias, Entry};
use bytes::Bytes;
use prost::Message;
use std::io::{self, Read, Write};

const GENERATION: u64 = 1;
const ENTRY: u64 = 2;
const ALIAS: u64 = 3;

/// What such a message is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    Generation(u64),
    Entry(Entry),
    Alias(Alias),
}

/// Writes a piece; a message is any number of them.
pub fn write(to: &mut impl Write, piece: Piece) -> io::Result<()> {
    let message = match piece {
        Piece::Generation(generation) => Snapshot { generation, ..Snapshot::default() },
        Piece::Entry(entry) => Snapshot { entries: vec![entry], ..Snapshot::default() },
        Piece::Alias(alias) => Snapshot { aliases: vec![alias], ..Snapshot::default() },
    };
    to.write_all(&message.encode_to_vec())
}

/// Reads pieces until the end. Fields of a later release are skipped.
pub struct Pieces<R>(R);

impl<R: Read> Pieces<R> {
    pub fn new(from: R) -> Self {
        Self(from)
    }

    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// `InvalidData` where it is none, and those of reading.
    pub fn read(&mut self) -> io::Result<Option<Piece>> {
        while let Some(key) = self.number()? {
            match (key >> 3, key & 7) {
                (GENERATION, 0) => return Ok(Some(Piece::Generation(self.known_number()?))),
                (ENTRY, 2) => return Entry::decode(self.bytes()?).map(|entry| Some(Piece::Entry(entry))).map_err(malformed),
                (ALIAS, 2) => return Alias::decode(self.bytes()?).map(|alias| Some(Piece::Alias(alias))).map_err(malformed),
                (_, 0) => _ = self.known_number()?,
                (_, 1) => self.skip(8)?,
                (_, 2) => {
                    let length = self.known_number()?;
                    self.skip(length)?;
                }
                (_, 5) => self.skip(4)?,
                (field, kind) => return Err(malformed(format!("field {field} is of no known kind ({kind})"))),
            }
        }
        Ok(None)
    }

    /// `None` where the message ends before it.
    fn number(&mut self) -> io::Result<Option<u64>> {
        let mut number = 0;
        for place in 0..10 {
            let mut byte = [0];
            match self.0.read_exact(&mut byte) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && place == 0 => return Ok(None),
                read => read?,
            }
            number |= u64::from(byte[0] & 0x7f) << (7 * place);
            if byte[0] & 0x80 == 0 {
                return Ok(Some(number));
            }
        }
        Err(malformed("a number has more than ten bytes"))
    }

    fn known_number(&mut self) -> io::Result<u64> {
        self.number()?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn bytes(&mut self) -> io::Result<Bytes> {
        let length = self.known_number()?;
        if length > limits::STORED_BYTES as u64 {
            return Err(malformed(format!("a piece of {length} bytes")));
        }
        let mut bytes = vec![0; length as usize];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        match io::copy(&mut self.0.by_ref().take(length), &mut io::sink())? {
            skipped if skipped == length => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn malformed(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests;
