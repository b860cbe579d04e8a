//! From header blocks to fields (RFC 7541, sections 5 and 6).

use super::table::{STATIC, Table};
use super::{Error, huffman};

/// Continuation bytes of a number: four make 2^28, far beyond any length or index that can be meant.
const LAST_SHIFT: u32 = 21;

/// One direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// The most that the other end may set the table to.
    allowed: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// `allowed`: SETTINGS_HEADER_TABLE_SIZE as the other end knows it from us.
    pub fn new(allowed: usize) -> Self {
        Self { table: Table::new(allowed), allowed, name: Vec::new(), value: Vec::new() }
    }

    /// Reads a whole block; `field` hears of each name and value, unchecked, in order.
    ///
    /// # Errors
    /// After one the connection is of no more use: the tables differ.
    pub fn decode(&mut self, mut block: &[u8], mut field: impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
        // A change of size stands before all fields (RFC 7541, section 4.2).
        let mut begun = false;
        while let Some(first) = block.first().copied() {
            if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                let (name, value) = found(&self.table, index)?;
                field(name, value);
            } else if first & 0x40 != 0 {
                self.literal(&mut block, 6, true, &mut field)?;
            } else if first & 0x20 != 0 {
                let size = integer(&mut block, 5)?;
                if begun || size > self.allowed {
                    return Err(Error::TableSize);
                }
                self.table.resize(size);
                continue;
            } else {
                self.literal(&mut block, 4, false, &mut field)?;
            }
            begun = true;
        }
        Ok(())
    }

    fn literal(&mut self, block: &mut &[u8], prefix: u32, index_it: bool, field: &mut impl FnMut(&[u8], &[u8])) -> Result<(), Error> {
        let index = integer(block, prefix)?;
        let mut room = if index_it { self.table.room() } else { Vec::new() };
        let name = match index {
            0 => string(block, &mut self.name)?,
            index => found(&self.table, index)?.0,
        };
        let value = string(block, &mut self.value)?;
        field(name, value);
        if index_it {
            room.extend_from_slice(name);
            room.extend_from_slice(value);
            let name = name.len();
            self.table.insert(name, room);
        }
        Ok(())
    }
}

fn found(table: &Table, index: usize) -> Result<(&[u8], &[u8]), Error> {
    match index.checked_sub(1) {
        None => Err(Error::Index),
        Some(at) => STATIC.get(at).copied().or_else(|| table.get(at - STATIC.len())).ok_or(Error::Index),
    }
}

/// A number whose first bits are the last `prefix` ones of a byte (RFC 7541, section 5.1).
fn integer(block: &mut &[u8], prefix: u32) -> Result<usize, Error> {
    let mask = (1usize << prefix) - 1;
    let mut value = usize::from(byte(block)?) & mask;
    if value < mask {
        return Ok(value);
    }
    let mut shift = 0;
    loop {
        let next = byte(block)?;
        value += usize::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(value);
        }
        shift += 7;
        if shift > LAST_SHIFT {
            return Err(Error::Overflow);
        }
    }
}

fn byte(block: &mut &[u8]) -> Result<u8, Error> {
    let (first, rest) = block.split_first().ok_or(Error::Truncated)?;
    *block = rest;
    Ok(*first)
}

/// A string (RFC 7541, section 5.2); `room` holds it where it is packed.
fn string<'o, 'b: 'o>(block: &mut &'b [u8], room: &'o mut Vec<u8>) -> Result<&'o [u8], Error> {
    let packed = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(block, 7)?;
    let (text, rest) = block.split_at_checked(length).ok_or(Error::Truncated)?;
    *block = rest;
    if !packed {
        return Ok(text);
    }
    room.clear();
    huffman::decode(text, room)?;
    Ok(room)
}
