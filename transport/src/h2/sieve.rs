//! What an upstream's frames are rid of before `h2` sees them: empty DATA frames that end nothing. A server may send any number of them, one at
//! the end of each stream is common; `h2` counts them over a connection's whole life and ends it, with every stream on it, at the hundredth.
//! Towards callers that count is a defence and stays. Knows frame headers (RFC 9113, section 4.1) and nothing else.

/// Length of a frame's header.
const HEADER: usize = 9;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;

/// Walks over frames, however they are cut into reads.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    /// Bytes of the present frame's payload that are still to come.
    left: usize,
    /// The beginning of a header that is not whole, and how much of that was passed on already.
    head: [u8; HEADER],
    size: usize,
    given: usize,
}

impl Sieve {
    /// What was held back; it goes before the next bytes.
    pub fn held(&self) -> &[u8] {
        &self.head[self.given..self.size]
    }

    /// Takes `size` bytes of what was held back as passed on: there was no room to wait for the rest of the header, and its frame stays.
    pub fn give(&mut self, size: usize) {
        self.given += size;
    }

    /// Takes such frames out of `bytes`, which begin with what was held back, and says how many bytes remain at their start. The rest of them is
    /// held back or gone.
    pub fn sift(&mut self, bytes: &mut [u8]) -> usize {
        self.size = self.given;
        let (mut read, mut kept) = (0, 0);
        while read < bytes.len() {
            let rest = bytes.len() - read;
            let size = match self.left {
                0 if rest < HEADER - self.given => {
                    self.size = self.given + rest;
                    self.head[self.given..self.size].copy_from_slice(&bytes[read..]);
                    break;
                }
                0 => {
                    let size = HEADER - self.given;
                    self.head[self.given..].copy_from_slice(&bytes[read..read + size]);
                    let passed_on = std::mem::take(&mut self.given) > 0;
                    self.size = 0;
                    let head = &self.head;
                    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                    if length == 0 && head[3] == DATA && head[4] & END_STREAM == 0 && !passed_on {
                        read += HEADER;
                        continue;
                    }
                    self.left = length;
                    size
                }
                left => {
                    let size = left.min(rest);
                    self.left -= size;
                    size
                }
            };
            if kept != read {
                bytes.copy_within(read..read + size, kept);
            }
            (read, kept) = (read + size, kept + size);
        }
        kept
    }
}

#[cfg(test)]
mod tests;
