//! The ClientHello barrier: a TLS connection starts only when every TLS library of its process is probed.
//!
//! Every ClientHello asks anew, so that a library that was mapped a moment ago (dlopen) needs no notice of its own.
//! Where all mapped files are known the answer takes a look at /proc; else a thread of its own judges the new ones.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::PoisonError,
    time::{Duration, Instant},
};

use agent_guard_api::audit::AuditKind;

use super::{Guard, Report};
use crate::{
    kernel::probes::{self, Coverage, Judged, Mapping, Prober},
    settings::Opaque,
};

/// A ClientHello that waits for a scan.
#[derive(Clone, Debug)]
pub(super) struct HeldHello {
    pub(super) cookie: u64,
    gate: u64,
    tgid: u32,
    sni: Option<String>,
    address: String,
    agent: u32,
    /// Scans that were asked for it.
    scans: u32,
    since: Instant,
}

/// Scans that one ClientHello may ask for: its process maps more meanwhile, or a file changes under the look.
const MAX_SCANS: u32 = 5;

/// How long a ClientHello waits for its process's files to be judged.
const SCAN_PATIENCE: Duration = Duration::from_secs(20);

/// Files to be judged.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) tgid: u32,
    pub(super) files: Vec<Mapping>,
}

/// A scan is done.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) tgid: u32,
    /// Files that could not be judged, with the reason.
    pub(super) failed: Vec<String>,
}

/// What the mapped files of a process amount to.
enum Standing {
    Covered,
    /// No TLS library that is covered, with the reason in words.
    Opaque(String),
    /// These files are not known yet.
    Unknown(Vec<Mapping>),
}

impl Guard {
    pub(super) fn begin_barrier(
        &mut self,
        cookie: u64,
        gate: u64,
        tgid: u32,
        sni: Option<String>,
        address: String,
        agent: u32,
    ) {
        let hello = HeldHello { cookie, gate, tgid, sni, address, agent, scans: 1, since: Instant::now() };
        match self.standing(tgid) {
            Standing::Covered => self.pass(&hello),
            Standing::Opaque(why) => self.on_opaque(&hello, &why),
            Standing::Unknown(files) => {
                self.held_hellos.push(hello);
                self.scan(tgid, files);
            }
        }
    }

    /// Looks at a program before its first connection, in the background.
    pub(super) fn scan_ahead(&mut self, tgid: u32) {
        if let Standing::Unknown(files) = self.standing(tgid) {
            self.scan(tgid, files);
        }
    }

    pub(super) fn take_scanned(&mut self) {
        while let Ok(scanned) = self.scanned.try_recv() {
            let (mine, others): (Vec<_>, Vec<_>) =
                self.held_hellos.drain(..).partition(|held| held.tgid == scanned.tgid);
            self.held_hellos = others;
            for mut hello in mine {
                match self.standing(hello.tgid) {
                    Standing::Covered => self.pass(&hello),
                    Standing::Opaque(why) => self.on_opaque(&hello, &why),
                    Standing::Unknown(files) if hello.scans < MAX_SCANS => {
                        hello.scans += 1;
                        self.held_hellos.push(hello);
                        self.scan(scanned.tgid, files);
                    }
                    Standing::Unknown(_) => self.on_opaque(&hello, &scanned.failed.join("; ")),
                }
            }
        }
    }

    /// A scan that does not end (a library on a dead file system) leaves its process opaque.
    pub(super) fn refuse_late_hellos(&mut self) {
        let (late, patient): (Vec<_>, Vec<_>) =
            self.held_hellos.drain(..).partition(|held| held.since.elapsed() > SCAN_PATIENCE);
        self.held_hellos = patient;
        for hello in late {
            self.on_opaque(&hello, "its libraries could not be looked at in time");
        }
    }

    fn scan(&self, tgid: u32, files: Vec<Mapping>) {
        if self.scans.send(Scan { tgid, files }).is_err() {
            tracing::error!("the scanning thread is gone: new connections stay held");
        }
    }

    fn standing(&self, tgid: u32) -> Standing {
        let Ok(mappings) = probes::mappings(tgid) else {
            return Standing::Opaque("its process is gone".to_owned());
        };
        let judged = self.judged_files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unknown = Vec::new();
        let mut covered = false;
        let mut partial = None;
        for mapping in mappings {
            match judged.coverage(&mapping) {
                None => unknown.push(mapping),
                Some(Coverage::Probed) => covered = true,
                Some(Coverage::Partial) => partial = Some(mapping.path),
                Some(Coverage::Plain) => {}
            }
        }
        match (unknown.is_empty(), partial, covered) {
            (false, _, _) => Standing::Unknown(unknown),
            (true, Some(path), _) => {
                Standing::Opaque(format!("{path:?} can write in a way that is not covered"))
            }
            (true, None, true) => Standing::Covered,
            (true, None, false) => Standing::Opaque("no TLS library that this version reads".to_owned()),
        }
    }

    fn pass(&mut self, hello: &HeldHello) {
        self.report(Report::HelloPassed { cookie: hello.cookie, gate: hello.gate });
    }

    fn on_opaque(&mut self, hello: &HeldHello, why: &str) {
        let name = self.agent_name(hello.agent);
        let allowed = self.settings.agents.get(&name).is_some_and(|rule| rule.opaque == Opaque::Allow);
        let root = self.maps.task(hello.tgid).map_or(hello.tgid, |task| task.root);
        let processes = self.processes.up_to(hello.tgid, root);
        let program = processes.first().map(|process| process.exe.clone()).unwrap_or_default();
        let server = hello.sni.clone().unwrap_or_else(|| "a server without a name".to_owned());
        let done = if allowed { "let go by its setting, unread" } else { "refused" };
        let message = format!(
            "encrypted connection to {server} at {} of {} cannot be read: {why}; {done}",
            hello.address,
            agent_guard_decode::redact::quote(&program),
        );
        let session = self.maps.socket(hello.cookie).map_or(0, |socket| socket.session);
        let origin = crate::report::Origin {
            tgid: hello.tgid,
            session,
            agent: name,
            processes,
            observed: false,
            released: 0,
        };
        self.note(AuditKind::Opaque, &origin, message);
        if allowed {
            self.pass(hello);
        } else {
            self.opaque_refused += 1;
            self.destroy(hello.cookie);
        }
    }
}

/// The scanning thread: judges files one by one and says when it is done.
pub(super) fn scan_forever(
    mut prober: Prober,
    judged: &std::sync::Mutex<Judged>,
    scans: &std::sync::mpsc::Receiver<Scan>,
    scanned: &std::sync::mpsc::Sender<Scanned>,
    wake: &dyn Fn(),
) {
    for Scan { tgid, files } in scans {
        let mut failed = Vec::new();
        for mapping in files {
            let known = judged.lock().unwrap_or_else(PoisonError::into_inner).coverage(&mapping).is_some();
            if known {
                continue;
            }
            let judging = catch_unwind(AssertUnwindSafe(|| judge_where_it_is(&mut prober, tgid, &mapping)));
            match judging.unwrap_or_else(|_panic| {
                Err(std::io::Error::other("the finder failed on it (a defect of the guard)"))
            }) {
                Ok(None) => {} // not mapped any more
                Ok(Some((id, coverage, functions))) => {
                    let mut judged = judged.lock().unwrap_or_else(PoisonError::into_inner);
                    probes::remember(&mut judged, &mapping, id, coverage, functions);
                }
                Err(error) => failed.push(format!("{:?} could not be judged: {error}", mapping.path)),
            }
        }
        if scanned.send(Scanned { tgid, failed }).is_err() {
            return;
        }
        wake();
    }
}

/// What the prober found of a file.
type Found = (probes::FileId, Coverage, Vec<String>);

/// Judges a mapped file. Its mapping may have been split or moved since it was listed, so a path that is gone is looked
/// up again.
fn judge_where_it_is(prober: &mut Prober, tgid: u32, mapping: &Mapping) -> std::io::Result<Option<Found>> {
    match prober.judge(mapping) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        other => return other.map(Some),
    }
    let Ok(now) = probes::mappings(tgid) else { return Ok(None) };
    match now.into_iter().find(|other| other.dev == mapping.dev && other.inode == mapping.inode) {
        Some(moved) => prober.judge(&moved).map(Some),
        None => Ok(None),
    }
}
