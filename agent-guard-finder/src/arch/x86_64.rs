//! x86-64: byte patterns first, decoding second.
//!
//! A pattern search over all code is fast and wrong now and then (the pattern may lie inside an instruction, or in
//! data); so every match is a candidate only, and the functions that decode decide.

use std::collections::BTreeSet;
use std::ops::Range;

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess, Register,
};

use super::{Branch, BranchKind, MAX_BRANCHES, MAX_REFERENCES, Reference};
use crate::finding::LenWidth;
use crate::image::{Image, Segment};

/// `lea reg64, [rip + disp32]` anywhere; in images at a fixed address `mov reg32, imm32` too.
pub(super) fn references(image: &Image<'_>, targets: &[u64]) -> Vec<Reference> {
    let mut found = Vec::new();
    for segment in image.code() {
        relative_loads(&segment, targets, &mut found);
        if image.is_fixed() {
            targets.iter().for_each(|target| absolute_loads(&segment, *target, &mut found));
        }
    }
    found
}

/// `REX.W 8D /r` with mod 00 and r/m 101: the displacement counts from the next instruction.
fn relative_loads(segment: &Segment<'_>, targets: &[u64], found: &mut Vec<Reference>) {
    for opcode in memchr::memchr_iter(0x8d, segment.bytes) {
        let Some(first) = opcode.checked_sub(1) else { continue };
        let Some([rex, _, modrm, disp @ ..]) = array_at::<7>(segment.bytes, first) else { continue };
        if rex & 0xf8 != 0x48 || modrm & 0xc7 != 0x05 {
            continue;
        }
        let site = segment.address(first);
        let target = relative_target(site, 7, i32::from_le_bytes(disp));
        if targets.contains(&target) && found.len() < MAX_REFERENCES {
            found.push(Reference { site, target });
        }
    }
}

/// `[41] B8+r imm32`. With a 41 before it both readings are candidates.
fn absolute_loads(segment: &Segment<'_>, target: u64, found: &mut Vec<Reference>) {
    let Ok(immediate) = u32::try_from(target) else { return };
    for position in memchr::memmem::find_iter(segment.bytes, &immediate.to_le_bytes()) {
        let Some(opcode) = position.checked_sub(1) else { continue };
        if !matches!(segment.bytes.get(opcode), Some(0xb8..=0xbf)) || found.len() >= MAX_REFERENCES {
            continue;
        }
        found.push(Reference { site: segment.address(opcode), target });
        if let Some(prefix) = opcode.checked_sub(1)
            && segment.bytes.get(prefix) == Some(&0x41)
        {
            found.push(Reference { site: segment.address(prefix), target });
        }
    }
}

/// `E8` call, `E9` jmp, `0F 8x` jcc, each with a 32-bit displacement. Short jumps do not leave a function.
pub(super) fn branches_into(image: &Image<'_>, ranges: &[Range<u64>]) -> Vec<Branch> {
    let ranges = merged(ranges);
    let mut found = Vec::new();
    for segment in image.code() {
        for first in memchr::memchr3_iter(0xe8, 0xe9, 0x0f, segment.bytes) {
            let Some(branch) = branch_at(&segment, first) else { continue };
            let next = ranges.partition_point(|range| range.end <= branch.target);
            let inside = ranges.get(next).is_some_and(|range| range.contains(&branch.target));
            if inside && found.len() < MAX_BRANCHES {
                found.push(branch);
            }
        }
    }
    found
}

/// Sorted, and without overlaps.
fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    sorted.dedup_by(|later, earlier| {
        let overlap = later.start <= earlier.end;
        if overlap {
            earlier.end = earlier.end.max(later.end);
        }
        overlap
    });
    sorted
}

fn branch_at(segment: &Segment<'_>, first: usize) -> Option<Branch> {
    let site = segment.address(first);
    let (kind, target) = match array_at::<5>(segment.bytes, first)? {
        [0xe8, disp @ ..] => (BranchKind::Call, relative_target(site, 5, i32::from_le_bytes(disp))),
        [0xe9, disp @ ..] => (BranchKind::Jump, relative_target(site, 5, i32::from_le_bytes(disp))),
        [_, 0x80..=0x8f, ..] => {
            let [_, _, disp @ ..] = array_at::<6>(segment.bytes, first)?;
            (BranchKind::ConditionalJump, relative_target(site, 6, i32::from_le_bytes(disp)))
        }
        _ => return None,
    };
    Some(Branch { site, target, kind })
}

pub(super) fn refers(segment: &Segment<'_>, reference: Reference) -> bool {
    let Some(instruction) = decode_at(segment, reference.site) else { return false };
    match instruction.code() {
        Code::Lea_r64_m => {
            instruction.is_ip_rel_memory_operand() && instruction.ip_rel_memory_address() == reference.target
        }
        Code::Mov_r32_imm32 => u64::from(instruction.immediate32()) == reference.target,
        _ => false,
    }
}

pub(super) fn lands_on(segment: &Segment<'_>, start: u64, site: u64) -> bool {
    if site.checked_sub(start).is_none_or(|distance| distance > MAX_FUNCTION) {
        return false;
    }
    let mut at = start;
    for instruction in decode_from(segment, start) {
        at = instruction.ip();
        if at >= site || instruction.is_invalid() {
            break;
        }
    }
    at == site && decode_at(segment, site).is_some()
}

/// The addresses of all instructions that control can come to from `start` without calls, returns, indirect jumps
/// and jumps far away.
pub(super) fn flow(segment: &Segment<'_>, start: u64) -> BTreeSet<u64> {
    let window = start..start.saturating_add(FLOW_WINDOW);
    let mut seen = BTreeSet::new();
    let mut waiting = vec![start];
    while let Some(from) = waiting.pop() {
        for instruction in decode_from(segment, from) {
            let at = instruction.ip();
            if instruction.is_invalid() || !window.contains(&at) || !seen.insert(at) {
                break;
            }
            let control = instruction.flow_control();
            let branches =
                matches!(control, FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch);
            if branches {
                waiting.push(instruction.near_branch_target());
            }
            if !matches!(control, FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall)
                && control != FlowControl::ConditionalBranch
            {
                break;
            }
        }
    }
    seen
}

/// Padding (`nop` of any length, `int3`), or an instruction that does not continue, ends right before `start`; and
/// decoding from some distance before lands there. x86 code read from a wrong byte falls into step after a few
/// instructions, so three attempts that all end on `start` leave no room for it to be inside an instruction.
pub(super) fn is_behind_a_gap(segment: &Segment<'_>, start: u64) -> bool {
    let in_step = RUN_UPS.iter().all(|distance| {
        let from = start.saturating_sub(*distance).max(segment.vaddr);
        falls_in_step(segment, from, start)
    });
    in_step && follows_an_end(segment, start)
}

/// Like [`lands_on`] from a byte that may begin no instruction: what cannot be decoded is stepped over.
fn falls_in_step(segment: &Segment<'_>, from: u64, site: u64) -> bool {
    let mut at = from;
    while at < site {
        let length = decode_at(segment, at).map_or(1, |instruction| instruction.len() as u64);
        at = at.saturating_add(length);
    }
    at == site
}

fn follows_an_end(segment: &Segment<'_>, start: u64) -> bool {
    let ends = |length: u64, accept: &dyn Fn(&Instruction) -> bool| {
        start
            .checked_sub(length)
            .and_then(|at| decode_at(segment, at))
            .is_some_and(|instruction| instruction.len() as u64 == length && accept(&instruction))
    };
    let is_padding = |instruction: &Instruction| {
        matches!(
            instruction.code(),
            Code::Int3 | Code::Nopw | Code::Nopd | Code::Nop_rm16 | Code::Nop_rm32 | Code::Nop_rm64
        )
    };
    let is_end = |instruction: &Instruction| {
        matches!(
            instruction.flow_control(),
            FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::Exception
        )
    };
    (1..=MAX_INSTRUCTION).any(|length| ends(length, &is_padding))
        || (start.is_multiple_of(FUNCTION_ALIGNMENT)
            && (1..=MAX_INSTRUCTION).any(|length| ends(length, &is_end)))
}

pub(super) fn branches_out(segment: &Segment<'_>, start: u64, end: Option<u64>) -> Vec<u64> {
    let outside = |target: &u64| !(start..end.unwrap_or(start)).contains(target);
    match end {
        Some(end) => decode_from(segment, start)
            .take_while(|instruction| instruction.ip() < end.min(start.saturating_add(MAX_FUNCTION)))
            .filter_map(|instruction| direct_target(&instruction))
            .filter(outside)
            .collect(),
        None => flow(segment, start)
            .into_iter()
            .filter_map(|at| direct_target(&decode_at(segment, at)?))
            .filter(|target| *target != start)
            .collect(),
    }
}

/// The width of the first read of `rdx`, as long as no call and no other path comes before it.
pub(super) fn third_argument_width(segment: &Segment<'_>, start: u64) -> LenWidth {
    let mut factory = InstructionInfoFactory::new();
    for instruction in decode_from(segment, start).take(MAX_BEFORE_READ) {
        let falls_through =
            matches!(instruction.flow_control(), FlowControl::Next | FlowControl::ConditionalBranch);
        if instruction.is_invalid() || !falls_through {
            break;
        }
        let used = factory.info(&instruction).used_registers();
        let third = || used.iter().filter(|used| used.register().full_register() == Register::RDX);
        if let Some(read) = third().find(|used| is_read(used.access())) {
            return match read.register() {
                Register::EDX => LenWidth::Int32,
                Register::RDX => LenWidth::Size64,
                _ => LenWidth::Unknown,
            };
        }
        if third().next().is_some() {
            break;
        }
    }
    LenWidth::Unknown
}

fn is_read(access: OpAccess) -> bool {
    matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}

fn direct_target(instruction: &Instruction) -> Option<u64> {
    let direct = matches!(
        instruction.flow_control(),
        FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
    );
    direct.then(|| instruction.near_branch_target())
}

fn decode_at(segment: &Segment<'_>, address: u64) -> Option<Instruction> {
    decode_from(segment, address).next().filter(|instruction| !instruction.is_invalid())
}

fn decode_from<'a>(segment: &Segment<'a>, address: u64) -> impl Iterator<Item = Instruction> + use<'a> {
    let bytes = segment.from(address).unwrap_or_default();
    Decoder::with_ip(BITNESS, bytes, address, DecoderOptions::NONE).into_iter()
}

fn relative_target(site: u64, length: u64, displacement: i32) -> u64 {
    site.wrapping_add(length).wrapping_add_signed(i64::from(displacement))
}

fn array_at<const N: usize>(bytes: &[u8], position: usize) -> Option<[u8; N]> {
    bytes.get(position..)?.first_chunk::<N>().copied()
}

const BITNESS: u32 = 64;
/// The architecture's limit.
const MAX_INSTRUCTION: u64 = 15;
/// What compilers align functions to unless told to save space.
const FUNCTION_ALIGNMENT: u64 = 16;
/// Longer functions are not decoded. `ssl_write_internal` has some hundred bytes, with everything inlined some thousand.
const MAX_FUNCTION: u64 = 256 * 1024;
/// Distances in bytes, long enough to fall into step.
const RUN_UPS: [u64; 3] = [509, 385, 256];
/// How far from its start a function without a known end is followed.
const FLOW_WINDOW: u64 = 16 * 1024;
/// A function reads its arguments in its first instructions.
const MAX_BEFORE_READ: usize = 48;
