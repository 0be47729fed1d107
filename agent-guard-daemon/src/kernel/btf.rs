//! Offsets of kernel structures, from the running kernel's own description (`/sys/kernel/btf/vmlinux`).
//!
//! Only what the probes need: the byte offset of a member, anonymous structures and unions looked through.
//! Format: Documentation/bpf/btf.rst.

use std::collections::HashMap;

use agent_guard_common::config::globals;
use thiserror::Error;

/// Where the kernel keeps its own BTF.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Each global of the eBPF object with the structure and member path that it is the offset of.
const WANTED: &[(&str, &str, &[&str])] = &[
    (globals::TASK_TGID, "task_struct", &["tgid"]),
    (globals::TASK_START, "task_struct", &["start_boottime"]),
    (globals::TASK_SIGNAL, "task_struct", &["signal"]),
    (globals::SIGNAL_LIVE, "signal_struct", &["live"]),
    (globals::SOCK_OWNED, "sock", &["sk_lock", "owned"]),
    (globals::TCP_WRITE_SEQ, "tcp_sock", &["write_seq"]),
    (globals::TCP_SND_NXT, "tcp_sock", &["snd_nxt"]),
    (globals::BPRM_FILE, "linux_binprm", &["file"]),
    (globals::FILE_INODE, "file", &["f_inode"]),
    (globals::INODE_INO, "inode", &["i_ino"]),
    (globals::INODE_SB, "inode", &["i_sb"]),
    (globals::SB_DEV, "super_block", &["s_dev"]),
];

#[derive(Debug, Error)]
pub enum BtfError {
    #[error("cannot read {VMLINUX}: {0}; the kernel must be built with CONFIG_DEBUG_INFO_BTF")]
    Read(#[from] std::io::Error),
    #[error("{VMLINUX} is not BTF: {what}")]
    Malformed { what: &'static str },
    #[error("this kernel has no {structure}.{member}; a newer agent-guard may know how it is called now")]
    Missing { structure: &'static str, member: String },
}

/// Every offset that the eBPF object wants, by the name of its global.
///
/// # Errors
/// [`BtfError`], naming the first member that is missing.
pub fn offsets() -> Result<Vec<(&'static str, u32)>, BtfError> {
    let bytes = std::fs::read(VMLINUX)?;
    let btf = Btf::parse(&bytes)?;
    WANTED
        .iter()
        .map(|(global, structure, members)| {
            btf.offset(structure, members)
                .map(|offset| (*global, offset))
                .ok_or_else(|| BtfError::Missing { structure, member: members.join(".") })
        })
        .collect()
}

const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
/// typedef, volatile, const, restrict, type_tag: looked through.
const KIND_ALIASES: [u32; 5] = [8, 9, 10, 11, 18];

struct Member {
    name: u32,
    type_id: u32,
    bits: u32,
}

#[derive(Default)]
struct Type {
    kind: u32,
    /// Target of an alias.
    target: u32,
    members: Vec<Member>,
}

struct Btf<'a> {
    strings: &'a [u8],
    types: Vec<Type>,
    structures: HashMap<&'a [u8], u32>,
}

impl<'a> Btf<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        let malformed = |what| BtfError::Malformed { what };
        if word(bytes, 0).ok_or(malformed("no header"))? & 0xffff != 0xeb9f {
            return Err(malformed("wrong magic number"));
        }
        let field = |at| word(bytes, at).map(|value| value as usize).ok_or(malformed("short header"));
        let (header, type_off, type_len, str_off, str_len) =
            (field(4)?, field(8)?, field(12)?, field(16)?, field(20)?);
        let section = |off: usize, len: usize| bytes.get(header.checked_add(off)?..)?.get(..len);
        let types_section = section(type_off, type_len).ok_or(malformed("type section out of bounds"))?;
        let strings = section(str_off, str_len).ok_or(malformed("string section out of bounds"))?;
        let mut btf = Btf { strings, types: vec![Type::default()], structures: HashMap::new() };
        let mut at = 0;
        while at < types_section.len() {
            at = btf.parse_type(types_section, at).ok_or(malformed("short type"))?;
        }
        Ok(btf)
    }

    /// Reads one type and returns where the next one starts.
    fn parse_type(&mut self, bytes: &'a [u8], at: usize) -> Option<usize> {
        let (name, info, target) = (word(bytes, at)?, word(bytes, at + 4)?, word(bytes, at + 8)?);
        let (kind, count, flag) = (info >> 24 & 0x1f, (info & 0xffff) as usize, info >> 31 == 1);
        let mut entry = Type { kind, target, members: Vec::new() };
        let start = at + 12;
        let size = match kind {
            1 | 14 | 17 => 4, // int, var, decl_tag
            3 => 12,          // array
            KIND_STRUCT | KIND_UNION => {
                for index in 0..count {
                    let member = start + index * 12;
                    let bits = word(bytes, member + 8)?;
                    let bits = if flag { bits & 0xff_ffff } else { bits };
                    entry.members.push(Member {
                        name: word(bytes, member)?,
                        type_id: word(bytes, member + 4)?,
                        bits,
                    });
                }
                count * 12
            }
            6 | 13 => count * 8,   // enum, func_proto
            15 | 19 => count * 12, // datasec, enum64
            _ => 0,
        };
        if kind == KIND_STRUCT {
            let id = u32::try_from(self.types.len()).ok()?;
            let name = string(self.strings, name)?;
            self.structures.entry(name).or_insert(id);
        }
        self.types.push(entry);
        Some(start + size)
    }

    /// Byte offset of a member path from the start of a structure.
    fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        let mut id = *self.structures.get(structure.as_bytes())?;
        let mut bits = 0;
        for name in path {
            let (member_bits, member_type) = self.member(id, name.as_bytes(), 0)?;
            bits += member_bits;
            id = member_type;
        }
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// Bit offset and type of a member, looking through aliases and anonymous members.
    fn member(&self, id: u32, name: &[u8], depth: u32) -> Option<(u32, u32)> {
        let mut entry = self.types.get(id as usize)?;
        for _ in 0..16 {
            if !KIND_ALIASES.contains(&entry.kind) {
                break;
            }
            entry = self.types.get(entry.target as usize)?;
        }
        for member in &entry.members {
            let member_name = string(self.strings, member.name)?;
            if member_name == name {
                return Some((member.bits, member.type_id));
            }
            if member_name.is_empty()
                && depth < 8
                && let Some((bits, found)) = self.member(member.type_id, name, depth + 1)
            {
                return Some((member.bits + bits, found));
            }
        }
        None
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn string(strings: &[u8], at: u32) -> Option<&[u8]> {
    let rest = strings.get(at as usize..)?;
    rest.split(|byte| *byte == 0).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_every_member() {
        if !std::path::Path::new(VMLINUX).exists() {
            eprintln!("skipped: {VMLINUX} is not there");
            return;
        }
        let offsets = offsets().expect("all members");
        assert_eq!(offsets.len(), WANTED.len());
        let of = |name| offsets.iter().find(|(global, _)| *global == name).unwrap().1;
        assert!(of(globals::TCP_SND_NXT) > of(globals::SOCK_OWNED), "tcp_sock starts with sock");
        assert!(of(globals::TASK_TGID) > 0 && of(globals::TASK_START) > 0);
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(Btf::parse(b"\x9f\xeb\x01\x00").is_err());
        assert!(Btf::parse(&[0; 64]).is_err());
    }
}
