//! A file whose content never comes: the worst page that a request can lie on. A tiny FUSE server answers everything
//! about the file but what is in it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// The mounted file system; dropping it aborts everything that waits for the file.
#[derive(Debug)]
pub struct SilentFs {
    dir: PathBuf,
    asked: Receiver<()>,
    server: Option<JoinHandle<()>>,
}

impl SilentFs {
    /// Mounts it on a new directory `dir`, open to every user.
    pub fn mount(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").context("/dev/fuse")?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        mount(Some("silent"), &dir, Some("fuse"), MsFlags::MS_NOSUID, Some(options.as_str()))
            .with_context(|| format!("mount FUSE on {}", dir.display()))?;
        let (ask, asked) = mpsc::channel();
        let server =
            thread::Builder::new().name("silent-fs".to_owned()).spawn(move || serve(device, &ask))?;
        Ok(Self { dir, asked, server: Some(server) })
    }

    /// The file of one page.
    pub fn file(&self) -> PathBuf {
        self.path().join("page")
    }

    fn path(&self) -> &Path {
        &self.dir
    }

    /// Waits until somebody asks for the content (and waits from then on).
    pub fn wait_asked(&self, deadline: Duration) -> Result<()> {
        self.asked.recv_timeout(deadline).context("nobody read the silent file")
    }
}

impl Drop for SilentFs {
    fn drop(&mut self) {
        // MNT_FORCE aborts the connection: whoever waits gets an error, and the server's read ends.
        if let Err(error) = umount2(&self.dir, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH) {
            eprintln!("unmount {}: {error}", self.dir.display());
        }
        if let Some(server) = self.server.take() {
            drop(server.join());
        }
    }
}

const ROOT: u64 = 1;
const FILE: u64 = 2;
const SIZE: u64 = 4096;

/// `FOPEN_KEEP_CACHE`.
const KEEP_CACHE: u32 = 2;

// Opcodes of linux/fuse.h.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const ACCESS: u32 = 34;
const BATCH_FORGET: u32 = 42;

/// Answers until the connection is aborted.
fn serve(mut device: File, ask: &Sender<()>) {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let request = match device.read(&mut buffer) {
            Ok(bytes) => buffer.get(..bytes).unwrap_or_default(),
            Err(error)
                if error.raw_os_error() == Some(libc::EINTR)
                    || error.raw_os_error() == Some(libc::ENOENT) =>
            {
                continue;
            }
            Err(_aborted) => return,
        };
        let (Some(opcode), Some(unique), Some(node)) =
            (word(request, 4), long(request, 8), long(request, 16))
        else {
            return;
        };
        let answer = match opcode {
            FORGET | BATCH_FORGET => continue,
            READ => {
                ask.send(()).ok();
                continue;
            }
            INIT => Ok(init()),
            LOOKUP if request.get(40..).is_some_and(|name| name.starts_with(b"page\0")) => Ok(entry()),
            LOOKUP => Err(libc::ENOENT),
            GETATTR => Ok([&longs(&[3600, 0])[..], &attributes(node)].concat()),
            // Keep the cache: else a second open waits, unkillable, for the page that never comes.
            OPEN => Ok([&1_u64.to_ne_bytes()[..], &KEEP_CACHE.to_ne_bytes(), &[0; 4]].concat()),
            RELEASE | FLUSH | ACCESS => Ok(Vec::new()),
            _ => Err(libc::ENOSYS),
        };
        let (error, body) = match answer {
            Ok(body) => (0_i32, body),
            Err(errno) => (-errno, Vec::new()),
        };
        let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
        let reply = [&length.to_ne_bytes()[..], &error.to_ne_bytes(), &unique.to_ne_bytes(), &body].concat();
        // An interrupted request has nobody to answer to.
        drop(device.write_all(&reply));
    }
}

/// `fuse_init_out` of protocol 7.31, without any optional feature.
fn init() -> Vec<u8> {
    let mut out = Vec::new();
    for field in [7_u32, 31, 0, 0] {
        out.extend(field.to_ne_bytes());
    }
    out.extend([16_u16, 12].map(u16::to_ne_bytes).concat());
    out.extend([4096_u32, 1].map(u32::to_ne_bytes).concat());
    out.resize(64, 0);
    out
}

/// `fuse_entry_out` of the file.
fn entry() -> Vec<u8> {
    [longs(&[FILE, 0, 3600, 3600, 0]), attributes(FILE)].concat()
}

/// `fuse_attr`.
fn attributes(node: u64) -> Vec<u8> {
    let (mode, size) = if node == ROOT { (libc::S_IFDIR | 0o755, 0) } else { (libc::S_IFREG | 0o644, SIZE) };
    let mut out = longs(&[node, size, size.div_ceil(512), 0, 0, 0]);
    for field in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0] {
        out.extend(field.to_ne_bytes());
    }
    out
}

fn longs(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}
