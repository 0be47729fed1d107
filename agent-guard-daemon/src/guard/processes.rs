//! Command lines of processes, read once per program and redacted at once.

use std::{collections::HashMap, fs, io, os::fd::OwnedFd};

use agent_guard_api::ProcessView;
use agent_guard_decode::redact;

use super::Guard;
use crate::enforce::processes::state;

/// Parents that are shown at most.
const MAX_PARENTS: usize = 8;
/// Processes that are remembered.
const MAX_KNOWN: usize = 4096;

/// What is known of processes, by tgid.
#[derive(Debug, Default)]
pub(super) struct Processes {
    known: HashMap<u32, (ProcessView, u32)>,
}

impl Processes {
    /// The process and its parents up to `root`.
    pub(super) fn up_to(&mut self, tgid: u32, root: u32) -> Vec<ProcessView> {
        let mut chain = Vec::new();
        let mut next = tgid;
        while chain.len() < MAX_PARENTS && next > 1 {
            let (view, parent) = self.one(next);
            chain.push(view);
            if next == root {
                break;
            }
            next = parent;
        }
        chain
    }

    /// Another program runs in it, or it ended.
    pub(super) fn forget(&mut self, tgid: u32) {
        self.known.remove(&tgid);
    }

    fn one(&mut self, tgid: u32) -> (ProcessView, u32) {
        if let Some(known) = self.known.get(&tgid) {
            return known.clone();
        }
        let raw = fs::read(format!("/proc/{tgid}/cmdline")).unwrap_or_default();
        let arguments: Vec<&[u8]> = raw.strip_suffix(&[0]).unwrap_or(&raw).split(|byte| *byte == 0).collect();
        let exe = fs::read_link(format!("/proc/{tgid}/exe"))
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        let view = ProcessView { pid: tgid, command: redact::command_line(&arguments), exe };
        let known = (view, state(tgid).map_or(0, |state| state.parent));
        if self.known.len() >= MAX_KNOWN {
            self.known.clear();
        }
        self.known.insert(tgid, known.clone());
        known
    }
}

impl Guard {
    /// A duplicate of a socket: out of the process that used it last, or another of its session.
    pub(super) fn duplicate(&mut self, cookie: u64) -> io::Result<OwnedFd> {
        let socket = self.maps.socket(cookie).ok_or(io::ErrorKind::NotFound)?;
        let maps = &self.maps;
        self.duplicates.take(cookie, socket.tgid, || {
            maps.tasks()
                .into_iter()
                .filter(|(_, task)| task.session == socket.session)
                .map(|(tgid, _)| tgid)
                .collect()
        })
    }

    /// No process of the session has the socket open by itself any more. False if that cannot be told.
    pub(super) fn is_abandoned(&mut self, cookie: u64) -> bool {
        self.duplicate(cookie).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }
}
