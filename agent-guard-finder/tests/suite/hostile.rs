//! No input makes the finder panic or hang, and whatever it returns lies in an executable segment.

use std::sync::OnceLock;

use agent_guard_finder::{build_id, find};
use proptest::prelude::*;

use crate::elf_builder::{Elf, STRINGS, TEXT, call, lea_rdx};
use crate::require::LIBSSL;

fn small() -> Vec<u8> {
    let function = TEXT + 0x400;
    let body = [&[0x55][..], &lea_rdx(function + 1, STRINGS + 1), &[0x5d, 0xc3]].concat();
    Elf::shared()
        .part(function, &body)
        .part(TEXT + 0x800, &call(TEXT + 0x800, function))
        .part(STRINGS, b"\0ssl_write_internal\0")
        .symbol("SSL_write", function, 11)
        .symbol("SSL_free", TEXT + 0x800, 5)
        .bytes()
}

/// The system's library where there is one, so that unwind tables and the dynamic segment take part.
fn real() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| LIBSSL.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_else(small))
}

fn check(file: &[u8]) {
    assert!(build_id(file).is_none_or(|id| id.len() <= 64));
    let Ok(findings) = find(file) else { return };
    for point in findings.iter().flat_map(|finding| &finding.points) {
        let offset = usize::try_from(point.file_offset).unwrap();
        let there = &file[offset..];
        let length = there.len().min(16);
        // The segment may end before the file does; then zeros follow.
        let shown =
            (0..length).all(|i| point.first_bytes[i] == there[i] || point.first_bytes[i..] == [0; 16][i..]);
        assert!(shown && length > 0, "{point:x?}");
    }
}

/// Places that steer the reading: headers, program headers, and the end of the file, where section headers are.
fn place(length: usize) -> impl Strategy<Value = usize> {
    prop_oneof![
        0..64_usize.min(length),
        0..1024_usize.min(length),
        length.saturating_sub(2048)..length,
        0..length,
    ]
}

fn value() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(1), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        check(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_right_header(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let mut file = small();
        file.truncate(0x78);
        file.extend(bytes);
        check(&file);
    }

    #[test]
    fn a_small_file_with_changes(changes in proptest::collection::vec((place(0x7000), value()), 1..24), cut in 0..=0x7000_usize, whole: bool) {
        let mut file = small();
        for (at, value) in changes {
            file[at] = value;
        }
        file.truncate(if whole { file.len() } else { cut });
        check(&file);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_real_library_with_changes(changes in proptest::collection::vec((place(real().len()), value()), 1..24)) {
        let mut file = real().to_vec();
        for (at, value) in changes {
            file[at] = value;
        }
        check(&file);
    }

    /// Unwind tables are the richest thing that is parsed: changes in a window of them, with symbols out of the way.
    #[test]
    fn a_real_library_with_changed_unwind_tables(
        start in 0..10_000_usize,
        changes in proptest::collection::vec((0..4096_usize, value()), 1..64),
    ) {
        let mut file = real().to_vec();
        file[60..64].fill(0);
        let Some(table) = unwind_table(&file) else { return Ok(()) };
        for (at, value) in changes {
            let at = (table + at + if start % 3 == 0 { 0 } else { start * 5 }).min(file.len() - 1);
            file[at] = value;
        }
        check(&file);
    }

    #[test]
    fn a_real_library_cut_short(length in 0..real().len()) {
        check(&real()[..length]);
    }
}

fn unwind_table(file: &[u8]) -> Option<usize> {
    let count = usize::from(u16::from_le_bytes(file[56..58].try_into().ok()?));
    let mut headers = (0..count).map(|index| 64 + 56 * index);
    let header = headers.find(|at| file[*at..at + 4] == 0x6474_e550_u32.to_le_bytes())?;
    usize::try_from(u64::from_le_bytes(file[header + 8..header + 16].try_into().ok()?)).ok()
}
