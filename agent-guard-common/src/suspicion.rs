//! Words that keep a request off the kernel's fast path. Being on this list decides nothing: the request is
//! gated and judged like any other. A test of the daemon checks that every destroying word of the lexicon begins
//! with one of these.

macro_rules! stems {
    ($($stem:literal),* $(,)?) => {
        /// First four letters, lower case, of words that a request line must not contain anywhere to be let go unseen.
        pub const STEMS: &[&[u8; 4]] = &[$($stem),*];

        /// True if the last four bytes of a request line, lower-cased, the latest in the lowest byte, are a stem.
        #[inline(always)]
        #[must_use]
        pub const fn is_stem(last_four: u32) -> bool {
            $(if last_four == u32::from_be_bytes(*$stem) { return true; })*
            false
        }
    };
}

stems! {
    b"abor", b"bloc", b"canc", b"char", b"clea", b"clos", b"deac", b"dele", b"deny", b"depr", b"dest",
    b"deta", b"disa", b"disc", b"disp", b"drop", b"empt", b"eras", b"evic", b"expi", b"flus", b"forc",
    b"forg", b"kill", b"nuke", b"obli", b"over", b"paus", b"purg", b"rebo", b"refu", b"reje", b"rele",
    b"remo", b"rese", b"rest", b"revo", b"roll", b"scru", b"shut", b"stop", b"susp", b"term", b"trun",
    b"unin", b"unli", b"unpu", b"unsu", b"void", b"wipe", b"with", b"zero",
}
