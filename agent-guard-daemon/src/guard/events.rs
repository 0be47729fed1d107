//! From kernel events to reports.

use agent_guard_api::audit::AuditKind;
use agent_guard_common::{
    event::{Address, Header, Hello, Refused, SocketEvent, Stray, Tied, Write},
    task::Agent,
    user::Event,
};

use super::{Guard, Instant, Report};
use crate::{
    enforce::duplicate,
    ingest::hello,
    report::{Origin, WriteSeen},
};

/// Events that are taken before time and people are looked at again.
const BATCH: usize = 256;
/// Send buffer that a connection gets, so that no client blocks in the middle of a request that is being judged: a
/// library never takes a part of a write then, except behind that many bytes.
const ROOM: i32 = 8 * 1024 * 1024;

const TCP_CLOSE: u32 = 7;

impl Guard {
    pub(super) fn take_events(&mut self) {
        // Bytes are copied out of the ring so that handling an event may take from it.
        let mut buffer = Vec::new();
        for _ in 0..BATCH {
            buffer.clear();
            if !self.ring.next(|bytes| buffer.extend_from_slice(bytes)) {
                self.drains += 1;
                return;
            }
            match Event::try_from(aligned(&mut buffer)) {
                Ok(event) => {
                    if let Event::Write(write, _) = &event {
                        tracing::trace!(?write, "event");
                    } else if !matches!(event, Event::Hello(..) | Event::Ack(..)) {
                        tracing::trace!(?event, "event");
                    }
                    self.on_event(event);
                }
                Err(error) => {
                    tracing::error!(%error, "an event cannot be read");
                    self.audit.note(
                        AuditKind::Loss,
                        format!("an event of the kernel half cannot be read: {error}"),
                    );
                }
            }
        }
    }

    fn on_event(&mut self, event: Event<'_>) {
        match event {
            Event::Write(write, bytes) => self.on_write(&write, bytes),
            Event::Tied(tied) => self.on_tied(&tied),
            Event::Hello(hello, bytes) => self.on_hello(hello, bytes),
            Event::Socket(socket) => self.on_socket(&socket),
            Event::Exec(exec) => self.on_exec(&exec.header, exec.root, exec.began != 0),
            Event::Exit(exit) => self.on_exit(exit.header.tgid),
            Event::Refused(refused) => self.on_refused(&refused),
            Event::Ack(_, _) => {}
            Event::Stray(stray) => self.on_stray(&stray),
            Event::Unbound(unbound) => {
                self.report(Report::Unbound { tgid: unbound.header.tgid, ssl: unbound.ssl });
                if unbound.cookie != 0 && self.waiting.is_waiting(unbound.cookie) {
                    self.client_gone(unbound.cookie);
                }
            }
        }
    }

    fn on_write(&mut self, piece: &Write, bytes: &[u8]) {
        let Some(write) = self.assembler.take(piece, bytes) else { return };
        let origin = self.origin(&piece.header);
        let fast = piece.flags & Write::FAST != 0;
        if !fast && !origin.observed && self.has_unknown_past(piece.cookie, piece.gate) {
            return self.report(Report::Lost { origin, cookie: piece.cookie, gate: piece.gate });
        }
        let fills_buffer =
            piece.cookie != 0 && !fast && write.total > 4096 && self.fills_buffer(piece.cookie);
        let seen = WriteSeen {
            ssl: piece.ssl,
            tgid: piece.header.tgid,
            cookie: piece.cookie,
            gate: piece.gate,
            fast,
            unreadable: piece.flags & Write::UNREADABLE != 0,
            fills_buffer,
            write,
        };
        self.report(Report::Write(origin, seen));
    }

    fn on_tied(&mut self, tied: &Tied) {
        let origin = self.origin(&tied.header);
        let cookie = tied.cookie;
        if self.has_unknown_past(cookie, tied.gate) || self.is_late(cookie) {
            self.report(Report::Unbound { tgid: tied.header.tgid, ssl: tied.ssl });
            self.report(Report::Lost { origin, cookie, gate: tied.gate });
        } else {
            let address = self.addresses.get(&cookie).cloned();
            self.report(Report::Tied {
                origin,
                ssl: tied.ssl,
                number: tied.write,
                cookie,
                gate: tied.gate,
                address,
            });
        }
    }

    fn on_hello(&mut self, event: &Hello, bytes: &[u8]) {
        let origin = self.origin(&event.header);
        let (cookie, gate) = (event.cookie, event.gate);
        let address = printed(&event.address);
        let sni = hello::server_name(bytes);
        if gate == 0 {
            return self.scan_ahead(event.header.tgid); // observed: nothing waits, but it is to be read
        }
        if self.has_unknown_past(cookie, gate) {
            return self.report(Report::Lost { origin, cookie, gate });
        }
        let tgid = event.header.tgid;
        self.give_room(cookie, tgid);
        self.report(Report::Hello { origin, cookie, gate, sni: sni.clone(), address: Some(address.clone()) });
        self.begin_barrier(cookie, gate, tgid, sni, address, event.header.agent);
    }

    fn on_socket(&mut self, event: &SocketEvent) {
        let cookie = event.cookie;
        match event.state {
            0 => {
                self.addresses.insert(cookie, printed(&event.address));
            }
            TCP_CLOSE => {
                self.broken.remove(&cookie);
                self.waiting.forget(cookie);
                self.duplicates.forget_socket(cookie);
                self.addresses.remove(&cookie);
                self.held_hellos.retain(|held| held.cookie != cookie);
                self.report(Report::Gone { cookie });
            }
            _ => self.client_gone(cookie),
        }
    }

    fn on_exit(&mut self, tgid: u32) {
        // Its descriptors are closed a moment from now: the sweep finds what it held open.
        if !self.waiting.is_empty() {
            self.next_sweep = self.next_sweep.min(Instant::now() + std::time::Duration::from_millis(10));
        }
        self.duplicates.forget_process(tgid);
        self.processes.forget(tgid);
        self.report(Report::ProcessGone { tgid });
    }

    fn on_refused(&mut self, refused: &Refused) {
        let origin = self.origin(&refused.header);
        let what = match refused.reason {
            Refused::FROZEN => "the agent is frozen",
            Refused::QUIC => "QUIC (UDP port 443) is not read; clients fall back to TCP",
            _ => "too many connections are open to remember one more",
        };
        let message = format!("connection to {} refused: {what}", printed(&refused.address));
        self.note(AuditKind::Refused, &origin, message);
    }

    /// A socket sends what cannot be laid to a write.
    fn on_stray(&mut self, stray: &Stray) {
        let origin = self.origin(&stray.header);
        let cookie = stray.cookie;
        if stray.what == Stray::PLAIN {
            let to = self.addresses.get(&cookie).cloned().unwrap_or_else(|| "an address not seen".to_owned());
            return self.note(
                AuditKind::Loss,
                &origin,
                format!("plaintext to {to}: not judged by this version"),
            );
        }
        let to = self.addresses.get(&cookie).cloned().unwrap_or_default();
        let message = format!(
            "connection to {to} refused: no write that was read accounts for the encrypted data on it"
        );
        self.note(AuditKind::Opaque, &origin, message);
        self.opaque_refused += 1;
        self.destroy(cookie);
    }

    /// A daemon before this one knew what was sent on this connection; this one does not.
    fn has_unknown_past(&self, cookie: u64, gate: u64) -> bool {
        gate > 1
            && self.judge.highest(cookie) == 0
            && self.maps.released(cookie).is_none_or(|words| words.in_step != gate - 1)
    }

    fn is_late(&self, cookie: u64) -> bool {
        use agent_guard_common::conn::Socket;
        self.judge.highest(cookie) == 0
            && self.maps.socket(cookie).is_some_and(|socket| socket.flags & Socket::LATE != 0)
    }

    /// Gives a new connection a send buffer in which every request that is judged whole has room.
    fn give_room(&mut self, cookie: u64, tgid: u32) {
        let given = self
            .duplicates
            .take(cookie, tgid, Vec::new)
            .and_then(|socket| duplicate::make_room(&socket, ROOM));
        if let Err(error) = given {
            tracing::debug!(cookie, %error, "the send buffer stays as it is");
        }
    }

    fn fills_buffer(&mut self, cookie: u64) -> bool {
        let memory = self.duplicate(cookie).ok().and_then(duplicate::send_memory);
        memory.is_none_or(|(used, room)| u64::from(used) * 10 >= u64::from(room) * 9)
    }

    pub(super) fn origin(&mut self, header: &Header) -> Origin {
        let agent = self.agent_name(header.agent);
        let root = self.maps.task(header.tgid).map_or(header.tgid, |task| task.root);
        let observed = self.agent_flags(header.agent) & Agent::OBSERVE != 0;
        let processes = self.processes.up_to(header.tgid, root);
        Origin { tgid: header.tgid, session: header.session, agent, processes, observed, released: 0 }
    }

    pub(super) fn note(&self, kind: AuditKind, origin: &Origin, message: String) {
        self.audit.entry(agent_guard_core::effect::AuditEntry {
            kind,
            message,
            agent: Some(origin.agent.clone()),
            session: Some(origin.session),
            pid: Some(origin.tgid),
            hold: None,
            person: None,
            request: None,
            rule: None,
            why: None,
        });
    }
}

/// `ip:port`, IPv6 in brackets, v4-mapped as IPv4.
pub(super) fn printed(address: &Address) -> String {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    let ip = if address.version == 4 {
        let [a, b, c, d, ..] = address.ip;
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    } else {
        IpAddr::V6(Ipv6Addr::from(address.ip)).to_canonical()
    };
    SocketAddr::new(ip, address.port).to_string()
}

/// The bytes, starting at an address that the event structures can be read at.
fn aligned(buffer: &mut Vec<u8>) -> &[u8] {
    if buffer.as_ptr().align_offset(8) != 0 {
        *buffer = buffer.to_vec();
    }
    buffer
}
