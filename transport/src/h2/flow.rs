//! Windows (RFC 9113, section 5.2): what may be sent, and what a peer may send to us.

/// The largest that a window may be.
const MOST: i64 = (1 << 31) - 1;

/// What may be sent. Below zero where the peer made its windows smaller meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Window(i64);

impl Window {
    pub fn new(size: u32) -> Self {
        Self(i64::from(size))
    }

    pub fn room(self) -> usize {
        usize::try_from(self.0).unwrap_or(0)
    }

    pub fn take(&mut self, size: usize) {
        self.0 -= size as i64;
    }

    /// Says whether it is still within all bounds.
    #[must_use]
    pub fn widen(&mut self, by: i64) -> bool {
        self.0 += by;
        self.0 <= MOST
    }
}

/// What the peer may send, and what of it was taken up and not yet given back. That is done in large pieces, so that it costs few frames.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    left: usize,
    owed: usize,
    whole: usize,
}

impl Allowance {
    pub fn new(size: u32) -> Self {
        Self { left: size as usize, owed: 0, whole: size as usize }
    }

    /// As it was at first.
    pub fn renewed(self) -> Self {
        Self { left: self.whole, owed: 0, whole: self.whole }
    }

    /// Says whether the peer was allowed to send so much.
    #[must_use]
    pub fn take(&mut self, size: usize) -> bool {
        let left = self.left.checked_sub(size);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// So much was taken up. Gives the increment to be told, once it is worth a frame.
    pub fn give(&mut self, size: usize) -> Option<u32> {
        self.owed += size;
        if self.owed < self.whole / 2 {
            return None;
        }
        let owed = std::mem::take(&mut self.owed);
        self.left += owed;
        u32::try_from(owed).ok().filter(|owed| *owed > 0)
    }
}
