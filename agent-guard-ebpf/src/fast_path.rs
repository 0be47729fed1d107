//! The fast path: is this write provably exactly one harmless HTTP/1.x head?
//!
//! Bias: any doubt means gate. The whole write must be one head, at most 8 KiB, of GET, HEAD or OPTIONS, ended by the
//! only empty line in it, without anything that announces a body, an upgrade, another method, or a call hidden in
//! the request line. Each condition has a test that hides a DELETE behind it (`tests/tests/fast_path.rs`).

use agent_guard_common::{event::Slot, maps::FAST_PATH_BYTES, suspicion::is_stem};
use aya_ebpf::helpers::generated::bpf_loop;

/// State of the scan over one head. Lives on the stack of the probe; the callback gets a pointer to it.
#[repr(C)]
struct Scan {
    slot: *const Slot,
    len: u64,
    /// The last eight bytes, lower-cased, the latest lowest.
    window: u64,
    /// 0 in the request line, 1 in the fields, 2 behind the empty line.
    part: u64,
    /// Set as soon as a condition fails.
    doubt: u64,
}

/// True if the `len` bytes in the slot may leave unjudged.
#[inline(always)]
pub fn is_harmless_head(slot: *const Slot, len: u64) -> bool {
    if len < 18 || len > FAST_PATH_BYTES as u64 || !starts_safe(slot) {
        return false;
    }
    let mut scan = Scan { slot, len, window: 0, part: 0, doubt: 0 };
    // SAFETY: the callback has the signature that the helper demands and touches nothing but `scan` and the slot.
    let loops = unsafe {
        bpf_loop(
            FAST_PATH_BYTES as u32,
            step as *const () as *mut _,
            (&raw mut scan).cast(),
            0,
        )
    };
    loops > 0 && scan.doubt == 0 && scan.part == 2
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

/// One byte of the head. Returns 1 to end the loop.
unsafe extern "C" fn step(index: u64, scan: *mut Scan) -> i64 {
    // SAFETY: the helper hands back the pointer to the `Scan` that it was given.
    let scan = unsafe { &mut *scan };
    if index >= scan.len || index >= FAST_PATH_BYTES as u64 {
        return 1;
    }
    // SAFETY: `index` is within the slot's bytes.
    let byte = unsafe { *(&raw const (*scan.slot).bytes).cast::<u8>().add(index as usize) };
    let before = scan.window & 0xff;
    let lower = if byte.is_ascii_uppercase() { byte | 0x20 } else { byte };
    let window = scan.window << 8 | u64::from(lower);
    scan.window = window;
    if !is_plain(byte, before) || scan.part == 2 {
        scan.doubt = 1;
        return 1;
    }
    if scan.part == 0 {
        if hides_a_call(window) {
            scan.doubt = 1;
            return 1;
        }
        if byte == b'\n' {
            if !ends_in_version(window) {
                scan.doubt = 1;
                return 1;
            }
            scan.part = 1;
        }
    } else if announces_more(window) {
        scan.doubt = 1;
        return 1;
    }
    if window as u32 == u32::from_be_bytes(*b"\r\n\r\n") {
        scan.part = 2;
    }
    0
}

/// Printable ASCII, or a line end that is CRLF, not followed by a fold.
#[inline(always)]
fn is_plain(byte: u8, before: u64) -> bool {
    if byte == b'\n' {
        return before == u64::from(b'\r');
    }
    if before == u64::from(b'\r') {
        return false;
    }
    if byte == b' ' {
        return before != u64::from(b'\n');
    }
    byte == b'\r' || (byte > b' ' && byte < 0x7f)
}

/// The request line ends in `/1.0` or `/1.1` and CRLF (of `HTTP/1.1`; the rest of the word was seen before).
#[inline(always)]
fn ends_in_version(window: u64) -> bool {
    window == u64::from_be_bytes(*b"tp/1.1\r\n") || window == u64::from_be_bytes(*b"tp/1.0\r\n")
}

/// Something in the request line that could make a safe method act: an encoded byte, a path parameter, an absolute
/// URI, a destroying word, or a parameter that names a call.
#[inline(always)]
fn hides_a_call(window: u64) -> bool {
    let byte = window as u8;
    byte == b'%'
        || byte == b';'
        || window & 0xff_ffff == u64::from(u32::from_be_bytes(*b"\0://"))
        || is_stem(window as u32)
        || window & 0xff_ffff_ffff_ffff == u64::from_be_bytes(*b"\0action=")
        || window & 0xff_ffff_ffff_ffff == u64::from_be_bytes(*b"\0method=")
        || window & 0xffff_ffff_ffff == u64::from_be_bytes(*b"\0\0query=")
        || window as u32 == u32::from_be_bytes(*b"cmd=")
        || window as u32 == u32::from_be_bytes(*b"/rm/")
        || window as u32 == u32::from_be_bytes(*b"/rm?")
        || window as u32 == u32::from_be_bytes(*b"/rm ")
}

/// A field name that announces a body, an upgrade, another method or another target.
#[inline(always)]
fn announces_more(window: u64) -> bool {
    window == u64::from_be_bytes(*b"ent-leng") // Content-Length
        || window == u64::from_be_bytes(*b"sfer-enc") // Transfer-Encoding
        || window == u64::from_be_bytes(*b"\nupgrade")
        || window == u64::from_be_bytes(*b"\nexpect:")
        || window == u64::from_be_bytes(*b"override") // X-HTTP-Method-Override and its kin
        || window == u64::from_be_bytes(*b"p-method") // X-HTTP-Method
        || window == u64::from_be_bytes(*b"z-target") // X-Amz-Target
        || window == u64::from_be_bytes(*b"http2-se") // HTTP2-Settings
}
