//! Function ranges from the unwind tables (`.eh_frame`), which stripped files keep because exceptions and profilers
//! need them.
//!
//! `PT_GNU_EH_FRAME` leads to a sorted table. It is a hint only: the range of the entry it names is compared with
//! the address (one browser's table covers nothing but its assembly, so that every other lookup lands on the wrong
//! entry). Only the one form that linkers write is read; any other is no table, and proves nothing.
//!
//! Format: Linux Standard Base Core 5.0, chapter 10.6 (`.eh_frame`, `.eh_frame_hdr`); DWARF 5, section 6.4.2.

mod reader;

use reader::Reader;

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

impl Image<'_> {
    /// The frame whose range really holds `address`.
    pub(crate) fn frame_covering(&self, address: u64) -> Option<Frame> {
        let entry_at = self.frame_entry_before(address)?;
        let frame = self.frame_at(entry_at)?;
        (frame.start..frame.end).contains(&address).then_some(frame)
    }

    /// The address of the last unwind entry that the table says begins at or before `address`.
    fn frame_entry_before(&self, address: u64) -> Option<u64> {
        let header_at = self.eh_frame_hdr()?;
        let mut header = Reader::new(self.bytes_at(header_at)?, header_at);
        if header.take(4)? != [1, ENC_PCREL_SDATA4, ENC_UDATA4, ENC_DATAREL_SDATA4] {
            return None;
        }
        header.take(4)?;
        let count = usize::try_from(header.u32()?).ok()?;
        let (rows, _) = header.take(count.checked_mul(8)?)?.as_chunks::<8>();
        let pair = |row: &[u8; 8]| {
            let [a, b, c, d, e, f, g, h] = *row;
            let relative = |bytes| header_at.wrapping_add_signed(i64::from(i32::from_le_bytes(bytes)));
            (relative([a, b, c, d]), relative([e, f, g, h]))
        };
        let next = rows.partition_point(|row| pair(row).0 <= address);
        rows.get(next.checked_sub(1)?).map(|row| pair(row).1)
    }

    fn frame_at(&self, entry_at: u64) -> Option<Frame> {
        let mut entry = self.record_at(entry_at)?;
        let pointer_at = entry.address();
        let common_at = pointer_at.checked_sub(u64::from(entry.u32()?))?;
        let common = self.common_at(common_at)?;
        let start = entry.pointer(common.encoding)?;
        // The length has the format of the pointer and is relative to nothing.
        let length = entry.pointer(common.encoding & ENC_FORMAT)?;
        let end = start.checked_add(length)?;
        if common.has_augmentation {
            let skipped = usize::try_from(entry.uleb()?).ok()?;
            entry.take(skipped)?;
        }
        let cfa_at_start = common.cfa.and_then(|cfa| cfa_before_advance(cfa, entry));
        Some(Frame { start, end, cfa_at_start })
    }

    /// What several entries share (a CIE).
    fn common_at(&self, at: u64) -> Option<Common> {
        let mut record = self.record_at(at)?;
        let (id, version) = (record.u32()?, record.u8()?);
        if id != 0 || (version != 1 && version != 3) {
            return None;
        }
        let augmentation = record.string()?;
        record.uleb()?;
        // The data alignment is signed; its value is not needed, and its length does not depend on that.
        record.uleb()?;
        if version == 1 {
            u64::from(record.u8()?)
        } else {
            record.uleb()?
        };
        let mut encoding = ENC_ABSOLUTE;
        let has_augmentation = augmentation.first() == Some(&b'z');
        if has_augmentation {
            record.uleb()?;
        }
        for letter in augmentation {
            match letter {
                b'z' | b'S' | b'B' => {}
                b'R' => encoding = record.u8()?,
                b'L' => _ = record.u8()?,
                b'P' => {
                    let personality = record.u8()?;
                    record.pointer(personality & ENC_FORMAT)?;
                }
                _ => return None,
            }
        }
        Some(Common { encoding, has_augmentation, cfa: cfa_before_advance((0, 0), record) })
    }

    /// The body of the length-prefixed record at `at`.
    fn record_at(&self, at: u64) -> Option<Reader<'_>> {
        let mut reader = Reader::new(self.bytes_at(at)?, at);
        let length = reader.u32()?;
        // 0 ends the section; u32::MAX announces the 64-bit form, which no linker writes here.
        if length == 0 || length == u32::MAX {
            return None;
        }
        let body_at = reader.address();
        Some(Reader::new(reader.take(usize::try_from(length).ok()?)?, body_at))
    }
}

struct Common {
    encoding: u8,
    has_augmentation: bool,
    cfa: Option<(u16, i64)>,
}

/// Runs the call frame instructions up to the first that moves to another location. `None` when the frame address
/// is then no register and offset, or the program cannot be read.
fn cfa_before_advance(start: (u16, i64), mut program: Reader<'_>) -> Option<(u16, i64)> {
    let (mut register, mut offset) = start;
    for _ in 0..MAX_INSTRUCTIONS {
        let Some(opcode) = program.u8() else { break };
        match opcode {
            // advance_loc; set_loc, advance_loc1, 2, 4
            0x40..=0x7f | 0x01..=0x04 => break,
            // def_cfa
            0x0c => {
                register = u16::try_from(program.uleb()?).ok()?;
                offset = i64::try_from(program.uleb()?).ok()?;
            }
            // def_cfa_register
            0x0d => register = u16::try_from(program.uleb()?).ok()?,
            // def_cfa_offset
            0x0e => offset = i64::try_from(program.uleb()?).ok()?,
            // nop, remember_state, restore_state; restore
            0x00 | 0x0a | 0x0b | 0xc0..=0xff => {}
            // offset; restore_extended, undefined, same_value, GNU_args_size
            0x80..=0xbf | 0x06..=0x08 | 0x2e => _ = program.uleb()?,
            // offset_extended, register
            0x05 | 0x09 => {
                program.uleb()?;
                program.uleb()?;
            }
            // expression, val_expression
            0x10 | 0x16 => {
                program.uleb()?;
                let length = usize::try_from(program.uleb()?).ok()?;
                program.take(length)?;
            }
            // def_cfa_expression, the signed forms, and what is not known
            _ => return None,
        }
    }
    Some((register, offset))
}

/// DW_EH_PE_pcrel | DW_EH_PE_sdata4
const ENC_PCREL_SDATA4: u8 = 0x1b;
/// DW_EH_PE_udata4
const ENC_UDATA4: u8 = 0x03;
/// DW_EH_PE_datarel | DW_EH_PE_sdata4
const ENC_DATAREL_SDATA4: u8 = 0x3b;
/// DW_EH_PE_absptr
const ENC_ABSOLUTE: u8 = 0x00;
/// The bits that say how wide a pointer is.
const ENC_FORMAT: u8 = 0x0f;
/// A cold piece first restores the rules of the middle of its function: about one per saved register.
const MAX_INSTRUCTIONS: usize = 64;
