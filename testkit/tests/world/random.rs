//! SplitMix64: draws that a seed repeats, never for secrets.

#[derive(Debug, Clone, Default)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between both, both included.
    pub fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    pub fn one_of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        let last = all.len() as u64 - 1;
        &all[self.within(0, last) as usize]
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.within(1, 100) <= percent
    }
}
