//! The libraries and programs of the machine the test runs on, as they are and with their tables taken away.

use std::path::Path;

use agent_guard_finder::{Finding, ProbePoint, Role, build_id, find};
use iced_x86::{Decoder, DecoderOptions};
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _, SymbolKind};

use crate::require::{LIBSSL, NODE, absent, first_file};

#[test]
fn libssl_has_one_write_function_inside_of_the_exported_ones() {
    let Some(path) = first_file("libssl.so.3", LIBSSL) else { return };
    let file = std::fs::read(path).unwrap();
    let finding = openssl(&file);
    let writes = writes(&finding);
    assert_eq!(writes.len(), 1, "{finding:?}");
    assert_eq!(writes[0].symbol, "ssl_write_internal");
    assert!(address_of(&file, "SSL_write").is_some_and(|exported| exported != writes[0].vaddr));
    agrees_with_symbols(&file, &finding);
    assert!(build_id(&file).is_some_and(|id| id.len() >= 8));
    assert!(called_from(&file, "SSL_write", writes[0].vaddr));
    assert!(called_from(&file, "SSL_write_ex", writes[0].vaddr));
}

#[test]
fn node_has_write_functions_and_keeps_them_without_its_tables() {
    let Some(path) = first_file("node", NODE) else { return };
    let file = std::fs::read(&path).unwrap();
    let findings = find(&file).unwrap();
    if findings.is_empty() {
        return absent("this node uses a shared libssl");
    }
    assert!(findings[0].is_covered(), "{findings:?}");
    same_without_tables(&path);
}

#[test]
fn taking_the_tables_away_changes_no_address_in_libssl() {
    let Some(path) = first_file("libssl.so.3", LIBSSL) else { return };
    same_without_tables(&path);
}

/// The cargo of rustup has OpenSSL linked in and keeps its symbols: the truth is known.
#[test]
fn taking_the_tables_away_changes_no_address_in_cargo() {
    let Some(path) = std::env::var_os("CARGO") else { return eprintln!("skipped: not started by cargo") };
    let file = std::fs::read(&path).unwrap();
    if address_of(&file, "ssl_write_internal").is_none() {
        return eprintln!("skipped: {} holds no OpenSSL with symbols", path.display());
    }
    same_without_tables(Path::new(&path));
}

fn same_without_tables(path: &Path) {
    let file = std::fs::read(path).unwrap();
    let finding = openssl(&file);
    let expected: Vec<u64> = addresses(&finding);
    agrees_with_symbols(&file, &finding);

    let without_sections = without_section_headers(&file);
    assert_eq!(addresses(&openssl(&without_sections)), expected, "no section headers: {}", path.display());

    let without_symbols = without_segment(&without_sections, PT_DYNAMIC);
    let finding = openssl(&without_symbols);
    assert_eq!(addresses(&finding), expected, "no symbols: {}: {}", path.display(), finding.evidence);
    assert!(finding.is_covered(), "{}", finding.evidence);
    assert!(finding.evidence.contains("unwind"), "{}", finding.evidence);

    let bare = without_segment(&without_symbols, PT_GNU_EH_FRAME);
    let finding = openssl(&bare);
    let found = addresses(&finding);
    assert!(found.iter().all(|address| expected.contains(address)), "no unwind table: {finding:x?}");
    assert!(!found.is_empty(), "no unwind table: {finding:x?}");
    // What nobody calls directly cannot be proven, and that must be said.
    assert_eq!(finding.complete, found == expected, "no unwind table: {finding:x?}");
}

fn openssl(file: &[u8]) -> Finding {
    let mut findings = find(file).unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}

fn writes(finding: &Finding) -> Vec<&ProbePoint> {
    finding.points.iter().filter(|point| matches!(point.role, Role::Write { .. })).collect()
}

fn addresses(finding: &Finding) -> Vec<u64> {
    let mut addresses: Vec<u64> = writes(finding).iter().map(|point| point.vaddr).collect();
    addresses.sort_unstable();
    addresses
}

/// What a point says is in the file, and decoding from the nearest function symbol before it lands on it.
fn agrees_with_symbols(file: &[u8], finding: &Finding) {
    let functions = functions(file);
    for point in &finding.points {
        let offset = usize::try_from(point.file_offset).unwrap();
        assert_eq!(file[offset..offset + 16], point.first_bytes, "{point:x?}");
        if let Some((_, address)) = functions.iter().find(|(symbol, _)| *symbol == point.symbol) {
            assert_eq!(*address, point.vaddr, "{point:x?}");
        }
        let before = functions.iter().map(|(_, start)| *start).filter(|start| *start < point.vaddr).max();
        assert!(
            instructions(file, before.unwrap(), point.vaddr + 1).any(|at| at.0 == point.vaddr),
            "{point:x?}"
        );
    }
}

fn called_from(file: &[u8], caller: &str, callee: u64) -> bool {
    let start = address_of(file, caller).unwrap();
    instructions(file, start, start + 0x400).any(|(_, target)| target == callee)
}

fn address_of(file: &[u8], name: &str) -> Option<u64> {
    functions(file).into_iter().find(|(symbol, _)| *symbol == name).map(|(_, address)| address)
}

fn functions(file: &[u8]) -> Vec<(&str, u64)> {
    let elf = ElfFile64::<object::LittleEndian>::parse(file).unwrap();
    let symbols = elf.symbols().chain(elf.dynamic_symbols());
    let defined = symbols.filter(|symbol| symbol.kind() == SymbolKind::Text && !symbol.is_undefined());
    defined.filter_map(|symbol| Some((symbol.name().ok()?, symbol.address()))).collect()
}

/// Addresses of instructions from `start`, with the target where one is a direct branch or call, else 0.
fn instructions(file: &[u8], start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
    let elf = ElfFile64::<object::LittleEndian>::parse(file).unwrap();
    let bytes = elf.segments().find_map(|segment| segment.data_range(start, end - start).unwrap()).unwrap();
    let longer = usize::try_from(end - start).unwrap();
    let bytes = bytes[..longer].to_vec();
    let mut decoder = Decoder::with_ip(64, &bytes, start, DecoderOptions::NONE);
    let decoded: Vec<(u64, u64)> =
        decoder.iter().map(|instruction| (instruction.ip(), instruction.near_branch_target())).collect();
    decoded.into_iter()
}

fn without_section_headers(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    file[40..48].fill(0);
    file[60..64].fill(0);
    file
}

/// Turns the program headers of type `kind` into `PT_NULL`.
fn without_segment(file: &[u8], kind: u32) -> Vec<u8> {
    let mut file = file.to_vec();
    let table = usize::try_from(u64::from_le_bytes(file[32..40].try_into().unwrap())).unwrap();
    let count = usize::from(u16::from_le_bytes(file[56..58].try_into().unwrap()));
    for at in (0..count).map(|index| table + 56 * index) {
        if file[at..at + 4] == kind.to_le_bytes() {
            file[at..at + 4].fill(0);
        }
    }
    file
}

const PT_DYNAMIC: u32 = 2;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
