//! OpenSSL: every way to write ends in `ssl_write_internal`, and that function names itself.
//!
//! `SSL_write`, `SSL_write_ex`, `SSL_write_ex2` and the SSL BIO (`BIO_write` on `BIO_f_ssl`, which calls none of the
//! others) all come through `ssl_write_internal(SSL *, const void *buf, size_t len, …)`. Since 3.0 `ERR_raise` puts
//! the function's name into every build, so the string leads to the code even when symbols are stripped. Where the
//! compiler put it into its callers, these hold the string; they take the same first three arguments, and all of
//! them are returned. (Link-time optimisation may put it into the BIO's method: then the first argument is the BIO.)
//!
//! Without that string (1.1, BoringSSL, LibreSSL) the exported names are used.

use std::collections::BTreeSet;

use crate::arch::{MAX_REFERENCES, Reference};
use crate::finding::{Finding, LenWidth, ProbePoint, Role, Stack};
use crate::function::{Entry, Proof, enclosing};
use crate::image::{Function, Image};

pub(crate) fn find(image: &Image<'_>) -> Option<Finding> {
    let mut notes = Notes::default();
    let mut writes = by_error_string(image, &mut notes);
    let by_string = !writes.is_empty();
    if !by_string {
        writes = by_name(image, &mut notes);
        if notes.names_itself && !writes.is_empty() {
            notes.gap(format!(
                "{INTERNAL} is in the file and not found: writes through an SSL BIO are not seen"
            ));
        }
    }
    if notes.evidence.is_empty() {
        return None;
    }
    // An outer function that holds the string has a copy of the inner one, which is left out with it.
    let outer = drop_outer(image, &mut writes, &mut notes.evidence);
    notes.gaps |= by_string && outer > 0;
    let mut points: Vec<ProbePoint> = writes.iter().filter_map(|write| point(image, write)).collect();
    if !points.is_empty() {
        points.extend(unbind_points(image));
    }
    points.sort_by_key(|point| (point.role, point.vaddr));
    let complete = !notes.gaps;
    Some(Finding { stack: Stack::OpenSsl, points, complete, evidence: notes.evidence.join("; ") })
}

#[derive(Default)]
struct Notes {
    evidence: Vec<String>,
    /// Something that writes is known to be missing.
    gaps: bool,
    /// The error string is in the file.
    names_itself: bool,
}

impl Notes {
    fn gap(&mut self, what: String) {
        self.evidence.push(what);
        self.gaps = true;
    }
}

/// A function to probe, not yet turned into a file offset.
struct Candidate {
    entry: Entry,
    role: Role,
    symbol: String,
}

fn by_error_string(image: &Image<'_>, notes: &mut Notes) -> Vec<Candidate> {
    let strings = string_addresses(image, INTERNAL);
    notes.names_itself = !strings.is_empty();
    let references: Vec<Reference> = image.arch.references(image, &strings);
    if strings.len() >= MAX_STRINGS || references.len() >= MAX_REFERENCES {
        notes.gap(format!("\"{INTERNAL}\" is there so often that not every place was looked at"));
    }
    let found = enclosing(image, &references);
    let several = found.entries.len() > 1;
    let mut writes = Vec::new();
    for entry in found.entries {
        let named = image.functions_at(entry.start);
        if let Some(clone) = named.iter().find(|function| has_other_arguments(function)) {
            let (name, start) = (clone.printable(), entry.start);
            notes.gap(format!(
                "{name} at {start:#x} is left out: its arguments may be others than its source's"
            ));
            continue;
        }
        let symbol = best_name(named, several);
        notes.evidence.push(format!(
            "{symbol} at {:#x} holds the error string \"{INTERNAL}\" (start proven by {})",
            entry.start,
            proof_in_words(entry.proof)
        ));
        let len = width_of(&symbol).unwrap_or_else(|| measured_width(image, entry.start));
        writes.push(Candidate { entry, role: Role::Write { len }, symbol });
    }
    for site in found.unproven {
        notes.gap(format!("no function could be proven around {site:#x}, which uses \"{INTERNAL}\""));
    }
    writes
}

/// Where `text` stands as a whole C string. What comes before it need not be a NUL (compilers may put the name into
/// an array of its own), but no part of a longer name.
fn string_addresses(image: &Image<'_>, text: &str) -> Vec<u64> {
    let needle = [text.as_bytes(), b"\0"].concat();
    let finder = memchr::memmem::Finder::new(&needle);
    let mut addresses = Vec::new();
    for segment in image.segments() {
        let whole = finder.find_iter(segment.bytes).filter(|position| {
            let before = position.checked_sub(1).and_then(|before| segment.bytes.get(before));
            before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
        });
        addresses.extend(whole.take(MAX_STRINGS).map(|position| segment.address(position)));
    }
    addresses.truncate(MAX_STRINGS);
    addresses
}

fn by_name(image: &Image<'_>, notes: &mut Notes) -> Vec<Candidate> {
    let mut writes: Vec<Candidate> = Vec::new();
    for (name, len) in EXPORTED {
        let Some(function) = image.function_named(name) else { continue };
        let start = function.address;
        if writes.iter().any(|write| write.entry.start == start) {
            continue;
        }
        notes.evidence.push(format!("symbol {name} at {start:#x}"));
        let end = start.checked_add(function.size).filter(|end| *end > start);
        let entry = Entry { start, end, proof: Proof::Symbol };
        writes.push(Candidate { entry, role: Role::Write { len: *len }, symbol: (*name).to_owned() });
    }
    writes
}

/// Of two functions of which one calls the other directly, keeps the callee. Says how many were left out.
fn drop_outer(image: &Image<'_>, writes: &mut Vec<Candidate>, evidence: &mut Vec<String>) -> usize {
    let before = writes.len();
    let mut kept: BTreeSet<u64> = writes.iter().map(|write| write.entry.start).collect();
    writes.retain(|write| {
        let start = write.entry.start;
        let Some(segment) = image.code_at(start) else { return false };
        let targets = image.arch.branches_out(&segment, start, write.entry.end);
        let Some(inner) = targets.iter().find(|target| **target != start && kept.contains(target)) else {
            return true;
        };
        evidence.push(format!("{} is left out: it calls the one at {inner:#x}", write.symbol));
        kept.remove(&start);
        false
    });
    before.saturating_sub(writes.len())
}

fn unbind_points(image: &Image<'_>) -> Vec<ProbePoint> {
    let candidates = UNBINDING.iter().filter_map(|name| {
        let start = image.function_named(name)?.address;
        let entry = Entry { start, end: None, proof: Proof::Symbol };
        Some(Candidate { entry, role: Role::Unbind, symbol: (*name).to_owned() })
    });
    let mut points: Vec<ProbePoint> = candidates.filter_map(|candidate| point(image, &candidate)).collect();
    points.sort_by_key(|point| point.vaddr);
    points.dedup_by_key(|point| point.vaddr);
    points
}

fn point(image: &Image<'_>, candidate: &Candidate) -> Option<ProbePoint> {
    let vaddr = candidate.entry.start;
    let segment = image.code_at(vaddr)?;
    let mut first_bytes = [0_u8; 16];
    first_bytes.iter_mut().zip(segment.from(vaddr)?).for_each(|(to, from)| *to = *from);
    let file_offset = segment.file_offset(vaddr)?;
    Some(ProbePoint {
        role: candidate.role,
        symbol: candidate.symbol.clone(),
        file_offset,
        vaddr,
        first_bytes,
    })
}

/// GCC's names for clones that take other arguments than their source says: without unused ones, or only a part of
/// the body. (`constprop` only removes arguments that are constant, here `flags`, behind those we read.)
fn has_other_arguments(function: &Function<'_>) -> bool {
    [b".isra.".as_slice(), b".part."].iter().any(|mark| memchr::memmem::find(function.name, mark).is_some())
}

fn best_name(named: &[Function<'_>], several: bool) -> String {
    let known =
        named.iter().find(|function| EXPORTED.iter().any(|(name, _)| name.as_bytes() == function.name));
    match known.or(named.first()) {
        Some(function) => function.printable(),
        None if several => format!("(holds {INTERNAL})"),
        None => INTERNAL.to_owned(),
    }
}

fn width_of(symbol: &str) -> Option<LenWidth> {
    let known = EXPORTED.iter().find(|(name, _)| *name == symbol).map(|(_, len)| *len);
    known.or((symbol == INTERNAL).then_some(LenWidth::Size64))
}

fn measured_width(image: &Image<'_>, start: u64) -> LenWidth {
    image.code_at(start).map_or(LenWidth::Unknown, |segment| image.arch.third_argument_width(&segment, start))
}

fn proof_in_words(proof: Proof) -> &'static str {
    match proof {
        Proof::Symbol => "its symbol",
        Proof::Frame => "its unwind entry",
        Proof::Call => "calls to it and the flow from there",
    }
}

const INTERNAL: &str = "ssl_write_internal";
/// In the order in which names are preferred; `int SSL_write(SSL *, const void *, int)`, the others take a `size_t`.
const EXPORTED: &[(&str, LenWidth)] = &[
    ("SSL_write", LenWidth::Int32),
    ("SSL_write_ex", LenWidth::Size64),
    ("SSL_write_ex2", LenWidth::Size64),
];
/// First argument the `SSL`; after them it may stand for another connection.
const UNBINDING: &[&str] = &["SSL_free", "SSL_clear", "SSL_set0_wbio"];
/// One per copy of the library in the file, were it linked in several times.
const MAX_STRINGS: usize = 16;
