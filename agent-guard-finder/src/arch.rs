//! Machine code, one module per processor. What is not written for a processor finds nothing there: symbols still
//! work, structure does not.

mod x86_64;

use std::ops::Range;

use crate::finding::LenWidth;
use crate::image::{Image, Segment};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arch {
    X86_64,
    /// Any processor whose code is not read here.
    Other,
}

/// An instruction that loads the address `target`. Unproven until its site is known to begin an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) site: u64,
    pub(crate) target: u64,
}

/// A direct branch. Unproven until its site is known to begin an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) site: u64,
    pub(crate) target: u64,
    pub(crate) kind: BranchKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BranchKind {
    Call,
    Jump,
    ConditionalJump,
}

impl Arch {
    /// Byte patterns in all code that load one of `targets`, at most [`MAX_REFERENCES`].
    pub(crate) fn references(self, image: &Image<'_>, targets: &[u64]) -> Vec<Reference> {
        match self {
            Self::X86_64 => x86_64::references(image, targets),
            Self::Other => Vec::new(),
        }
    }

    /// Byte patterns in all code that branch into one of `ranges`, at most [`MAX_BRANCHES`].
    pub(crate) fn branches_into(self, image: &Image<'_>, ranges: &[Range<u64>]) -> Vec<Branch> {
        match self {
            Self::X86_64 => x86_64::branches_into(image, ranges),
            Self::Other => Vec::new(),
        }
    }

    /// True when the instruction at `reference.site` really loads `reference.target`.
    pub(crate) fn refers(self, segment: &Segment<'_>, reference: Reference) -> bool {
        match self {
            Self::X86_64 => x86_64::refers(segment, reference),
            Self::Other => false,
        }
    }

    /// True when decoding one instruction after the other from `start` meets `site`.
    pub(crate) fn lands_on(self, segment: &Segment<'_>, start: u64, site: u64) -> bool {
        match self {
            Self::X86_64 => x86_64::lands_on(segment, start, site),
            Self::Other => false,
        }
    }

    /// True when control that enters at `start` can come to `site` within one function.
    pub(crate) fn flows_to(self, segment: &Segment<'_>, start: u64, site: u64) -> bool {
        match self {
            Self::X86_64 => x86_64::flow(segment, start).contains(&site),
            Self::Other => false,
        }
    }

    /// True when nothing can fall through to `start` from the bytes before it, as between two functions.
    pub(crate) fn is_behind_a_gap(self, segment: &Segment<'_>, start: u64) -> bool {
        match self {
            Self::X86_64 => x86_64::is_behind_a_gap(segment, start),
            Self::Other => false,
        }
    }

    /// The direct branch targets outside of the function that begins at `start`. Without an `end`, what can be
    /// reached from `start` is looked at.
    pub(crate) fn branches_out(self, segment: &Segment<'_>, start: u64, end: Option<u64>) -> Vec<u64> {
        match self {
            Self::X86_64 => x86_64::branches_out(segment, start, end),
            Self::Other => Vec::new(),
        }
    }

    /// How the function at `start` reads its third argument.
    pub(crate) fn third_argument_width(self, segment: &Segment<'_>, start: u64) -> LenWidth {
        match self {
            Self::X86_64 => x86_64::third_argument_width(segment, start),
            Self::Other => LenWidth::Unknown,
        }
    }

    /// The canonical frame address at a function's entry, as DWARF register number and offset (System V psABI).
    pub(crate) fn cfa_at_entry(self) -> Option<(u16, i64)> {
        match self {
            // 7 = rsp; the return address lies below.
            Self::X86_64 => Some((7, 8)),
            Self::Other => None,
        }
    }
}

/// More matches than this in one file are no library; what lies beyond is not looked at.
pub(crate) const MAX_REFERENCES: usize = 256;
/// Enough for all calls into [`crate::function`]'s widest range, with many false matches.
pub(crate) const MAX_BRANCHES: usize = 4096;
