//! Where the write functions of a TLS library lie in an ELF file: bytes in, probe points with evidence out.
//!
//! The probes of the guard are uprobes, attached by file offset. Agents bring their TLS library in every shape: as
//! `libssl.so.3`, under another file name inside a wheel, linked statically into a stripped program. So a file is
//! judged by what is in it, never by its name or by a version table.
//!
//! **A uprobe inside an instruction corrupts the program.** Hence the one invariant of this crate: an address is
//! handed out only when it is proven to be a function's first instruction: by a symbol, by an unwind entry that
//! covers the site of the evidence and decodes onto it, or by a direct call to it from where control flow reaches
//! that site. Where nothing is proven nothing is returned, and the caller treats the file as not covered.
//!
//! **Probed write functions do not nest**: of two returned functions none calls the other, so that one write of the
//! agent is one hit.
//!
//! The file may be hostile. It is read by bounds-checked access only, all work is bounded by its length, and
//! nothing here opens, maps or runs anything: the caller maps the file and passes the bytes.
//!
//! Adding a TLS stack is one module under `stack/` and one line in its registry.
#![forbid(unsafe_code)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a panic in a test is a failed test"
    )
)]

mod arch;
mod error;
mod finding;
mod function;
mod image;
mod stack;

pub use error::FinderError;
pub use finding::{Finding, LenWidth, ProbePoint, Role, Stack};

use image::Image;

/// Finds every TLS stack known to this crate in the ELF file `elf`.
///
/// `Ok` with no finding means that no known stack is in the file. A finding that is not [`Finding::is_covered`] means
/// that the stack is there and not every function of it could be proven.
///
/// # Errors
///
/// When the bytes are no 64-bit little-endian ELF program or shared library, or contradict themselves.
pub fn find(elf: &[u8]) -> Result<Vec<Finding>, FinderError> {
    let image = Image::parse(elf)?;
    Ok(stack::REGISTRY.iter().filter_map(|find| find(&image)).collect())
}

/// The GNU build-id (`NT_GNU_BUILD_ID`) of the ELF file, if it has one that its program headers lead to.
///
/// The linker writes it, so it is a cache key for files that nobody forged, and no proof of anything.
#[must_use]
pub fn build_id(elf: &[u8]) -> Option<Vec<u8>> {
    image::build_id(elf)
}
