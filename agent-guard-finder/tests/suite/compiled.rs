//! What compilers make of a function that names itself: whole, split into a hot and a cold piece, without unwind
//! tables. The compiler is this machine's; the symbols it writes are the truth, and are then stripped.

use std::path::{Path, PathBuf};
use std::process::Command;

use agent_guard_finder::{Role, find};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSymbol as _};

use crate::require::absent;

const SOURCE: &str = r#"
#include <stddef.h>
__attribute__((cold, noinline)) void raise_error(const char *file, int line, const char *function) {
    __asm__ volatile("" : : "r"(file), "r"(line), "r"(function));
}
int (*volatile sink)(void *, const void *, size_t);
__attribute__((noinline)) static int ssl_write_internal(void *ssl, const void *buf, size_t len, size_t *written) {
    if (ssl == NULL) {
        raise_error("ssl_lib.c", __LINE__, "ssl_write_internal");
        return -1;
    }
    int done = sink(ssl, buf, len);
    if (done < 0) {
        raise_error("ssl_lib.c", __LINE__, "ssl_write_internal");
        return done - 2;
    }
    *written = len;
    return done + sink(ssl, buf, len + 1);
}
int outer_one(void *ssl, const void *buf, int len) {
    size_t written = 0;
    int done = ssl_write_internal(ssl, buf, (size_t)len, &written);
    return done < 0 ? done : (int)written;
}
int outer_two(void *ssl, const void *buf, size_t len, size_t *written) {
    return ssl_write_internal(ssl, buf, len, written) > 0;
}
"#;

/// Flags after `gcc -shared`.
const BUILDS: &[&[&str]] = &[
    &["-O2", "-fPIC"],
    &["-O2", "-fPIC", "-freorder-blocks-and-partition"],
    &["-O3", "-fPIC", "-fcf-protection=full"],
    &["-Os", "-fPIC"],
    &["-O0", "-fPIC"],
    &["-O2", "-fPIC", "-fno-omit-frame-pointer"],
    &["-O2", "-fPIC", "-fno-asynchronous-unwind-tables", "-fno-reorder-blocks-and-partition"],
];

#[test]
fn a_stripped_build_gives_the_function_its_symbols_named() {
    let directory = tempfile::tempdir().unwrap();
    for (index, flags) in BUILDS.iter().enumerate() {
        let Some(library) = compile(directory.path(), index, flags) else {
            return absent("gcc is not here, or builds no shared library");
        };
        let truth = std::fs::read(&library).unwrap();
        let expected = address_of(&truth, "ssl_write_internal");
        assert_eq!(writes(&truth), [expected], "with symbols: {flags:?}");
        assert_eq!(writes(&strip(&truth)), [expected], "stripped: {flags:?}");
    }
}

/// Guards the test above: among its builds must be one in which the error string is used in a cold piece.
#[test]
fn one_of_the_builds_is_split() {
    let directory = tempfile::tempdir().unwrap();
    let Some(library) = compile(directory.path(), 0, BUILDS[1]) else {
        return absent("gcc is not here, or builds no shared library");
    };
    let file = std::fs::read(library).unwrap();
    let elf = ElfFile64::<object::LittleEndian>::parse(&*file).unwrap();
    assert!(elf.symbols().any(|symbol| symbol.name() == Ok("ssl_write_internal.cold")));
}

fn compile(directory: &Path, index: usize, flags: &[&str]) -> Option<PathBuf> {
    let source = directory.join("source.c");
    std::fs::write(&source, SOURCE).unwrap();
    let library = directory.join(format!("library{index}"));
    let status =
        Command::new("gcc").arg("-shared").args(flags).arg(&source).arg("-o").arg(&library).status().ok()?;
    status.success().then_some(library)
}

fn writes(file: &[u8]) -> Vec<u64> {
    let findings = find(file).unwrap();
    let points = findings.iter().flat_map(|finding| &finding.points);
    points.filter(|point| matches!(point.role, Role::Write { .. })).map(|point| point.vaddr).collect()
}

fn address_of(file: &[u8], name: &str) -> u64 {
    let elf = ElfFile64::<object::LittleEndian>::parse(file).unwrap();
    elf.symbols().find(|symbol| symbol.name() == Ok(name)).unwrap().address()
}

/// Without section headers no local symbol can be found.
fn strip(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file[40..48].fill(0);
    file[60..64].fill(0);
    file
}
