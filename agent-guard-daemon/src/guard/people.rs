//! What people ask through the API.

use agent_guard_api::{
    Action, ActionError, ErrorKind, Outcome,
    audit::AuditKind,
    status::{AgentStatus, Counters, SessionStatus, Status},
};
use agent_guard_core::effect::Input;

use super::{Ending, Guard};
use crate::{
    api::{ApiRequest, PeerIdentity},
    enforce::processes::state,
    settings::Mode,
};

impl Guard {
    pub(super) fn take_requests(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            // Whoever asked and does not wait for the answer any more loses nothing.
            match request {
                ApiRequest::Status { reply } => drop(reply.send(self.status())),
                ApiRequest::Holds { all, reply } => drop(reply.send(self.judge.holds(all))),
                ApiRequest::Hold { id, reply } => drop(reply.send(self.judge.hold(&id))),
                ApiRequest::SessionOf { pid, reply } => {
                    let _asker_left = reply.send(self.maps.task(pid).map(|task| task.session));
                }
                ApiRequest::Act { peer, action, reply } => drop(reply.send(self.act(&peer, action))),
            }
        }
    }

    fn act(&mut self, peer: &PeerIdentity, action: Action) -> Result<Outcome, ActionError> {
        if self.ending.is_some() {
            let message = "the guard is ending".to_owned();
            return Err(ActionError { kind: ErrorKind::Unavailable, message });
        }
        match (action, peer.person.clone()) {
            (Action::Approve { hold }, Some(person)) => {
                // What went away in this moment must not be delivered.
                self.take_events();
                self.look_after_clients();
                self.decide(Input::Approve { hold, person })
            }
            (Action::Deny { hold, reason }, Some(person)) => {
                self.decide(Input::Deny { hold, person, reason })
            }
            (Action::Approve { .. } | Action::Deny { .. }, None) => Err(ActionError {
                kind: ErrorKind::Forbidden,
                message: "only a known person can decide".to_owned(),
            }),
            (Action::Enrol { agent }, _) => self.enrol(peer, &agent),
            (Action::Remove { reason }, _) => {
                self.ending = Some(Ending::Remove { reason });
                Ok(Outcome::Removing)
            }
        }
    }

    fn decide(&mut self, input: Input) -> Result<Outcome, ActionError> {
        let (outcome, commands) = self.judge.act(input);
        self.execute(commands);
        outcome
    }

    fn enrol(&mut self, peer: &PeerIdentity, agent: &str) -> Result<Outcome, ActionError> {
        self.settings.agent(agent)?;
        let conflict = |message: String| ActionError { kind: ErrorKind::Conflict, message };
        if let Some(task) = self.maps.task(peer.pid) {
            return Err(conflict(format!("pid {} belongs to session {} already", peer.pid, task.session)));
        }
        let now = state(peer.pid).filter(|state| state.process.start_ticks == peer.start_ticks);
        if now.is_none_or(|state| state.is_kernel_thread) || peer.pid <= 1 || peer.pid == std::process::id() {
            return Err(conflict(format!("pid {} cannot be put under guard", peer.pid)));
        }
        let index =
            self.agents.iter().position(|name| name == agent).and_then(|index| u32::try_from(index).ok());
        let Some(index) = index else {
            return Err(conflict(format!("agent {agent} is not active; restart the guard")));
        };
        let task = self.new_session(peer.pid, index);
        self.maps.enrol(peer.pid, &task).map_err(|error| ActionError {
            kind: ErrorKind::Unavailable,
            message: format!("the kernel half cannot take one more process: {error}"),
        })?;
        if state(peer.pid).is_none_or(|state| state.process.start_ticks != peer.start_ticks) {
            self.maps.dismiss(peer.pid); // it ended meanwhile, and the entry would stay for whoever gets its pid
            return Err(conflict(format!("pid {} ended", peer.pid)));
        }
        let origin = crate::report::Origin {
            tgid: peer.pid,
            session: task.session,
            agent: agent.to_owned(),
            processes: Vec::new(),
            observed: false,
            released: 0,
        };
        let message = format!(
            "session {} of agent {agent} began: pid {} of uid {} enrolled",
            task.session, peer.pid, peer.uid
        );
        self.note(AuditKind::SessionStarted, &origin, message);
        Ok(Outcome::Enrolled { agent: agent.to_owned(), session: task.session })
    }

    fn status(&mut self) -> Status {
        let tasks = self.maps.tasks();
        let mut sessions: std::collections::BTreeMap<u64, SessionStatus> = std::collections::BTreeMap::new();
        for (_, task) in &tasks {
            let entry = sessions.entry(task.session).or_insert_with(|| SessionStatus {
                id: task.session,
                agent: self.agent_name(task.agent),
                root_pid: task.root,
                command: String::new(),
                processes: 0,
                started_ms: 0,
            });
            entry.processes += 1;
        }
        for session in sessions.values_mut() {
            let command = self.processes.up_to(session.root_pid, session.root_pid).into_iter().next();
            session.command = command.map(|process| process.command).unwrap_or_default();
        }
        let agents = self.settings.agents.iter().map(|(name, rule)| AgentStatus {
            name: name.clone(),
            mode: if rule.mode == Mode::Observe { "observe".to_owned() } else { "enforce".to_owned() },
            sessions: u32::try_from(sessions.values().filter(|session| session.agent == *name).count())
                .unwrap_or(u32::MAX),
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            abi: u32::from(agent_guard_common::ABI_VERSION),
            started_ms: self.started_ms,
            pid: std::process::id(),
            agents: agents.collect(),
            pending_holds: u32::try_from(self.judge.holds(false).len()).unwrap_or(u32::MAX),
            probed_files: self
                .judged_files
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .probed(),
            counters: self.counters(),
            findings: self.findings.clone(),
            sessions: sessions.into_values().collect(),
        }
    }

    fn counters(&self) -> Counters {
        let verdicts = self.judge.counters();
        Counters {
            requests_allowed: verdicts.requests_allowed,
            requests_held: verdicts.requests_held,
            requests_denied: verdicts.requests_denied,
            requests_undecidable: verdicts.requests_undecidable,
            opaque_refused: self.opaque_refused,
            ..self.maps.counters()
        }
    }
}
