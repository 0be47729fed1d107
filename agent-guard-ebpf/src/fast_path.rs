//! The fast path: is this write provably exactly one harmless HTTP/1.x head?
//!
//! Bias: any doubt means gate. The whole write must be one head, at most 8 KiB, of GET, HEAD or OPTIONS, ended by the
//! only empty line in it, without anything that announces a body, an upgrade, another method, or a call hidden in
//! the request line. Each condition has a test that hides a DELETE behind it (`tests/tests/fast_path.rs`).

use agent_guard_common::{event::Slot, maps::FAST_PATH_BYTES, suspicion};
use aya_ebpf::helpers::generated::bpf_loop;

/// 1 if the `len` bytes in the slot may leave unjudged.
#[inline(always)]
pub fn is_harmless_head(slot: *mut Slot, len: u64) -> u64 {
    if len < 18 || len > FAST_PATH_BYTES as u64 || !starts_safe(slot) {
        return 0;
    }
    // SAFETY: this thread owns the slot.
    unsafe { (*slot).scan = Default::default() };
    let mut context = slot;
    // SAFETY: the callback has the signature that the helper demands and touches nothing but the slot.
    unsafe { bpf_loop(FAST_PATH_BYTES as u32, step as *const () as *mut _, (&raw mut context).cast(), 0) };
    // SAFETY: as above.
    let (part, doubt) = unsafe { ((*slot).scan.part, (*slot).scan.doubt) };
    u64::from(doubt == 0 && part == 2)
}

/// Starts with a safe method.
#[inline(always)]
fn starts_safe(slot: *const Slot) -> bool {
    // SAFETY: the first 8 bytes of the slot exist whatever was copied.
    let first = u64::from_be_bytes(unsafe { *(&raw const (*slot).bytes).cast::<[u8; 8]>() });
    first >> 32 == u64::from(u32::from_be_bytes(*b"GET "))
        || first >> 24 == u64::from_be_bytes(*b"\0\0\0HEAD ")
        || first == u64::from_be_bytes(*b"OPTIONS ")
}

/// One byte of the head. Returns 1 to end the loop. Branches are few: the verifier follows each of them for each state
/// of the scan.
unsafe extern "C" fn step(index: u64, context: *mut *mut Slot) -> i64 {
    // SAFETY: the helper hands back the pointer to the slot's address that it was given; this thread owns the slot.
    let (slot, scan) = unsafe { (*context, &mut (**context).scan) };
    // SAFETY: as above.
    if index >= unsafe { (*slot).write.total } || index >= FAST_PATH_BYTES as u64 {
        return 1;
    }
    // SAFETY: `index` is within the slot's bytes.
    let byte = unsafe { *(&raw const (*slot).bytes).cast::<u8>().add(index as usize) };
    let before = scan.raw as u8;
    scan.raw = scan.raw << 8 | u64::from(byte);
    scan.folded = scan.folded << 8 | u64::from(byte | suspicion::FOLD);
    let suspicious = if scan.part == 0 {
        hides_a_call(byte, scan.folded as u32) || (byte == b'\n' && !ends_in_version(slot, index))
    } else {
        suspicion::in_field(scan.folded as u32)
    };
    if suspicious || scan.part == 2 || !is_plain(byte, before) {
        scan.doubt = 1;
        return 1;
    }
    if byte == b'\n' {
        scan.part = if before_line_end(scan.raw) { 2 } else { 1 };
    }
    0
}

/// The line that ends here is empty.
#[inline(always)]
fn before_line_end(raw: u64) -> bool {
    raw as u32 == u32::from_be_bytes(*b"\r\n\r\n")
}

/// Printable ASCII, or a line end that is CRLF, not followed by a fold.
#[inline(always)]
fn is_plain(byte: u8, before: u8) -> bool {
    match (before, byte) {
        (b'\r', b'\n') => true,
        (b'\r', _) | (_, b'\n') | (b'\n', b' ') => false,
        (_, b'\r') => true,
        _ => (b' '..0x7f).contains(&byte),
    }
}

/// The request line ends in ` HTTP/1.0` or ` HTTP/1.1` and CRLF, the last byte of which is at `index`.
#[inline(always)]
fn ends_in_version(slot: *const Slot, index: u64) -> bool {
    if index < 10 || index >= FAST_PATH_BYTES as u64 {
        return false;
    }
    // SAFETY: the eleven bytes up to `index` are within the slot's.
    let (word, minor) = unsafe {
        let start = (&raw const (*slot).bytes).cast::<u8>().add(index as usize - 10);
        (start.cast::<[u8; 8]>().read_unaligned(), *start.add(8))
    };
    u64::from_be_bytes(word) == u64::from_be_bytes(*b" HTTP/1.") && minor & 0xfe == b'0'
}

/// Something in the request line that could make a safe method act: an encoded byte, a path parameter, an absolute
/// URI, a destroying word, or a parameter that names a call.
#[inline(always)]
fn hides_a_call(byte: u8, folded: u32) -> bool {
    byte == b'%'
        || byte == b';'
        || folded & 0xff_ffff == u32::from_be_bytes(*b"\0://")
        || suspicion::in_line(folded)
}
