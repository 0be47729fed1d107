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
fn node_has_write_functions_that_agree_with_its_symbols() {
    let Some(path) = first_file("node", NODE) else { return };
    let file = std::fs::read(path).unwrap();
    let findings = find(&file).unwrap();
    if findings.is_empty() {
        return absent("this node uses a shared libssl");
    }
    assert!(findings[0].is_covered(), "{findings:?}");
    agrees_with_symbols(&file, &findings[0]);
}

#[test]
fn taking_the_tables_away_changes_no_address_in_libssl() {
    let Some(path) = first_file("libssl.so.3", LIBSSL) else { return };
    same_without_tables(&path);
}

#[test]
fn taking_the_tables_away_changes_no_address_in_node() {
    let Some(path) = first_file("node", NODE) else { return };
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
    let expected: Vec<u64> = addresses(&openssl(&file));
    agrees_with_symbols(&file, &openssl(&file));

    let without_sections = without_section_headers(&file);
    assert_eq!(addresses(&openssl(&without_sections)), expected, "no section headers: {}", path.display());

    let without_symbols = without_segment(&without_sections, PT_DYNAMIC);
    let finding = openssl(&without_symbols);
    assert_eq!(addresses(&finding), expected, "no symbols: {}: {}", path.display(), finding.evidence);
    assert!(finding.evidence.contains("unwind"), "{}", finding.evidence);

    let bare = without_segment(&without_symbols, PT_GNU_EH_FRAME);
    let finding = openssl(&bare);
    for address in addresses(&finding) {
        assert!(expected.contains(&address), "no unwind table: {address:#x} in {}", path.display());
    }
    assert!(finding.is_covered(), "no unwind table: {}: {}", path.display(), finding.evidence);
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
    for point in &finding.points {
        let offset = usize::try_from(point.file_offset).unwrap();
        assert_eq!(file[offset..offset + 16], point.first_bytes, "{point:x?}");
        if let Some(address) = address_of(file, &point.symbol) {
            assert_eq!(address, point.vaddr, "{point:x?}");
        }
        let from = function_before(file, point.vaddr);
        assert!(instructions(file, from, point.vaddr + 1).any(|at| at.0 == point.vaddr), "{point:x?}");
    }
}

fn called_from(file: &[u8], caller: &str, callee: u64) -> bool {
    let start = address_of(file, caller).unwrap();
    instructions(file, start, start + 0x400).any(|(_, target)| target == callee)
}

fn address_of(file: &[u8], name: &str) -> Option<u64> {
    functions(file).into_iter().find(|(symbol, _)| symbol == name).map(|(_, address)| address)
}

fn function_before(file: &[u8], address: u64) -> u64 {
    let starts = functions(file).into_iter().map(|(_, start)| start);
    starts.filter(|start| *start <= address).max().unwrap()
}

fn functions(file: &[u8]) -> Vec<(String, u64)> {
    let elf = ElfFile64::<object::LittleEndian>::parse(file).unwrap();
    let symbols = elf.symbols().chain(elf.dynamic_symbols());
    let defined = symbols.filter(|symbol| symbol.kind() == SymbolKind::Text && !symbol.is_undefined());
    defined.filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address()))).collect()
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
