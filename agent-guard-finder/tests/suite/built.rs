//! One property each, on files made by hand.

use agent_guard_finder::{FinderError, Finding, LenWidth, Role, build_id, find};

use crate::elf_builder::{AARCH64, Elf, STRINGS, TEXT, call, lea_rdx};

/// `push rbp; mov r12, rdx; lea rdx, ["ssl_write_internal"]; pop rbp; ret` at 0x1400, called once from 0x1800.
fn stripped() -> Elf {
    let function = TEXT + 0x400;
    let body = [&[0x55, 0x49, 0x89, 0xd4][..], &lea_rdx(function + 4, STRINGS + 1), &[0x5d, 0xc3]].concat();
    Elf::shared()
        .part(function, &body)
        .part(TEXT + 0x800, &call(TEXT + 0x800, function))
        .part(STRINGS, b"\0ssl_write_internal\0")
}

fn only(elf: &Elf) -> Finding {
    let mut findings = find(&elf.bytes()).unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}

fn writes(finding: &Finding) -> Vec<(&str, u64, LenWidth)> {
    let points = finding.points.iter();
    let writes = points.filter_map(|point| match point.role {
        Role::Write { len } => Some((point.symbol.as_str(), point.vaddr, len)),
        _ => None,
    });
    writes.collect()
}

#[test]
fn a_function_without_symbol_and_unwind_entry_is_proven_by_a_call_and_the_flow() {
    let finding = only(&stripped());
    assert_eq!(writes(&finding), [("ssl_write_internal", TEXT + 0x400, LenWidth::Size64)]);
    assert_eq!(finding.points[0].file_offset, TEXT + 0x400);
    assert_eq!(finding.points[0].first_bytes[..4], [0x55, 0x49, 0x89, 0xd4]);
    assert!(finding.is_covered());
    assert!(finding.evidence.contains("calls to it"), "{}", finding.evidence);
}

#[test]
fn nothing_is_returned_when_nobody_calls_the_function() {
    let elf = stripped().part(TEXT + 0x800, &[0xcc; 5]);
    let finding = only(&elf);
    assert!(!finding.is_covered(), "{finding:?}");
    assert!(finding.evidence.contains("no function could be proven"), "{}", finding.evidence);
}

#[test]
fn a_call_into_the_middle_of_an_instruction_proves_nothing() {
    // The instruction at 0x140b is `mov eax, imm32` whose immediate decodes on its own; 0x1410 lies inside of it.
    let elf = stripped()
        .part(TEXT + 0x40a, &[0x90, 0xb8, 0x90, 0x90, 0x90, 0x90])
        .part(TEXT + 0x410, &lea_rdx(TEXT + 0x410, STRINGS + 1))
        .part(TEXT + 0x404, &[0x90; 6])
        .part(TEXT + 0x417, &[0xc3])
        .part(TEXT + 0x40b, &[0x48, 0xb8, 0x90, 0x90, 0x90, 0x55, 0x90, 0x90, 0x90, 0x90])
        .part(TEXT + 0x415, &lea_rdx(TEXT + 0x415, STRINGS + 1))
        .part(TEXT + 0x41c, &[0xc3])
        .part(TEXT + 0x800, &call(TEXT + 0x800, TEXT + 0x410));
    assert!(!only(&elf).is_covered());
}

#[test]
fn a_program_at_a_fixed_address_loads_the_string_by_its_address() {
    let base = 0x40_0000;
    let string = u32::try_from(base + STRINGS + 1).unwrap().to_le_bytes();
    let mut elf = stripped().part(TEXT + 0x404, &[&[0xba][..], &string, &[0x90, 0x90]].concat());
    assert!(find(&elf.bytes()).unwrap().is_empty(), "an address in relocatable code is a coincidence");
    elf.base = base;
    assert_eq!(writes(&only(&elf)), [("ssl_write_internal", base + TEXT + 0x400, LenWidth::Size64)]);
    assert_eq!(only(&elf).points[0].file_offset, TEXT + 0x400);
}

#[test]
fn callers_that_hold_the_string_are_all_returned_and_the_exported_outer_ones_are_not() {
    let (write, write_ex, outer) = (TEXT + 0x400, TEXT + 0x500, TEXT + 0x600);
    let body = |at: u64| [&[0x55][..], &lea_rdx(at + 1, STRINGS + 1), &[0x5d, 0xc3]].concat();
    let elf = Elf::shared()
        .part(STRINGS, b"\0ssl_write_internal\0")
        .part(write, &body(write))
        .part(write_ex, &body(write_ex))
        .part(outer, &[&call(outer, write_ex)[..], &[0xc3]].concat())
        .symbol("SSL_write", write, 10)
        .symbol("SSL_write_ex", write_ex, 10)
        .symbol("SSL_write_ex2", outer, 6);
    let expected = [("SSL_write", write, LenWidth::Int32), ("SSL_write_ex", write_ex, LenWidth::Size64)];
    assert_eq!(writes(&only(&elf)), expected);
}

#[test]
fn of_two_exported_functions_of_which_one_calls_the_other_the_callee_stays() {
    let elf = Elf::shared()
        .part(TEXT, &[0x55, 0x5d, 0xc3])
        .part(TEXT + 0x40, &[&call(TEXT + 0x40, TEXT)[..], &[0xc3]].concat())
        .symbol("SSL_write_ex", TEXT + 0x40, 6)
        .symbol("SSL_write", TEXT, 3);
    let finding = only(&elf);
    assert_eq!(writes(&finding), [("SSL_write", TEXT, LenWidth::Int32)]);
    assert!(finding.is_covered());
    assert!(finding.evidence.contains("SSL_write_ex is left out"), "{}", finding.evidence);
}

/// `inner` holds the string, and so does `outer`, which calls `inner` as well.
#[test]
fn an_outer_function_with_a_copy_of_the_inner_one_is_left_out_and_missed() {
    let (inner, outer) = (TEXT + 0x400, TEXT + 0x500);
    let string = STRINGS + 1;
    let elf = Elf::shared()
        .part(STRINGS, b"\0ssl_write_internal\0")
        .part(inner, &[&lea_rdx(inner, string)[..], &[0xc3]].concat())
        .part(outer, &[&lea_rdx(outer, string)[..], &call(outer + 7, inner), &[0xc3]].concat())
        .symbol("SSL_write", inner, 8)
        .symbol("SSL_write_early_data", outer, 13);
    let finding = only(&elf);
    assert_eq!(writes(&finding), [("SSL_write", inner, LenWidth::Int32)]);
    assert!(!finding.is_covered());
}

#[test]
fn clones_with_other_arguments_are_left_out_for_the_exported_ones() {
    let elf =
        stripped().symbol("ssl_write_internal.part.0", TEXT + 0x400, 13).symbol("SSL_write", TEXT + 0x800, 6);
    let finding = only(&elf);
    assert_eq!(writes(&finding), [("SSL_write", TEXT + 0x800, LenWidth::Int32)]);
    assert!(!finding.is_covered(), "the BIO's way is not among them: {finding:?}");
}

#[test]
fn a_longer_name_that_ends_alike_is_another_string() {
    let elf = stripped().part(STRINGS, b"\0dssl_write_internal\0").part(STRINGS, b"_");
    assert!(find(&elf.bytes()).unwrap().is_empty());
}

#[test]
fn a_string_at_which_no_code_looks_is_no_library() {
    let elf = stripped().part(TEXT + 0x400, &[0xcc; 32]);
    assert!(find(&elf.bytes()).unwrap().is_empty());
}

#[test]
fn on_another_processor_symbols_work_and_structure_finds_nothing() {
    let mut elf = stripped();
    elf.machine = AARCH64;
    assert!(find(&elf.bytes()).unwrap().is_empty());
    let elf = elf.symbol("SSL_write", TEXT, 64).symbol("SSL_free", TEXT + 64, 64);
    let finding = only(&elf);
    assert_eq!(writes(&finding), [("SSL_write", TEXT, LenWidth::Int32)]);
    assert_eq!(finding.points.last().map(|point| point.role), Some(Role::Unbind));
    assert!(!finding.complete, "the string says that there is an inner function: {finding:?}");
    let mut old = Elf::shared().symbol("SSL_write", TEXT, 64);
    old.machine = AARCH64;
    assert!(only(&old).is_covered());
}

#[test]
fn unbinding_functions_alone_are_no_library() {
    assert!(find(&Elf::shared().symbol("SSL_free", TEXT, 8).bytes()).unwrap().is_empty());
}

#[test]
fn what_is_no_program_is_refused_by_name() {
    assert_eq!(find(b"#!/bin/sh\n"), Err(FinderError::NotElf { length: 10 }));
    let change = |at: usize, value: u8| {
        let mut file = stripped().bytes();
        file[at] = value;
        find(&file).unwrap_err()
    };
    assert_eq!(change(4, 1), FinderError::Unsupported { what: "a 32-bit ELF file" });
    assert_eq!(change(5, 2), FinderError::Unsupported { what: "a big-endian ELF file" });
    assert_eq!(change(16, 4), FinderError::NotLoadable { e_type: 4 });
    assert!(matches!(change(33, 0xff), FinderError::Malformed { .. }));
    assert_eq!(build_id(b""), None);
}
