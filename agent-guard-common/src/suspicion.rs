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

/// Four letters out of what names a call in a query (`action=`, `method=`, `query=`, `cmd=`), and the shortest word for
/// removal as a path segment.
const CALLS: &[[u8; 4]] = &[*b"cmd=", *b"ery=", *b"hod=", *b"ion=", *b"/rm/", *b"/rm?", *b"/rm "];

/// Four letters out of the names of fields that announce a body, an upgrade, another method or another target:
/// Content-Length, Transfer-Encoding, Upgrade, Expect, X-HTTP-Method-Override and its kin, X-Amz-Target, HTTP2-Settings,
/// X-Original-URL, X-Rewrite-URL. CGI turns hyphens into underscores, so a server may take either.
const FIELDS: &[[u8; 4]] = &[
    *b"leng", *b"sfer", *b"grad", *b"xpec", *b"verr", *b"etho", *b"targ", *b"2-se", *b"2_se", *b"-url",
    *b"_url", *b"-uri", *b"_uri",
];

const SLOTS: usize = 512;

/// Words in slots that no two of them share: the kernel half looks once, without a chain of comparisons (which the
/// verifier would follow one by one).
struct Table {
    multiplier: u32,
    /// 0 where there is no word.
    slots: [u32; SLOTS],
}

static LINE: Table = table(&[STEMS, CALLS]);
static FIELD: Table = table(&[FIELDS]);

/// Set in every byte before it is looked up: makes letters lower case. Other bytes change too (`_` becomes DEL, CR a
/// hyphen), in the tables as in the text, so that two of them may look alike: a doubt more, never one less.
pub const FOLD: u8 = 0x20;

/// True if the last four bytes of a request line, folded, the latest in the lowest byte, are suspicious.
#[inline(always)]
#[must_use]
pub fn in_line(last_four: u32) -> bool {
    LINE.has(last_four)
}

/// The same for a field line.
#[inline(always)]
#[must_use]
pub fn in_field(last_four: u32) -> bool {
    FIELD.has(last_four)
}

impl Table {
    #[inline(always)]
    fn has(&self, word: u32) -> bool {
        // SAFETY: a slot is below SLOTS. Volatile, so that the table is read and not turned into comparisons again.
        unsafe {
            let multiplier = core::ptr::read_volatile(&raw const self.multiplier);
            core::ptr::read_volatile((&raw const self.slots).cast::<u32>().add(slot(word, multiplier)))
                == word
        }
    }
}

#[inline(always)]
const fn slot(word: u32, multiplier: u32) -> usize {
    (word.wrapping_mul(multiplier) >> 23) as usize & (SLOTS - 1)
}

const fn table(lists: &[&[[u8; 4]]]) -> Table {
    let mut multiplier = 0x9e37_79b1_u32;
    loop {
        if let Some(slots) = place(lists, multiplier) {
            return Table { multiplier, slots };
        }
        multiplier = multiplier.wrapping_add(0x3c6e_f362);
    }
}

const fn place(lists: &[&[[u8; 4]]], multiplier: u32) -> Option<[u32; SLOTS]> {
    let mut slots = [0; SLOTS];
    let mut list = 0;
    while list < lists.len() {
        let mut index = 0;
        while index < lists[list].len() {
            let word = u32::from_be_bytes(lists[list][index]) | 0x2020_2020;
            let at = slot(word, multiplier);
            if slots[at] != 0 {
                return None;
            }
            slots[at] = word;
            index += 1;
        }
        list += 1;
    }
    Some(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_and_nothing_else() {
        let folded = |word: &[u8; 4]| u32::from_be_bytes(word.map(|byte| byte | FOLD));
        assert!(STEMS.iter().chain(CALLS).all(|word| in_line(folded(word))));
        assert!(FIELDS.iter().all(|word| in_field(folded(word))));
        assert!(!in_line(u32::from_be_bytes(*b"list")) && !in_field(u32::from_be_bytes(*b"host")));
        assert!(!in_line(0x0101_0101));
    }
}
