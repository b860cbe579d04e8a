//! HPACK (RFC 7541): how HTTP/2 packs header fields. The decoder is strict, for what one reader takes and another refuses is how messages are
//! smuggled: everything that the standard calls an error is one, and none of them can be mended, since both ends then hold different tables. The encoder
//! indexes what it has seen before, and never what may be a secret.
//!
//! Knows bytes and fields; what a field means, and which of them make a message, is [`super`]'s business.

mod decode;
mod encode;
mod huffman;
mod table;

pub use decode::Decoder;
pub use encode::Encoder;

/// Why a header block cannot be read (COMPRESSION_ERROR).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("header block ends within a field")]
    Truncated,
    #[error("number in a header block is beyond all bounds")]
    Overflow,
    #[error("header block names a field that is in no table")]
    Index,
    #[error("header block has a Huffman code that is none")]
    Huffman,
    #[error("header block sets the table to a size that was not allowed, or not at its beginning")]
    TableSize,
}

impl Error {
    pub fn why(self) -> &'static str {
        match self {
            Self::Truncated => "header block ends within a field",
            Self::Overflow => "number in a header block is beyond all bounds",
            Self::Index => "header block names a field that is in no table",
            Self::Huffman => "header block has a Huffman code that is none",
            Self::TableSize => "header block sets the table to a size that was not allowed, or not at its beginning",
        }
    }
}

#[cfg(test)]
mod tests;
