//! journald's native protocol: one datagram a record, every field searchable by `journalctl FIELD=value`.
//!
//! Values hold the agent's words. A value is written by length as soon as it is not plain text on one line, so that
//! no word can end its field and begin another (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).

use std::{
    io::{self, IoSlice, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use agent_guard_api::{
    Magnitude,
    audit::{AuditKind, AuditRecord, AuditRequest},
};
use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg},
    },
};

use super::outlet::Sink;

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// True on a host that has a journal, even one whose daemon is away at the moment.
pub fn is_here() -> bool {
    Path::new(SOCKET).parent().is_some_and(Path::is_dir)
}

/// The journal as a sink.
#[derive(Debug)]
pub struct Journald {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Journald {
    pub fn new(path: PathBuf) -> Self {
        Journald { path, socket: None }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            empty => {
                let socket = UnixDatagram::unbound()?;
                // A journald that does not read counts as away: the record waits in the spool, not this thread.
                socket.set_write_timeout(Some(PATIENCE))?;
                empty.insert(socket)
            }
        };
        match socket.send_to(message, &self.path) {
            Ok(_) => Ok(()),
            Err(error) if too_big(&error) => send_memfd(socket, &self.path, message),
            Err(error) => Err(error),
        }
    }
}

impl Sink for Journald {
    fn write(&mut self, record: &AuditRecord) -> io::Result<()> {
        self.send(&encode(record))
    }
}

fn too_big(error: &io::Error) -> bool {
    error
        .raw_os_error()
        .map(nix::errno::Errno::from_raw)
        .is_some_and(|errno| matches!(errno, nix::errno::Errno::EMSGSIZE | nix::errno::Errno::ENOBUFS))
}

/// Sends a message that fits no datagram: journald reads it from a memory file that nobody can change any more.
fn send_memfd(socket: &UnixDatagram, path: &Path, message: &[u8]) -> io::Result<()> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd: OwnedFd = memfd_create("agent-guard-audit", flags)?;
    let mut file = std::fs::File::from(fd);
    file.write_all(message)?;
    let seals =
        SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    let address = UnixAddr::new(path)?;
    let fds = [file.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(&[])], &rights, MsgFlags::empty(), Some(&address))?;
    Ok(())
}

/// The record as one message of the native protocol.
pub fn encode(record: &AuditRecord) -> Vec<u8> {
    let AuditRecord {
        version,
        at_ms,
        kind,
        message,
        agent,
        session,
        pid,
        hold,
        person,
        request,
        rule,
        why,
        count,
    } = record;
    let mut out = Fields(Vec::with_capacity(1024));
    out.field("MESSAGE", message);
    out.field("MESSAGE_ID", message_id(*kind));
    out.field("PRIORITY", priority(*kind));
    out.field("SYSLOG_IDENTIFIER", "agent-guardd");
    out.field("AGENT_GUARD_VERSION", &version.to_string());
    out.field("AGENT_GUARD_AT_MS", &at_ms.to_string());
    out.field("AGENT_GUARD_KIND", &name(kind));
    out.optional("AGENT_GUARD_AGENT", agent.as_deref());
    out.number("AGENT_GUARD_SESSION", *session);
    out.number("AGENT_GUARD_PID", pid.map(u64::from));
    out.optional("AGENT_GUARD_HOLD", hold.as_deref());
    out.optional("AGENT_GUARD_PERSON", person.as_deref());
    if let Some(request) = request {
        out.request(request);
    }
    out.optional("AGENT_GUARD_RULE", rule.as_deref());
    out.optional("AGENT_GUARD_WHY", why.as_deref());
    out.number("AGENT_GUARD_COUNT", *count);
    out.0
}

struct Fields(Vec<u8>);

impl Fields {
    fn request(&mut self, request: &AuditRequest) {
        let AuditRequest { provider, service, operation, harm, magnitude, flags, host, digest } = request;
        self.field("AGENT_GUARD_PROVIDER", provider);
        self.field("AGENT_GUARD_SERVICE", service);
        self.field("AGENT_GUARD_OPERATION", operation);
        self.field("AGENT_GUARD_HARM", &name(harm));
        let magnitude = match magnitude {
            Magnitude::Count(count) => count.to_string(),
            Magnitude::Money { amount, currency } => format!("{amount} {currency}"),
            Magnitude::Unbounded(_) => "unbounded".to_owned(),
        };
        self.field("AGENT_GUARD_MAGNITUDE", &magnitude);
        for flag in flags {
            self.field("AGENT_GUARD_FLAG", &name(flag));
        }
        self.field("AGENT_GUARD_HOST", host);
        self.field("AGENT_GUARD_DIGEST", digest);
    }

    fn optional(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    fn number(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.field(name, &value.to_string());
        }
    }

    /// `NAME=value` for one line of plain text, else the name, the length as 64 bits little-endian, and the bytes.
    fn field(&mut self, name: &'static str, value: &str) {
        self.0.extend_from_slice(name.as_bytes());
        if value.chars().any(char::is_control) {
            self.0.push(b'\n');
            self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            self.0.push(b'=');
        }
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }
}

/// The word that serde gives a unit variant.
fn name<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

/// syslog(3) levels: 3 error, 4 warning, 5 notice, 6 informational.
fn priority(kind: AuditKind) -> &'static str {
    match kind {
        AuditKind::Loss | AuditKind::Resisted => "3",
        AuditKind::Held | AuditKind::Denied | AuditKind::Expired | AuditKind::Opaque | AuditKind::Refused => {
            "4"
        }
        AuditKind::Approved
        | AuditKind::Released
        | AuditKind::ClientGone
        | AuditKind::ActionRefused
        | AuditKind::Started
        | AuditKind::Adopted
        | AuditKind::Stopped => "5",
        AuditKind::Joined | AuditKind::SessionStarted | AuditKind::SessionEnded | AuditKind::Allowed => "6",
    }
}

/// One fixed id for each kind (`journalctl MESSAGE_ID=…`); never changed, never used again.
fn message_id(kind: AuditKind) -> &'static str {
    match kind {
        AuditKind::Started => "64b87ea8947848caaca26daa71148975",
        AuditKind::Adopted => "a74454c436bf48e1a158d5b55333d1ea",
        AuditKind::Stopped => "6cae9edd473a43d7aaa3c8538d2aa58f",
        AuditKind::SessionStarted => "358deec424e9454a9600a92eb427bdb3",
        AuditKind::SessionEnded => "075ce44a6e304ceb9a83790e94ce9280",
        AuditKind::Allowed => "b44f02a8bec44992b4435c52f234287c",
        AuditKind::Held => "7276237c6959475a9488aee446b6842a",
        AuditKind::Joined => "31d59d59b4d94a96b33dede91551b687",
        AuditKind::Approved => "336b78e73f464522b903863bfce77cba",
        AuditKind::Released => "79306fa042f244c1a955e2b8ad7d187f",
        AuditKind::Denied => "a0bde48d33ed41b180a4f2e4169ad8c2",
        AuditKind::Expired => "2c482b20cef840b79939b9aa5a6cda0b",
        AuditKind::ClientGone => "2c7893a2a8fb42578159ab90d460ee78",
        AuditKind::Opaque => "057ad4c307254891812119343275d909",
        AuditKind::Refused => "a423e1940d8f47889d4c7321f94135ab",
        AuditKind::Loss => "0539078960854d82831029ef86ea138e",
        AuditKind::Resisted => "78bd6ca72e2c47f2a1216a40e1ec79b0",
        AuditKind::ActionRefused => "fffe926e67a6436a8e1705e2b4a63584",
    }
}

/// How long one datagram may wait for room in journald's queue.
const PATIENCE: Duration = Duration::from_secs(2);
