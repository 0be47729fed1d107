//! Offsets of kernel structures, set by the loader from the running kernel's BTF before the maps are frozen, so
//! that the verifier sees constants: loads through BTF-typed pointers then need no `bpf_probe_read_kernel`.

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident, $reader:ident;)*) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            static $name: u32 = 0;

            #[inline(always)]
            pub fn $reader() -> usize {
                // SAFETY: a plain read of an initialised static; volatile because the loader rewrites it.
                unsafe { core::ptr::read_volatile(&raw const $name) as usize }
            }
        )*
    };
}

offsets! {
    OFF_TASK_TGID, task_tgid;
    OFF_TASK_START, task_start;
    OFF_TASK_SIGNAL, task_signal;
    OFF_SIGNAL_LIVE, signal_live;
    OFF_SOCK_OWNED, sock_owned;
    OFF_TCP_WRITE_SEQ, tcp_write_seq;
    OFF_TCP_SND_NXT, tcp_snd_nxt;
    OFF_BPRM_FILE, bprm_file;
    OFF_FILE_INODE, file_inode;
    OFF_INODE_INO, inode_ino;
    OFF_INODE_SB, inode_sb;
    OFF_SB_DEV, sb_dev;
}

/// Loads a field of a kernel structure through a BTF-typed pointer.
///
/// # Safety
/// `base` must come from the kernel typed (program argument, typed helper or another such load), and `offset` from
/// this module. A faulting load reads as zero (`PROBE_MEM`).
#[inline(always)]
pub unsafe fn field<T: Copy>(base: *const u8, offset: usize) -> T {
    // SAFETY: forwarded to the caller; volatile keeps the load whole and in place.
    unsafe { core::ptr::read_volatile(base.add(offset).cast::<T>()) }
}
