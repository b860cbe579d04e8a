//! Header blocks, one after another on one connection: a slow reader that follows the standard's words (RFC 7541) takes and refuses the same. What was read is
//! packed by our own encoder, and both readers find the same fields in it.

use transport::h2::hpack::{Decoder, Encoder};

mod codes;

type Field = (Vec<u8>, Vec<u8>);

/// The first byte says how large the table may be. Then blocks, each behind a byte with its length.
pub fn check(bytes: &[u8]) {
    let Some((size, mut rest)) = bytes.split_first() else { return };
    let allowed = usize::from(*size) * 32;
    let (mut ours, mut slow) = (Decoder::new(allowed), Slow::new(allowed));
    let (mut encoder, mut again, mut slow_again) = (Encoder::new(allowed), Decoder::new(allowed), Slow::new(allowed));
    while let Some((length, more)) = rest.split_first() {
        let (block, next) = more.split_at(usize::from(*length).min(more.len()));
        rest = next;
        let fields = read(&mut ours, block);
        assert_eq!(fields, slow.block(block), "the slow reader reads otherwise: {block:02x?}");
        let Some(fields) = fields else { return };
        let mut packed = Vec::new();
        // The other end changes its mind about its table meanwhile.
        encoder.allow(usize::from(*length) * 32 % (allowed + 1));
        encoder.begin(&mut packed);
        fields.iter().for_each(|(name, value)| encoder.field(name, value, &mut packed));
        assert_eq!(Some(&fields), read(&mut again, &packed).as_ref(), "packed and read again, it is another");
        assert_eq!(Some(fields), slow_again.block(&packed), "packed, it is read otherwise by the slow reader");
    }
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    decoder.decode(block, |name, value| fields.push((name.to_vec(), value.to_vec()))).ok()?;
    Some(fields)
}

struct Slow {
    /// The newest first.
    table: Vec<Field>,
    most: usize,
    allowed: usize,
}

impl Slow {
    fn new(allowed: usize) -> Self {
        Self { table: Vec::new(), most: allowed, allowed }
    }

    fn block(&mut self, block: &[u8]) -> Option<Vec<Field>> {
        let mut bits = Bits { bytes: block, at: 0 };
        let mut fields = Vec::new();
        while bits.at < block.len() * 8 {
            if bits.take(1)? == 1 {
                let index = bits.number(7)?;
                fields.push(self.field(index)?);
            } else if bits.take(1)? == 1 {
                let field = self.literal(&mut bits, 6)?;
                fields.push(field.clone());
                self.table.insert(0, field);
                self.evict();
            } else if bits.take(1)? == 1 {
                let size = bits.number(5)?;
                if !fields.is_empty() || size > self.allowed {
                    return None;
                }
                self.most = size;
                self.evict();
            } else {
                // Whether it may never be indexed changes nothing for a reader.
                bits.take(1)?;
                fields.push(self.literal(&mut bits, 4)?);
            }
        }
        Some(fields)
    }

    fn evict(&mut self) {
        while self.table.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>() > self.most {
            self.table.pop();
        }
    }

    fn field(&self, index: usize) -> Option<Field> {
        let at = index.checked_sub(1)?;
        match codes::STATIC.get(at) {
            Some(line) => {
                let (name, value) = line.split_at(line.rfind(": ")?);
                Some((name.into(), value[2..].into()))
            }
            None => self.table.get(at - codes::STATIC.len()).cloned(),
        }
    }

    fn literal(&self, bits: &mut Bits<'_>, prefix: u32) -> Option<Field> {
        let name = match bits.number(prefix)? {
            0 => bits.string()?,
            index => self.field(index)?.0,
        };
        Some((name, bits.string()?))
    }
}

struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Option<usize> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | usize::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn number(&mut self, prefix: u32) -> Option<usize> {
        let first = self.take(prefix)?;
        if first < (1 << prefix) - 1 {
            return Some(first);
        }
        let (mut value, mut factor) = (first, 1);
        // Our limit: the standard leaves it to the reader.
        for _ in 0..4 {
            let more = self.take(1)?;
            value += self.take(7)? * factor;
            if more == 0 {
                return Some(value);
            }
            factor *= 128;
        }
        None
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        let packed = self.take(1)? == 1;
        let length = self.number(7)?;
        let start = self.at / 8;
        let text = self.bytes.get(start..start.checked_add(length)?)?;
        self.at += length * 8;
        if packed { unpacked(text) } else { Some(text.to_vec()) }
    }
}

fn unpacked(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bits, mut out) = (Bits { bytes: text, at: 0 }, Vec::new());
    loop {
        let (start, mut code) = (bits.at, 0);
        let symbol = loop {
            match bits.take(1) {
                Some(bit) => code = code << 1 | bit as u32,
                None => {
                    let length = bits.at - start;
                    return (length < 8 && code == (1 << length) - 1).then_some(out);
                }
            }
            let length = (bits.at - start) as u32;
            if let Some(symbol) = codes::HUFFMAN.iter().position(|known| *known == (code, length)) {
                break symbol;
            }
        };
        // The end of all text stands in none.
        out.push(u8::try_from(symbol).ok()?);
    }
}
