//! Why a file cannot be searched. None of these means "no TLS inside": the caller must treat the file as unknown.

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FinderError {
    /// No ELF magic. Scripts end here: their interpreter is what has to be searched.
    #[error(
        "not an ELF file (it is {length} bytes long and does not begin with 7f 45 4c 46): search the interpreter of a script, not the script"
    )]
    NotElf { length: usize },

    /// An ELF file of a kind that this crate does not read.
    #[error("{what} is not supported: only 64-bit little-endian ELF files are searched")]
    Unsupported { what: &'static str },

    /// Object files, core dumps and the like are never mapped as code.
    #[error("ELF type {e_type} is neither a program (2) nor a shared object (3): search the linked file")]
    NotLoadable { e_type: u16 },

    /// The file contradicts itself.
    #[error("malformed ELF file: {what}: if this file runs nevertheless, it was made to mislead readers")]
    Malformed { what: String },
}
