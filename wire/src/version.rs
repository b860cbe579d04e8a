//! The version of a resource is a hash of its encoding: any replica resumes any session, and equal content never travels twice.

use sha2::{Digest, Sha256};

/// The first 16 bytes of the SHA-256 of an encoded resource, in hexadecimal.
pub fn version(encoded: &[u8]) -> String {
    Sha256::digest(encoded).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
