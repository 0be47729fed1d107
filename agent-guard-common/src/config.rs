//! What the loader tells the probes: offsets of kernel structures, read from the running kernel's BTF.

/// Bit of a uprobe's attach cookie: the length argument is a C `int`.
pub const COOKIE_LEN32: u64 = 1;

/// Names of the read-only globals that the loader sets. Offsets are bytes.
pub mod globals {
    /// `task_struct.tgid`
    pub const TASK_TGID: &str = "OFF_TASK_TGID";
    /// `task_struct.start_boottime`
    pub const TASK_START: &str = "OFF_TASK_START";
    /// `task_struct.signal`
    pub const TASK_SIGNAL: &str = "OFF_TASK_SIGNAL";
    /// `signal_struct.live`
    pub const SIGNAL_LIVE: &str = "OFF_SIGNAL_LIVE";
    /// `sock.sk_lock.owned`
    pub const SOCK_OWNED: &str = "OFF_SOCK_OWNED";
    /// `tcp_sock.write_seq`
    pub const TCP_WRITE_SEQ: &str = "OFF_TCP_WRITE_SEQ";
    /// `tcp_sock.snd_nxt`
    pub const TCP_SND_NXT: &str = "OFF_TCP_SND_NXT";
    /// `linux_binprm.file`
    pub const BPRM_FILE: &str = "OFF_BPRM_FILE";
    /// `file.f_inode`
    pub const FILE_INODE: &str = "OFF_FILE_INODE";
    /// `inode.i_ino`
    pub const INODE_INO: &str = "OFF_INODE_INO";
    /// `inode.i_sb`
    pub const INODE_SB: &str = "OFF_INODE_SB";
    /// `super_block.s_dev`
    pub const SB_DEV: &str = "OFF_SB_DEV";
}
