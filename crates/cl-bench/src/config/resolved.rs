//! The resolved file: every default written out, and its hash.

use sha2::{Digest, Sha256};

/// The first 16 hexadecimal digits of the SHA-256 of a text.
#[must_use]
pub fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
