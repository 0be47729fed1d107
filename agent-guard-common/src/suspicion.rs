//! Words that keep a request off the kernel's fast path. Being on this list decides nothing: the request is
//! gated and judged like any other. A test of the daemon checks that every destroying word of the lexicon begins
//! with one of these.

/// First four letters, lower case, of words that a request line must not contain anywhere to be let go unseen.
pub const STEMS: &[[u8; 4]] = &[
    *b"abor", *b"anni", *b"bloc", *b"canc", *b"char", *b"clea", *b"clos", *b"deac", *b"deco", *b"dele",
    *b"delt", *b"deny", *b"depr", *b"dest", *b"deta", *b"disa", *b"disc", *b"disp", *b"drop", *b"empt",
    *b"eras", *b"evic", *b"expe", *b"expi", *b"expu", *b"flus", *b"forc", *b"forg", *b"kill", *b"nuke",
    *b"obli", *b"over", *b"paus", *b"purg", *b"rebo", *b"refu", *b"reje", *b"rele", *b"remo", *b"rese",
    *b"rest", *b"revo", *b"rimr", *b"rmdi", *b"roll", *b"scru", *b"shre", *b"shut", *b"stop", *b"susp",
    *b"term", *b"tras", *b"trun", *b"unin", *b"unli", *b"unpu", *b"unsu", *b"vacu", *b"void", *b"wipe",
    *b"with", *b"zero",
];

const SLOTS: usize = 512;

/// Multiplier under which no two stems share a slot: the kernel half looks once, without a chain of comparisons
/// (which the verifier would follow one by one).
const MULTIPLIER: u32 = find_multiplier();

/// Each stem in its slot; 0 elsewhere.
static TABLE: [u32; SLOTS] = table(MULTIPLIER);

/// True if the last four bytes of a request line, lower-cased, the latest in the lowest byte, are a stem.
#[inline(always)]
#[must_use]
pub fn is_stem(last_four: u32) -> bool {
    // SAFETY: `slot` is below SLOTS. Volatile, so that the table is read and not turned into comparisons again.
    unsafe { core::ptr::read_volatile((&raw const TABLE).cast::<u32>().add(slot(last_four, MULTIPLIER))) == last_four }
}

const fn slot(stem: u32, multiplier: u32) -> usize {
    (stem.wrapping_mul(multiplier) >> 23) as usize & (SLOTS - 1)
}

const fn find_multiplier() -> u32 {
    let mut multiplier = 0x9e37_79b1_u32;
    while !is_perfect(multiplier) {
        multiplier = multiplier.wrapping_add(0x3c6e_f362);
    }
    multiplier
}

const fn is_perfect(multiplier: u32) -> bool {
    let mut used = [false; SLOTS];
    let mut index = 0;
    while index < STEMS.len() {
        let at = slot(u32::from_be_bytes(STEMS[index]), multiplier);
        if used[at] {
            return false;
        }
        used[at] = true;
        index += 1;
    }
    true
}

const fn table(multiplier: u32) -> [u32; SLOTS] {
    let mut table = [0; SLOTS];
    let mut index = 0;
    while index < STEMS.len() {
        let stem = u32::from_be_bytes(STEMS[index]);
        table[slot(stem, multiplier)] = stem;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stem_is_found_and_nothing_else() {
        for stem in STEMS {
            assert!(is_stem(u32::from_be_bytes(*stem)));
        }
        assert!(!is_stem(u32::from_be_bytes(*b"list")));
        assert!(!is_stem(0x0101_0101));
    }
}
