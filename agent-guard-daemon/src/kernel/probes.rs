//! Which files carry probes: look at what a process maps, find its TLS functions, attach, pin, remember.
//!
//! A file is judged by its content once and known by (device, inode, size, modification time) from then on. The bytes
//! at each point are those of the very descriptor that the probe is attached through.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, Read},
    os::{fd::AsRawFd, unix::fs::MetadataExt},
    path::Path,
};

use agent_guard_api::status::ProbedFile;
use agent_guard_common::config::COOKIE_LEN32;
use agent_guard_finder::{FinderError, Finding, LenWidth, ProbePoint, Role, find};
use aya::programs::{
    UProbe,
    uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeScope},
};

use super::{
    load::{LoadError, pin_probe},
    pins::Pins,
};

/// A file, as it was when it was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    pub dev: u64,
    pub inode: u64,
    pub size: u64,
    /// Nanoseconds since the epoch.
    pub modified: i64,
}

/// What a file is to the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// No TLS library that we know in it.
    Plain,
    /// Its TLS writes are probed.
    Probed,
    /// It has a TLS library, but not every way to write is covered.
    Partial,
}

/// A mapping of a process: the identity as `/proc/PID/maps` shows it, and a path that opens the very file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub dev: u64,
    pub inode: u64,
    /// `/proc/PID/map_files/START-END`: works across mount namespaces and for deleted files.
    pub open: String,
    pub path: String,
}

/// Files larger than this are not searched; their process is opaque.
const MAX_FILE: u64 = 1 << 30;

/// Judged files, shared by whoever asks.
#[derive(Debug, Default)]
pub struct Judged {
    /// Latest known identity by device and inode.
    files: HashMap<(u64, u64), (FileId, Coverage)>,
    probed: BTreeMap<FileId, ProbedFile>,
}

impl Judged {
    /// What a mapped file is, if it has been judged and has not changed since.
    pub fn coverage(&self, mapping: &Mapping) -> Option<Coverage> {
        let (id, coverage) = self.files.get(&(mapping.dev, mapping.inode))?;
        // A file that was written to, or another one with its inode number, is judged again.
        let now = fs::metadata(&mapping.open).map(|data| file_id(&data));
        (now.is_ok_and(|now| now == *id)).then_some(*coverage)
    }

    /// Files that carry probes.
    pub fn probed(&self) -> Vec<ProbedFile> {
        self.probed.values().cloned().collect()
    }
}

/// Attaches probes. Owns the pinned programs.
#[expect(missing_debug_implementations, reason = "aya's programs have none")]
pub struct Prober {
    write: UProbe,
    unbind: UProbe,
    pins: Pins,
}

impl Prober {
    pub fn new(write: UProbe, unbind: UProbe, pins: Pins) -> Self {
        Prober { write, unbind, pins }
    }

    /// Files whose probes an earlier daemon pinned.
    pub fn adopt(&self, judged: &mut Judged) {
        let Ok(entries) = fs::read_dir(self.pins.links()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Only for people to see: whether the file is covered is judged anew when a process maps it.
            if let Some((id, function)) = parse_link(&name) {
                let file =
                    ProbedFile { path: format!("inode {} (adopted)", id.inode), functions: Vec::new() };
                judged.probed.entry(id).or_insert(file).functions.push(function);
            }
        }
    }

    /// Judges one file, attaching probes if it has a TLS library. Slow for large files: not for the event loop.
    ///
    /// # Errors
    /// The file cannot be read, or a probe not attached: the file then counts as not covered.
    pub fn judge(&mut self, mapping: &Mapping) -> io::Result<(FileId, Coverage, Vec<String>)> {
        let mut file = File::open(&mapping.open)?;
        let id = identify(&file)?;
        if id.size > MAX_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{} is larger than 1 GiB", mapping.path),
            ));
        }
        let mut bytes = Vec::new();
        file.by_ref().take(MAX_FILE).read_to_end(&mut bytes)?;
        let found = find(&bytes);
        drop(bytes);
        let mut coverage = match &found {
            Ok(_) | Err(FinderError::NotElf { .. }) => Coverage::Plain,
            Err(_cannot_tell) => Coverage::Partial,
        };
        let findings = found.unwrap_or_default();
        let mut functions = Vec::new();
        for finding in &findings {
            let covered = is_covered(finding);
            for point in &finding.points {
                self.attach(&file, &id, point).map_err(io::Error::other)?;
                functions.push(point.symbol.clone());
            }
            coverage = match (covered, coverage) {
                (true, Coverage::Plain | Coverage::Probed) => Coverage::Probed,
                _ => Coverage::Partial,
            };
        }
        Ok((id, coverage, functions))
    }

    fn attach(&mut self, file: &File, id: &FileId, point: &ProbePoint) -> Result<(), LoadError> {
        let (program, cookie, role) = match point.role {
            Role::Write { len } => {
                (&mut self.write, if len == LenWidth::Int32 { COOKIE_LEN32 } else { 0 }, "w")
            }
            Role::Unbind => (&mut self.unbind, 0, "u"),
            _ => return Ok(()),
        };
        let name = link_name(id, point, role);
        if self.pins.link(&name).exists() {
            return Ok(());
        }
        let target = format!("/proc/self/fd/{}", file.as_raw_fd());
        let place = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(point.file_offset),
            cookie: Some(cookie),
        };
        let failed = |source| LoadError::Program { name: point.symbol.clone(), source };
        let link = program.attach(place, Path::new(&target), UProbeScope::AllProcesses).map_err(failed)?;
        let link = program.take_link(link).map_err(failed)?;
        pin_probe(&self.pins, &name, link)
    }
}

/// Writes what was found into the shared table.
pub fn remember(
    judged: &mut Judged,
    mapping: &Mapping,
    id: FileId,
    coverage: Coverage,
    functions: Vec<String>,
) {
    judged.files.insert((mapping.dev, mapping.inode), (id, coverage));
    if coverage != Coverage::Plain {
        judged.probed.insert(id, ProbedFile { path: mapping.path.clone(), functions });
    }
}

/// Covered: every way to write is probed, and ties end with their objects.
fn is_covered(finding: &Finding) -> bool {
    finding.is_covered() && finding.points.iter().any(|point| point.role == Role::Unbind)
}

/// The executable mappings of a process, one a file.
///
/// # Errors
/// The process is gone.
pub fn mappings(tgid: u32) -> io::Result<Vec<Mapping>> {
    let maps = fs::read_to_string(format!("/proc/{tgid}/maps"))?;
    let mut found: Vec<Mapping> = Vec::new();
    for line in maps.lines() {
        if let Some(mapping) = parse_mapping(tgid, line)
            && !found.iter().any(|known| known.dev == mapping.dev && known.inode == mapping.inode)
        {
            found.push(mapping);
        }
    }
    Ok(found)
}

/// One line of `/proc/PID/maps` (proc_pid_maps(5)): only executable mappings of files.
fn parse_mapping(tgid: u32, line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (range, access, _offset, dev, inode) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let inode: u64 = inode.parse().ok().filter(|inode| *inode != 0)?;
    let (major, minor) = dev.split_once(':')?;
    let dev = libc::makedev(u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let open = format!("/proc/{tgid}/map_files/{}", range_name(range)?);
    access.contains('x').then(|| Mapping {
        dev,
        inode,
        open,
        path: fields.next().unwrap_or_default().trim_start().to_owned(),
    })
}

/// `maps` pads addresses with zeros to eight digits, `map_files` does not (fs/proc/base.c, `map_files_get_link`).
fn range_name(range: &str) -> Option<String> {
    let (start, end) = range.split_once('-')?;
    let plain = |digits: &str| u64::from_str_radix(digits, 16).ok();
    Some(format!("{:x}-{:x}", plain(start)?, plain(end)?))
}

fn identify(file: &File) -> io::Result<FileId> {
    Ok(file_id(&file.metadata()?))
}

fn file_id(data: &fs::Metadata) -> FileId {
    FileId {
        dev: data.dev(),
        inode: data.ino(),
        size: data.size(),
        modified: data.mtime().saturating_mul(1_000_000_000).saturating_add(data.mtime_nsec()),
    }
}

/// Names a link so that the next daemon knows what it is on: `probe-DEV-INODE-SIZE-MTIME-OFFSET-ROLE-SYMBOL`.
/// (bpffs allows no dot in a name.)
fn link_name(id: &FileId, point: &ProbePoint, role: &str) -> String {
    let symbol: String =
        point.symbol.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(48).collect();
    format!(
        "probe-{:x}-{:x}-{:x}-{:x}-{:x}-{role}-{symbol}",
        id.dev, id.inode, id.size, id.modified, point.file_offset
    )
}

fn parse_link(name: &str) -> Option<(FileId, String)> {
    let mut parts = name.strip_prefix("probe-")?.split('-');
    let mut hex = || u64::from_str_radix(parts.next()?, 16).ok();
    let (dev, inode, size, modified) = (hex()?, hex()?, hex()?, hex()?);
    let id = FileId { dev, inode, size, modified: i64::try_from(modified).ok()? };
    Some((id, parts.nth(2)?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_executable_mappings_of_files_count() {
        let line =
            "7f0000000000-7f0000001000 r-xp 00001000 fe:10 4242                     /usr/lib/libssl.so.3";
        let mapping = parse_mapping(9, line).unwrap();
        assert_eq!(mapping.path, "/usr/lib/libssl.so.3");
        assert_eq!(mapping.open, "/proc/9/map_files/7f0000000000-7f0000001000");
        assert_eq!((mapping.dev, mapping.inode), (libc::makedev(0xfe, 0x10), 4242));
        let low = "00400000-00b8c000 r-xp 00000000 fe:10 7 /usr/bin/node";
        assert_eq!(parse_mapping(9, low).unwrap().open, "/proc/9/map_files/400000-b8c000");
        assert_eq!(parse_mapping(9, &line.replace("r-xp", "r--p")), None);
        assert_eq!(parse_mapping(9, "7f00-7f01 r-xp 00000000 00:00 0  [vdso]"), None);
    }

    #[test]
    fn a_link_tells_the_next_daemon_its_file() {
        let id = FileId { dev: 0xfe10, inode: 42, size: 4096, modified: 1_700_000_000_000_000_000 };
        let point = ProbePoint {
            role: Role::Unbind,
            symbol: "SSL_free".to_owned(),
            file_offset: 0x355a0,
            vaddr: 0,
            first_bytes: [0; 16],
        };
        let name = link_name(&id, &point, "u");
        assert!(!name.contains('.'), "bpffs refuses dots");
        assert_eq!(parse_link(&name), Some((id, "SSL_free".to_owned())));
        assert_eq!(parse_link("egress"), None);
    }
}
