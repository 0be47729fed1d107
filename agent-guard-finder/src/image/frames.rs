//! Function ranges from the unwind tables (`.eh_frame`), which stripped files keep because exceptions and profilers
//! need them.
//!
//! `PT_GNU_EH_FRAME` leads to a sorted table. It is a hint only: the range of the entry it names is compared with
//! the address (one browser's table covers nothing but its assembly, so that every other lookup lands on the wrong entry).

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, LittleEndian, Register, UnwindContext,
    UnwindSection as _,
};

use super::Image;

/// One contiguous piece of code with one unwind entry. Usually a function; a compiler may split one in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The canonical frame address at the first instruction, as register number and offset: what a caller leaves at
    /// a function's entry, and something else in the middle of one. `None` when it is computed in another way.
    pub(crate) cfa_at_start: Option<(u16, i64)>,
}

impl Frame {
    pub(crate) fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

impl Image<'_> {
    /// The frame whose range really holds `address`.
    pub(crate) fn frame_covering(&self, address: u64) -> Option<Frame> {
        let header_at = self.eh_frame_hdr()?;
        let header_bytes = EndianSlice::new(self.bytes_at(header_at)?, LittleEndian);
        let bases = BaseAddresses::default().set_eh_frame_hdr(header_at);
        let header = EhFrameHdr::from(header_bytes).parse(&bases, ADDRESS_SIZE).ok()?;
        let gimli::Pointer::Direct(eh_frame_at) = header.eh_frame_ptr() else { return None };
        let bases = bases.set_eh_frame(eh_frame_at);
        let section = EhFrame::from(EndianSlice::new(self.bytes_at(eh_frame_at)?, LittleEndian));
        let table = header.table()?;
        let entry = table.fde_for_address(&section, &bases, address, EhFrame::cie_from_offset).ok()?;
        let start = entry.initial_address();
        let end = start.checked_add(entry.len())?;
        let mut context = UnwindContext::new();
        let row = entry.unwind_info_for_address(&section, &bases, &mut context, start).ok();
        let cfa_at_start = match row?.cfa() {
            CfaRule::RegisterAndOffset { register: Register(number), offset } => Some((*number, *offset)),
            CfaRule::Expression(_) => None,
        };
        Some(Frame { start, end, cfa_at_start }).filter(|frame| frame.contains(address))
    }
}

const ADDRESS_SIZE: u8 = 8;
