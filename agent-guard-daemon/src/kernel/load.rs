//! Bringing the kernel half up: load and pin it, or adopt what an earlier daemon pinned.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use agent_guard_common::maps::NAMES;
use aya::{
    Btf, Ebpf, EbpfLoader, VerifierLogLevel,
    programs::{
        BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, CgroupSockAddr, Program,
        ProgramError, UProbe, links::FdLink, uprobe::UProbeLink,
    },
};
use thiserror::Error;

use super::{
    btf::{self, BtfError},
    maps::Maps,
    pins::Pins,
};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/agent-guard.bpf.o"));

/// Programs that run for the whole machine, with the tracepoint where there is one.
const TRACEPOINTS: &[(&str, &str)] = &[
    ("task_new", "task_newtask"),
    ("process_exec", "sched_process_exec"),
    ("process_exit", "sched_process_exit"),
    ("sock_state", "inet_sock_set_state"),
];
const ADDRESS_HOOKS: &[&str] = &["connect4", "connect6", "sendmsg4", "sendmsg6"];
const SOCKET_HOOKS: &[&str] = &["sock_create", "sock_release"];
const EGRESS: &str = "egress";
const PROBES: &[&str] = &["tls_write", "tls_unbind"];
/// Pinned last: everything else is in place.
const COMPLETE: &str = "egress";

#[derive(Debug, Error)]
pub enum LoadError {
    #[error("this binary was built without its eBPF object; build it with `cargo xtask build`")]
    NoObject,
    #[error(transparent)]
    Btf(#[from] BtfError),
    #[error("cannot read the kernel's BTF: {0}")]
    KernelBtf(#[from] aya::BtfError),
    #[error("cannot load the eBPF object: {0}")]
    Load(#[from] aya::EbpfError),
    #[error("the eBPF object has no program {0}; rebuild with `cargo xtask build`")]
    NoProgram(&'static str),
    #[error("program {name}: {source}")]
    Program { name: String, source: ProgramError },
    #[error("cannot pin {path}: {source}; is a bpffs mounted there? (mount -t bpf bpf /sys/fs/bpf)")]
    Pin { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("map {name}: {source}")]
    Map { name: String, source: aya::maps::MapError },
    #[error("cgroup root {path}: {source}")]
    Cgroup { path: PathBuf, source: io::Error },
    #[error("pins in {path}: {source}")]
    Pins { path: PathBuf, source: io::Error },
}

/// The kernel half, up and pinned.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Kernel {
    pub maps: Maps,
    pub write_probe: UProbe,
    pub unbind_probe: UProbe,
    /// Pins of an earlier daemon were adopted.
    pub adopted: bool,
}

/// Adopts complete pins, or else loads, attaches and pins everything.
///
/// # Errors
/// [`LoadError`]; nothing that enforces is left half up without its pins.
pub fn bring_up(pins: &Pins, cgroup_root: &Path) -> Result<Kernel, LoadError> {
    if pins.link(COMPLETE).exists() {
        return open(pins, true);
    }
    let pins_error = |source| LoadError::Pins { path: pins.base().to_owned(), source };
    if pins.base().exists() {
        pins.remove().map_err(pins_error)?; // an earlier start did not get as far as guarding anything
    }
    pins.create().map_err(pins_error)?;
    load(pins, cgroup_root)?;
    open(pins, false)
}

fn open(pins: &Pins, adopted: bool) -> Result<Kernel, LoadError> {
    let program = |name: &str| {
        UProbe::from_pin(pins.program(name), aya::programs::ProbeKind::Entry)
            .map_err(|source| LoadError::Program { name: name.to_owned(), source })
    };
    Ok(Kernel {
        maps: Maps::open(pins)?,
        write_probe: program("tls_write")?,
        unbind_probe: program("tls_unbind")?,
        adopted,
    })
}

fn load(pins: &Pins, cgroup_root: &Path) -> Result<(), LoadError> {
    if OBJECT.is_empty() {
        return Err(LoadError::NoObject);
    }
    let offsets = btf::offsets()?;
    let kernel_btf = Btf::from_sys_fs()?;
    let mut loader = EbpfLoader::new();
    loader.btf(Some(&kernel_btf)).verifier_log_level(VerifierLogLevel::STATS);
    for (name, offset) in &offsets {
        loader.override_global(name, offset, true);
    }
    for name in NAMES {
        loader.map_pin_path(name, pins.map(name));
    }
    let mut object = loader.load(OBJECT)?;
    let cgroup = File::open(cgroup_root)
        .map_err(|source| LoadError::Cgroup { path: cgroup_root.to_owned(), source })?;
    for name in PROBES {
        let probe: &mut UProbe = typed(&mut object, name)?;
        probe.load().map_err(|source| named(name, source))?;
        probe.pin(pins.program(name)).map_err(|source| pin_error(pins.program(name), source))?;
    }
    for (name, tracepoint) in TRACEPOINTS {
        let program: &mut BtfTracePoint = typed(&mut object, name)?;
        program.load(tracepoint, &kernel_btf).map_err(|source| named(name, source))?;
        let id = program.attach().map_err(|source| named(name, source))?;
        let link = program.take_link(id).map_err(|source| named(name, source))?;
        pin_link(pins, name, FdLink::from(link))?;
    }
    for name in ADDRESS_HOOKS {
        let program: &mut CgroupSockAddr = typed(&mut object, name)?;
        program.load().map_err(|source| named(name, source))?;
        // A cgroup *link* is multi by nature; the kernel refuses the flag for it (EINVAL).
        let id = program.attach(&cgroup, CgroupAttachMode::Single).map_err(|source| named(name, source))?;
        let link = program.take_link(id).map_err(|source| named(name, source))?;
        let link = FdLink::try_from(link).map_err(|source| pin_error(pins.link(name), source))?;
        pin_link(pins, name, link)?;
    }
    for name in SOCKET_HOOKS {
        let program: &mut CgroupSock = typed(&mut object, name)?;
        program.load().map_err(|source| named(name, source))?;
        let id = program.attach(&cgroup, CgroupAttachMode::Single).map_err(|source| named(name, source))?;
        let link = program.take_link(id).map_err(|source| named(name, source))?;
        let link = FdLink::try_from(link).map_err(|source| pin_error(pins.link(name), source))?;
        pin_link(pins, name, link)?;
    }
    let program: &mut CgroupSkb = typed(&mut object, EGRESS)?;
    program.load().map_err(|source| named(EGRESS, source))?;
    let id = program
        .attach(&cgroup, CgroupSkbAttachType::Egress, CgroupAttachMode::Single)
        .map_err(|source| named(EGRESS, source))?;
    let link = program.take_link(id).map_err(|source| named(EGRESS, source))?;
    let link = FdLink::try_from(link).map_err(|source| pin_error(pins.link(EGRESS), source))?;
    pin_link(pins, EGRESS, link)
}

fn typed<'a, T>(object: &'a mut Ebpf, name: &'static str) -> Result<&'a mut T, LoadError>
where
    &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
{
    object
        .program_mut(name)
        .ok_or(LoadError::NoProgram(name))?
        .try_into()
        .map_err(|source| named(name, source))
}

fn named(name: &str, source: ProgramError) -> LoadError {
    LoadError::Program { name: name.to_owned(), source }
}

fn pin_link(pins: &Pins, name: &str, link: FdLink) -> Result<(), LoadError> {
    link.pin(pins.link(name)).map(drop).map_err(|source| pin_error(pins.link(name), source))
}

/// Pins the link of an attached uprobe.
///
/// # Errors
/// [`LoadError::Pin`].
pub fn pin_probe(pins: &Pins, name: &str, link: UProbeLink) -> Result<(), LoadError> {
    let link = FdLink::try_from(link).map_err(|source| pin_error(pins.link(name), source))?;
    pin_link(pins, name, link)
}

fn pin_error(path: PathBuf, source: impl std::error::Error + Send + Sync + 'static) -> LoadError {
    LoadError::Pin { path, source: Box::new(source) }
}
