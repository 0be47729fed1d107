//! From a site inside a function to that function's first instruction, with proof.
//!
//! Compilers move rarely run code of a function elsewhere ("cold pieces"), with an unwind entry of its own. An error
//! string is exactly what ends up there. The start of such a piece is no function: the piece is left by following
//! the jumps into it back to where they come from.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::arch::{Branch, BranchKind, Reference};
use crate::image::{Function, Image};

/// A proven first instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) start: u64,
    pub(crate) end: Option<u64>,
    pub(crate) proof: Proof,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    Symbol,
    Frame,
    Call,
}

/// What became of a set of sites.
#[derive(Debug, Default)]
pub(crate) struct Enclosing {
    /// Sorted by start, without duplicates.
    pub(crate) entries: Vec<Entry>,
    /// Sites (or starts of pieces) for which no function could be proven.
    pub(crate) unproven: Vec<u64>,
}

/// The functions that hold the sites of `references`.
pub(crate) fn enclosing(image: &Image<'_>, references: &[Reference]) -> Enclosing {
    let mut result = Enclosing::default();
    let mut pieces = BTreeMap::new();
    let mut loose = Vec::new();
    let (mut met, mut missed) = (BTreeSet::new(), Vec::new());
    for reference in references {
        let Some(segment) = image.code_at(reference.site) else { continue };
        if !image.arch.refers(&segment, *reference) {
            continue;
        }
        match piece_covering(image, reference.site) {
            Some(piece) if image.arch.lands_on(&segment, piece.start, reference.site) => {
                pieces.insert(piece.start, piece);
                met.insert(reference.site);
            }
            Some(_) => missed.push(reference.site),
            None => loose.push(reference.site),
        }
    }
    // One instruction may have been matched with and without its prefix byte. Anything else that looks like a
    // reference and is none should not exist, so it is not passed over in silence.
    let is_other_reading =
        |site: u64| met.contains(&site.wrapping_add(1)) || met.contains(&site.wrapping_sub(1));
    result.unproven.extend(missed.into_iter().filter(|site| !is_other_reading(*site)));
    resolve(image, pieces, &mut result);
    resolve_loose(image, &loose, &mut result);
    result.entries.sort_by_key(|entry| entry.start);
    result.entries.dedup_by_key(|entry| entry.start);
    result
}

/// A contiguous range of code with one symbol or unwind entry.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: u64,
    end: u64,
    nature: Nature,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// A symbol says so.
    Function,
    /// A symbol or the unwind entry says that this is not where a function begins.
    ColdPiece,
    /// An unwind entry that begins like a function; a cold piece may do so too.
    Unnamed,
}

fn piece_covering(image: &Image<'_>, site: u64) -> Option<Piece> {
    let Some(frame) = image.frame_covering(site) else {
        let function = image.function_covering(site)?;
        let end = function.address.checked_add(function.size)?;
        return Some(Piece { start: function.address, end, nature: nature_of(function) });
    };
    let named = image.functions_at(frame.start).first();
    let begins_like_a_function = frame.cfa_at_start == image.arch.cfa_at_entry();
    let nature = match named {
        Some(function) => nature_of(function),
        None if begins_like_a_function => Nature::Unnamed,
        None => Nature::ColdPiece,
    };
    Some(Piece { start: frame.start, end: frame.end, nature })
}

fn nature_of(function: &Function<'_>) -> Nature {
    if function.is_cold_piece() { Nature::ColdPiece } else { Nature::Function }
}

/// Turns pieces into entries, following jumps out of cold pieces for some rounds.
fn resolve(image: &Image<'_>, mut pieces: BTreeMap<u64, Piece>, result: &mut Enclosing) {
    let mut known: Vec<u64> = pieces.keys().copied().collect();
    for _ in 0..MAX_ROUNDS {
        let in_question = pieces.values().filter(|piece| piece.nature != Nature::Function);
        let ranges: Vec<Range<u64>> = in_question.map(|piece| piece.start..piece.end).collect();
        let branches = if ranges.is_empty() { Vec::new() } else { image.arch.branches_into(image, &ranges) };
        let branches: Vec<(Branch, Piece)> = branches
            .into_iter()
            .take(MAX_ORIGINS)
            .filter_map(|branch| Some((branch, origin(image, branch)?)))
            .collect();
        let mut parents = BTreeMap::new();
        for piece in pieces.values() {
            match settle(piece, &branches) {
                Settled::Entry(entry) => result.entries.push(entry),
                Settled::PieceOf(found) if found.is_empty() => result.unproven.push(piece.start),
                Settled::PieceOf(found) => parents.extend(found.into_iter().map(|p| (p.start, p))),
            }
        }
        parents.retain(|start, _| !known.contains(start));
        known.extend(parents.keys());
        pieces = parents;
    }
    result.unproven.extend(pieces.keys());
}

enum Settled {
    Entry(Entry),
    PieceOf(Vec<Piece>),
}

fn settle(piece: &Piece, branches: &[(Branch, Piece)]) -> Settled {
    let entry = |proof| Settled::Entry(Entry { start: piece.start, end: Some(piece.end), proof });
    let inside = piece.start..piece.end;
    let from_outside = || {
        branches.iter().filter(|(branch, from)| inside.contains(&branch.target) && from.start != piece.start)
    };
    let jumped_into_from = || {
        let jumps = from_outside().filter(|(branch, _)| branch.kind != BranchKind::Call);
        jumps.map(|(_, from)| *from).collect::<Vec<Piece>>()
    };
    match piece.nature {
        Nature::Function => entry(Proof::Symbol),
        Nature::ColdPiece => Settled::PieceOf(jumped_into_from()),
        Nature::Unnamed => {
            let called = from_outside()
                .any(|(branch, _)| branch.kind == BranchKind::Call && branch.target == piece.start);
            // A jump to the first instruction alone may be a tail call; one into the middle never is.
            let is_cold = from_outside().any(|(branch, _)| match branch.kind {
                BranchKind::Call => false,
                BranchKind::Jump => branch.target != piece.start,
                BranchKind::ConditionalJump => true,
            });
            if !called && is_cold { Settled::PieceOf(jumped_into_from()) } else { entry(Proof::Frame) }
        }
    }
}

/// The piece that a branch comes from, if its site is an instruction of that piece.
fn origin(image: &Image<'_>, branch: Branch) -> Option<Piece> {
    let piece = piece_covering(image, branch.site)?;
    let segment = image.code_at(branch.site)?;
    image.arch.lands_on(&segment, piece.start, branch.site).then_some(piece)
}

/// For code without symbols and unwind entries.
fn resolve_loose(image: &Image<'_>, sites: &[u64], result: &mut Enclosing) {
    if sites.is_empty() {
        return;
    }
    let reach = |site: u64| site.saturating_sub(MAX_DISTANCE)..site.saturating_add(1);
    let ranges: Vec<Range<u64>> = sites.iter().map(|site| reach(*site)).collect();
    let mut calls: BTreeMap<u64, usize> = BTreeMap::new();
    for branch in image.arch.branches_into(image, &ranges) {
        if branch.kind == BranchKind::Call {
            let count = calls.entry(branch.target).or_default();
            *count = count.saturating_add(1);
        }
    }
    for site in sites {
        match called_before(image, *site, calls.range(reach(*site))) {
            Some(entry) => result.entries.push(entry),
            None => result.unproven.push(*site),
        }
    }
}

/// The nearest of the call targets `calls` before `site` that stands where a function may begin, if control flows
/// from there to `site`.
///
/// The calls themselves cannot be checked here, for nothing says where their functions begin; so one call is
/// believed only when its target is aligned like a function or another call agrees.
fn called_before<'c>(
    image: &Image<'_>,
    site: u64,
    calls: impl DoubleEndedIterator<Item = (&'c u64, &'c usize)>,
) -> Option<Entry> {
    let segment = image.code_at(site)?;
    let mut nearest_first = calls.rev().take(MAX_TRIES).filter(|(target, count)| {
        (**count > 1 || target.is_multiple_of(ALIGNMENT)) && image.arch.is_behind_a_gap(&segment, **target)
    });
    let (start, _) = nearest_first.next()?;
    let entry = Entry { start: *start, end: None, proof: Proof::Call };
    image.arch.flows_to(&segment, *start, site).then_some(entry)
}

/// From a cold piece to its function; a second step for a function that is itself split where nothing names it.
const MAX_ROUNDS: usize = 3;
const MAX_DISTANCE: u64 = 16 * 1024;
const ALIGNMENT: u64 = 16;
/// Branches whose place is proven, in one round. Some functions have many callers; the first ones say enough.
const MAX_ORIGINS: usize = 256;
/// Call targets looked at before one site. Between it and its function's start there are none but false ones.
const MAX_TRIES: usize = 64;
