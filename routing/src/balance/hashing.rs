//! Consistent hashing: a ring and Maglev tables over the names of endpoints, xxHash64, and the hash of a request. Names, not places, are
//! hashed, so that every proxy comes to the same answer. It never knows whether an endpoint is healthy.

use crate::limits;
use model::RequestHead;
use model::service::HashOn;
use std::net::IpAddr;

/// The hash that a request is placed by; `None` where it lacks what the service hashes on.
pub fn hash_request(on: &HashOn, head: &RequestHead, source: Option<IpAddr>) -> Option<u64> {
    match on {
        HashOn::SourceAddress => source.map(|address| match address.to_canonical() {
            IpAddr::V4(v4) => xxh64(&v4.octets(), 0),
            IpAddr::V6(v6) => xxh64(&v6.octets(), 0),
        }),
        HashOn::Header(name) => head.headers.get(name).map(|value| xxh64(value, 0)),
        HashOn::Cookie(name) => cookie(head, name).map(|value| xxh64(value, 0)),
    }
}

fn cookie<'h>(head: &'h RequestHead, name: &str) -> Option<&'h [u8]> {
    let pairs = head.headers.get_all("cookie").flat_map(|field| field.split(|b| *b == b';')).map(<[u8]>::trim_ascii);
    pairs.filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")).next()
}

/// Points of endpoints on a circle; a key belongs to the next point.
pub(super) struct Ring {
    points: Vec<(u64, u32)>,
}

impl Ring {
    /// `named`: id, name, weight.
    pub fn new(named: &[(u32, &str, u32)]) -> Self {
        let total: u64 = named.iter().map(|(_, _, weight)| u64::from(*weight)).sum();
        let lightest = named.iter().map(|(_, _, weight)| u64::from(*weight)).min().unwrap_or(1).max(1);
        // So many that the lightest has its share to within a few percent.
        let size = (total.div_ceil(lightest) * 64).clamp(limits::RING_SMALLEST as u64, limits::RING_LARGEST as u64);
        let mut points = Vec::new();
        for (id, name, weight) in named {
            let count = (u64::from(*weight) * size).div_ceil(total.max(1)).max(1);
            points.extend((0..count).map(|i| (xxh64(format!("{name}_{i}").as_bytes(), 0), *id)));
        }
        points.sort_unstable();
        Self { points }
    }

    /// Endpoints in the order in which this key would have them (with repetitions).
    pub fn walk(&self, hash: u64) -> impl Iterator<Item = u32> {
        let from = self.points.partition_point(|(point, _)| *point < hash);
        self.points[from..].iter().chain(&self.points[..from]).map(|(_, id)| *id)
    }
}

/// A table filled by turns, each endpoint in an order of its own (Eisenbud et al., NSDI 2016), weights as turns.
pub(super) struct Maglev {
    table: Vec<u32>,
}

impl Maglev {
    pub fn new(named: &[(u32, &str, u32)]) -> Self {
        let size = if named.len() <= limits::MAGLEV_SMALL_ENDPOINTS { limits::MAGLEV_SMALL } else { limits::MAGLEV_LARGE };
        let heaviest = named.iter().map(|(_, _, weight)| *weight).max().unwrap_or(1).max(1);
        let mut sorted: Vec<_> = named.to_vec();
        sorted.sort_unstable_by_key(|(_, name, _)| *name);
        let mut table = vec![u32::MAX; if named.is_empty() { 0 } else { size }];
        let mut turns: Vec<(usize, usize, f64)> = sorted
            .iter()
            .map(|(_, name, _)| {
                let offset = xxh64(name.as_bytes(), 0) as usize % size;
                let skip = xxh64(name.as_bytes(), 1) as usize % (size - 1) + 1;
                (offset, skip, 0.0)
            })
            .collect();
        let mut left = table.len();
        while left > 0 {
            for ((id, _, weight), (at, skip, credit)) in sorted.iter().zip(&mut turns) {
                *credit += f64::from(*weight) / f64::from(heaviest);
                if *credit < 1.0 || left == 0 {
                    continue;
                }
                *credit -= 1.0;
                while table[*at] != u32::MAX {
                    *at = (*at + *skip) % size;
                }
                table[*at] = *id;
                left -= 1;
            }
        }
        Self { table }
    }

    pub fn walk(&self, hash: u64) -> impl Iterator<Item = u32> {
        let from = hash as usize % self.table.len().max(1);
        self.table[from..].iter().chain(&self.table[..from]).copied()
    }
}

const PRIMES: [u64; 5] =
    [0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63, 0x27D4_EB2F_1656_67C5];

fn round(state: u64, lane: u64) -> u64 {
    state.wrapping_add(lane.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}

fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// xxHash64 (as its specification has it), the hash that Envoy places by.
pub fn xxh64(data: &[u8], seed: u64) -> u64 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let stripes = data.chunks_exact(32);
    let mut rest = stripes.remainder();
    let mut hash = if data.len() >= 32 {
        let mut lanes = [seed.wrapping_add(p1).wrapping_add(p2), seed.wrapping_add(p2), seed, seed.wrapping_sub(p1)];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
                *lane = round(*lane, little(word));
            }
        }
        let mixed = [1, 7, 12, 18].iter().zip(lanes).fold(0u64, |sum, (turn, lane)| sum.wrapping_add(lane.rotate_left(*turn)));
        lanes.iter().fold(mixed, |hash, lane| (hash ^ round(0, *lane)).wrapping_mul(p1).wrapping_add(p4))
    } else {
        seed.wrapping_add(p5)
    };
    hash = hash.wrapping_add(data.len() as u64);
    while rest.len() >= 8 {
        hash = (hash ^ round(0, little(&rest[..8]))).rotate_left(27).wrapping_mul(p1).wrapping_add(p4);
        rest = &rest[8..];
    }
    if rest.len() >= 4 {
        hash = (hash ^ little(&rest[..4]).wrapping_mul(p1)).rotate_left(23).wrapping_mul(p2).wrapping_add(p3);
        rest = &rest[4..];
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(p5)).rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(p2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(p3);
    hash ^ (hash >> 32)
}
