//! An ELF file as the kernel and the dynamic loader see it: segments first, section headers only for symbol tables.
//!
//! Invariants: every access is bounds-checked; the bytes of all segments together are at most
//! [`MAX_MAPPED_RATIO`] times the file, so that a scan of all segments is linear in the file's length.

mod frames;
mod symbols;

pub(crate) use symbols::Function;

use std::cell::OnceCell;

use object::LittleEndian as Le;
use object::elf::{
    ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_X86_64, ET_DYN, ET_EXEC, FileHeader64, NT_GNU_BUILD_ID, PF_X,
    PT_GNU_EH_FRAME, PT_LOAD, ProgramHeader64,
};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use crate::arch::Arch;
use crate::error::FinderError;

pub(crate) struct Image<'a> {
    data: &'a [u8],
    header: &'a FileHeader64<Le>,
    program: &'a [ProgramHeader64<Le>],
    segments: Vec<Segment<'a>>,
    function_index: OnceCell<Vec<Function<'a>>>,
    pub(crate) arch: Arch,
}

/// The part of a `PT_LOAD` segment that the file holds.
#[derive(Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) vaddr: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: &'a [u8],
    pub(crate) executable: bool,
}

impl<'a> Image<'a> {
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, FinderError> {
        let header = header(data)?;
        let e_type = header.e_type(Le);
        if e_type != ET_EXEC && e_type != ET_DYN {
            return Err(FinderError::NotLoadable { e_type });
        }
        let program = header.program_headers(Le, data).map_err(malformed)?;
        let segments = load_segments(data, program)?;
        let x86_64 = header.e_machine(Le) == EM_X86_64;
        let arch = if x86_64 { Arch::X86_64 } else { Arch::Other };
        Ok(Self { data, header, program, segments, function_index: OnceCell::new(), arch })
    }

    pub(crate) fn segments(&self) -> &[Segment<'a>] {
        &self.segments
    }

    pub(crate) fn code(&self) -> impl Iterator<Item = Segment<'a>> {
        self.segments.iter().copied().filter(|segment| segment.executable)
    }

    /// True when the file is mapped where its headers say (`ET_EXEC`), so that code may hold absolute addresses.
    pub(crate) fn is_fixed(&self) -> bool {
        self.header.e_type(Le) == ET_EXEC
    }

    /// The executable segment that holds `address`.
    pub(crate) fn code_at(&self, address: u64) -> Option<Segment<'a>> {
        self.code().find(|segment| segment.contains(address))
    }

    /// The file's bytes from `address` to the end of its segment.
    fn bytes_at(&self, address: u64) -> Option<&'a [u8]> {
        self.segments.iter().find(|segment| segment.contains(address))?.from(address)
    }

    fn eh_frame_hdr(&self) -> Option<u64> {
        let header = self.program.iter().find(|header| header.p_type(Le) == PT_GNU_EH_FRAME)?;
        Some(header.p_vaddr(Le))
    }
}

impl<'a> Segment<'a> {
    pub(crate) fn contains(&self, address: u64) -> bool {
        self.position(address).is_some()
    }

    /// The index into `bytes` of the byte at `address`.
    pub(crate) fn position(&self, address: u64) -> Option<usize> {
        let position = usize::try_from(address.checked_sub(self.vaddr)?).ok()?;
        (position < self.bytes.len()).then_some(position)
    }

    pub(crate) fn address(&self, position: usize) -> u64 {
        self.vaddr.wrapping_add(position as u64)
    }

    pub(crate) fn file_offset(&self, address: u64) -> Option<u64> {
        self.offset.checked_add(self.position(address)? as u64)
    }

    pub(crate) fn from(&self, address: u64) -> Option<&'a [u8]> {
        self.bytes.get(self.position(address)?..)
    }
}

/// See [`crate::build_id`].
pub(crate) fn build_id(data: &[u8]) -> Option<Vec<u8>> {
    let program = header(data).ok()?.program_headers(Le, data).ok()?;
    for segment in program.iter().take(MAX_SEGMENTS) {
        let Ok(Some(mut notes)) = segment.notes(Le, data) else { continue };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == b"GNU" && note.n_type(Le) == NT_GNU_BUILD_ID && !note.desc().is_empty() {
                return Some(note.desc().iter().copied().take(MAX_BUILD_ID).collect());
            }
        }
    }
    None
}

fn header(data: &[u8]) -> Result<&FileHeader64<Le>, FinderError> {
    if !data.starts_with(&ELFMAG) {
        return Err(FinderError::NotElf { length: data.len() });
    }
    if data.get(4).copied() != Some(ELFCLASS64) {
        return Err(FinderError::Unsupported { what: "a 32-bit ELF file" });
    }
    if data.get(5).copied() != Some(ELFDATA2LSB) {
        return Err(FinderError::Unsupported { what: "a big-endian ELF file" });
    }
    FileHeader64::<Le>::parse(data).map_err(malformed)
}

fn load_segments<'a>(
    data: &'a [u8],
    program: &[ProgramHeader64<Le>],
) -> Result<Vec<Segment<'a>>, FinderError> {
    let mut segments = Vec::new();
    let mut mapped = 0_usize;
    for header in program.iter().filter(|header| header.p_type(Le) == PT_LOAD) {
        let offset = header.p_offset(Le);
        let end = offset.saturating_add(header.p_filesz(Le)).min(data.len() as u64);
        let range = usize::try_from(offset).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
        let Some(bytes) = data.get(range).filter(|bytes| !bytes.is_empty()) else { continue };
        mapped = mapped.saturating_add(bytes.len());
        let executable = header.p_flags(Le) & PF_X != 0;
        segments.push(Segment { vaddr: header.p_vaddr(Le), offset, bytes, executable });
    }
    if segments.len() > MAX_SEGMENTS || mapped > data.len().saturating_mul(MAX_MAPPED_RATIO) {
        let what = format!("{} segments map {mapped} of {} bytes", segments.len(), data.len());
        return Err(FinderError::Malformed { what });
    }
    Ok(segments)
}

fn malformed(error: object::read::Error) -> FinderError {
    FinderError::Malformed { what: error.to_string() }
}

const MAX_SEGMENTS: usize = 128;
const MAX_MAPPED_RATIO: usize = 2;
/// The longest in use is 20 bytes (SHA-1); anything beyond is cut.
const MAX_BUILD_ID: usize = 64;
