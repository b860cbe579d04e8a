//! The message that a proxy keeps on disk. The file around it (checksum, rights) is the proxy's business.

use crate::v1::Snapshot;
use prost::Message;

pub fn to_bytes(snapshot: &Snapshot) -> Vec<u8> {
    snapshot.encode_to_vec()
}

pub fn from_bytes(bytes: &[u8]) -> Result<Snapshot, String> {
    Snapshot::decode(bytes).map_err(|error| error.to_string())
}
