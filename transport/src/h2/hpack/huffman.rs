//! The Huffman code of RFC 7541, appendix B. It is canonical: the lengths alone say all of it, and from them the tables are made when this is compiled.

use super::Error;

/// How many bits the code of each byte has; the last is that of the end, which stands in no string.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10,
    10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6,
    7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23,
    21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22,
    22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27,
    26, 30,
];
const END: u16 = 256;
const LONGEST: usize = 30;
/// Codes of at most this many bits are found by one look.
const SHORT: usize = 9;

struct Codes {
    /// By the next bits: the byte and the length of its code; 0 where that is longer.
    short: [(u8, u8); 1 << SHORT],
    /// By length: the first code, how many there are, and where their symbols begin.
    first: [u32; LONGEST + 1],
    count: [u32; LONGEST + 1],
    begin: [u32; LONGEST + 1],
    symbols: [u16; 257],
}

static CODES: Codes = codes();

const fn codes() -> Codes {
    let mut codes =
        Codes { short: [(0, 0); 1 << SHORT], first: [0; LONGEST + 1], count: [0; LONGEST + 1], begin: [0; LONGEST + 1], symbols: [0; 257] };
    let (mut code, mut place, mut length) = (0u32, 0usize, 1usize);
    while length <= LONGEST {
        code <<= 1;
        codes.first[length] = code;
        codes.begin[length] = place as u32;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                codes.symbols[place] = symbol as u16;
                if length <= SHORT {
                    let spread = 1usize << (SHORT - length);
                    let mut at = 0;
                    while at < spread {
                        codes.short[(code as usize) * spread + at] = (symbol as u8, length as u8);
                        at += 1;
                    }
                }
                (code, place) = (code + 1, place + 1);
                codes.count[length] += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    codes
}

/// Appends what `text` stands for.
///
/// # Errors
/// If it holds the end's code, or is filled up with other than up to seven ones.
pub fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let mut bytes = text.iter();
    // The next bits, at the upper end, and how many of them.
    let (mut bits, mut have) = (0u64, 0usize);
    loop {
        while have <= 56
            && let Some(byte) = bytes.next()
        {
            bits |= u64::from(*byte) << (56 - have);
            have += 8;
        }
        let (byte, length) = CODES.short[(bits >> (64 - SHORT)) as usize];
        let length = match usize::from(length) {
            0 => match long(bits, have)? {
                Some((byte, length)) => {
                    out.push(byte);
                    length
                }
                None => return filled_up(bits, have),
            },
            length if length > have => return filled_up(bits, have),
            length => {
                out.push(byte);
                length
            }
        };
        bits <<= length;
        have -= length;
    }
}

/// A code of more than [`SHORT`] bits; `None` where the text ends before.
fn long(bits: u64, have: usize) -> Result<Option<(u8, usize)>, Error> {
    for length in SHORT + 1..=LONGEST.min(have) {
        let code = (bits >> (64 - length)) as u32;
        let nth = code.wrapping_sub(CODES.first[length]);
        if nth < CODES.count[length] {
            let symbol = CODES.symbols[(CODES.begin[length] + nth) as usize];
            return if symbol == END { Err(Error::Huffman) } else { Ok(Some((symbol as u8, length))) };
        }
    }
    Ok(None)
}

fn filled_up(bits: u64, have: usize) -> Result<(), Error> {
    let ones = have == 0 || bits >> (64 - have) == (1 << have) - 1;
    if have < 8 && ones { Ok(()) } else { Err(Error::Huffman) }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The reverse, for tests: what we send is not packed so.
    pub fn encode(text: &[u8]) -> Vec<u8> {
        let (mut out, mut bits, mut have) = (Vec::new(), 0u64, 0);
        for byte in text {
            let length = usize::from(LENGTHS[usize::from(*byte)]);
            let nth = (0..*byte).filter(|b| usize::from(LENGTHS[usize::from(*b)]) == length).count() as u32;
            bits = bits << length | u64::from(CODES.first[length] + nth);
            have += length;
            while have >= 8 {
                have -= 8;
                out.push((bits >> have) as u8);
            }
        }
        if have > 0 {
            out.push((bits << (8 - have)) as u8 | ((1u16 << (8 - have)) - 1) as u8);
        }
        out
    }
}
