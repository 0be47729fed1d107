//! One request: read it, find out who asks, check what that person may, ask the judge.

use std::{sync::Arc, time::Duration};

use agent_guard_api::{
    Action, ActionError, ErrorKind,
    audit::{AUDIT_VERSION, AuditKind, AuditRecord},
    routes::Route,
    status::{Counters, Finding, Status},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    Place, Server,
    answer::{self, AnswerBody, error, failure, unavailable},
    channel::{ApiRequest, PeerIdentity},
    peer::Peer,
    stream::Senders,
};

/// A request with its connection.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) server: Arc<Server>,
    pub(super) peer: Result<Arc<Peer>, String>,
    pub(super) senders: Arc<Senders>,
    pub(super) place: Arc<Place>,
}

/// What the caller is.
enum Caller {
    /// A process of an agent's session, which sees no more than that session.
    Agent {
        session: u64,
    },
    Other {
        identity: PeerIdentity,
        may_read: Result<(), ActionError>,
        may_decide: Result<(), ActionError>,
    },
}

impl Call {
    /// The answer, whatever happens: a panic ends this request and nothing else.
    pub(super) async fn answer(self, request: Request<Incoming>) -> Response<AnswerBody> {
        match tokio::spawn(async move { self.route(request).await }).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => failure(&error),
            Err(ended) => {
                tracing::error!("a request on the control socket ended in a panic: {ended}");
                failure(&unavailable(
                    "the daemon made a mistake with this request; please report it, with its log",
                ))
            }
        }
    }

    async fn route(self, request: Request<Incoming>) -> Result<Response<AnswerBody>, ActionError> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let route = Route::parse(request.method().as_str(), target)?;
        let body = read_body(request).await?;
        let caller = self.caller().await?;
        match route {
            Route::Actions => self.act(caller, &body).await,
            Route::Status => self.status(caller).await,
            Route::Holds { all } => {
                caller.reader()?;
                let holds = self.ask(|reply| ApiRequest::Holds { all, reply }).await?;
                Ok(answer::json(&holds))
            }
            Route::Hold { id } => {
                caller.reader()?;
                let asked = id.clone();
                match self.ask(|reply| ApiRequest::Hold { id, reply }).await? {
                    Some(hold) => Ok(answer::json(&hold)),
                    None => Err(error(
                        ErrorKind::NotFound,
                        format!("no hold has the id {asked}; agentguardctl holds lists them"),
                    )),
                }
            }
            Route::Log { lines, follow } => {
                caller.reader()?;
                self.log(lines as usize, follow)
            }
            Route::Doctor => {
                caller.reader()?;
                self.doctor().await.map(|findings| answer::json(&findings))
            }
        }
    }

    /// Who asks. Looked up when the whole request is here, so that all of its senders are known.
    async fn caller(&self) -> Result<Caller, ActionError> {
        let peer = self.peer.clone().map_err(|message| error(ErrorKind::Forbidden, message))?;
        let still =
            |peer: &Peer| peer.still_there().map_err(|gone| error(ErrorKind::Forbidden, gone.to_string()));
        if self.senders.foreign() {
            return Err(error(
                ErrorKind::Forbidden,
                "another process than the one that connected sent this request; connect anew, do not pass the socket on",
            ));
        }
        let pid = peer.cred.pid;
        let session = self.ask(|reply| ApiRequest::SessionOf { pid, reply }).await?;
        still(&peer)?;
        if let Some(session) = session {
            return Ok(Caller::Agent { session });
        }
        let services = Arc::clone(&self.server.services);
        let looked_up = tokio::task::spawn_blocking(move || {
            let people = &services.people;
            let person = people.identify(&peer.cred, peer.loginuid, &|_| None);
            let may_read = people.may_read(&peer.cred);
            let may_decide = match &person {
                Ok(person) => people.may_decide(person, &peer.cred, peer.loginuid),
                Err(error) => Err(error.clone()),
            };
            let identity = PeerIdentity {
                uid: peer.cred.uid,
                pid: peer.cred.pid,
                start_ticks: peer.start_ticks,
                person: person.ok(),
            };
            Caller::Other { identity, may_read, may_decide }
        });
        match tokio::time::timeout(LOOKUP, looked_up).await {
            Ok(Ok(caller)) => Ok(caller),
            Ok(Err(_)) | Err(_) => Err(unavailable(
                "this host's user database does not answer; check nsswitch.conf and try again",
            )),
        }
    }

    async fn status(&self, caller: Caller) -> Result<Response<AnswerBody>, ActionError> {
        let own = match &caller {
            Caller::Agent { session } => Some(*session),
            Caller::Other { .. } => None,
        };
        if own.is_none() {
            caller.reader()?;
        }
        let status = self.ask(|reply| ApiRequest::Status { reply }).await?;
        Ok(answer::json(&match own {
            Some(session) => only_session(status, session),
            None => status,
        }))
    }

    async fn act(&self, caller: Caller, body: &[u8]) -> Result<Response<AnswerBody>, ActionError> {
        let action: Action = serde_json::from_slice(body).map_err(|problem| {
            error(
                ErrorKind::Malformed,
                format!("the body is no action ({problem}); see agent-guard-api, action.rs"),
            )
        })?;
        let (identity, allowed) = caller.allows(&action, &self.peer);
        let outcome = match allowed {
            Ok(()) => {
                let (peer, asked) = (Box::new(identity.clone()), action.clone());
                self.ask(|reply| ApiRequest::Act { peer, action: asked, reply })
                    .await
                    .and_then(|outcome| outcome)
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(outcome) => Ok(answer::json(&outcome)),
            Err(error) => {
                self.server.refusals.record(&self.server.services.audit, &identity, &action, &error);
                Err(error)
            }
        }
    }

    fn log(&self, lines: usize, follow: bool) -> Result<Response<AnswerBody>, ActionError> {
        let audit = &self.server.services.audit;
        if !follow {
            let bytes: Vec<u8> = audit.recent(lines).iter().flat_map(|record| line(record)).collect();
            return Ok(answer::lines(AnswerBody::Whole(Some(bytes.into()))));
        }
        let Ok(permit) = Arc::clone(&self.server.follows).try_acquire_owned() else {
            return Err(unavailable(
                "too many logs are being followed; end one (agentguardctl log --follow)",
            ));
        };
        let (past, records) = audit.follow(lines);
        let (sender, receiver) = mpsc::channel(64);
        let place = Arc::clone(&self.place);
        place.endless.store(true, std::sync::atomic::Ordering::Relaxed);
        tokio::spawn(async move {
            let first: Vec<u8> = past.iter().flat_map(|record| line(record)).collect();
            drop(past);
            forward(first.into(), records, sender).await;
            drop((permit, place));
        });
        Ok(answer::lines(AnswerBody::Lines(receiver)))
    }

    async fn doctor(&self) -> Result<Vec<Finding>, ActionError> {
        let busy = || unavailable("the check of this host takes too long; try again");
        let Ok(one) = tokio::time::timeout(DOCTOR, self.server.doctor.lock()).await else {
            return Err(busy());
        };
        let services = Arc::clone(&self.server.services);
        let check = tokio::task::spawn_blocking(move || (services.doctor)());
        let findings = tokio::time::timeout(DOCTOR, check).await;
        drop(one);
        match findings {
            Ok(Ok(findings)) => Ok(findings),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> ApiRequest) -> Result<T, ActionError> {
        let (reply, answer) = oneshot::channel();
        self.server.services.judge.ask(request(reply)).map_err(|gone| unavailable(&gone.to_string()))?;
        match tokio::time::timeout(JUDGE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(unavailable(
                "the daemon did not answer in time; look at the state with agentguardctl status, then try again",
            )),
        }
    }
}

impl Caller {
    fn reader(&self) -> Result<(), ActionError> {
        match self {
            Caller::Agent { session } => Err(agents_only_read(*session)),
            Caller::Other { may_read, identity: _, may_decide: _ } => may_read.clone(),
        }
    }

    /// Who asks, and whether this caller may ask for this action at all.
    fn allows(
        self,
        action: &Action,
        peer: &Result<Arc<Peer>, String>,
    ) -> (PeerIdentity, Result<(), ActionError>) {
        match self {
            Caller::Agent { session } => {
                let (uid, pid, start_ticks) = peer
                    .as_ref()
                    .map_or((u32::MAX, 0, 0), |peer| (peer.cred.uid, peer.cred.pid, peer.start_ticks));
                (PeerIdentity { uid, pid, start_ticks, person: None }, Err(agents_only_read(session)))
            }
            Caller::Other { identity, may_decide, may_read: _ } => {
                let allowed = match action {
                    Action::Approve { .. } | Action::Deny { .. } => may_decide,
                    // Puts the caller under guard, which takes rights away and gives none.
                    Action::Enrol { .. } => Ok(()),
                    Action::Remove { .. } if identity.uid == 0 => Ok(()),
                    Action::Remove { .. } => {
                        Err(error(ErrorKind::Forbidden, "only root may remove the guard: use sudo"))
                    }
                };
                (identity, allowed)
            }
        }
    }
}

fn agents_only_read(session: u64) -> ActionError {
    let message =
        format!("this process belongs to agent session {session}: it may read its session's status, no more");
    error(ErrorKind::Forbidden, message)
}

/// What a process of `session` may see of the status.
fn only_session(status: Status, session: u64) -> Status {
    let sessions: Vec<_> = status.sessions.into_iter().filter(|one| one.id == session).collect();
    let agents = status.agents.into_iter().filter(|agent| sessions.iter().any(|one| one.agent == agent.name));
    Status {
        agents: agents
            .map(|mut agent| {
                agent.sessions = 1;
                agent
            })
            .collect(),
        sessions,
        pending_holds: 0,
        probed_files: Vec::new(),
        counters: Counters::default(),
        findings: Vec::new(),
        ..status
    }
}

async fn read_body(request: Request<Incoming>) -> Result<Bytes, ActionError> {
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    match tokio::time::timeout(super::READ, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(problem)) if problem.is::<LengthLimitError>() => {
            Err(error(ErrorKind::Malformed, "the body is larger than 64 KiB, which no action is"))
        }
        Ok(Err(problem)) => Err(error(ErrorKind::Malformed, format!("the body cannot be read: {problem}"))),
        Err(_) => {
            Err(error(ErrorKind::Malformed, "the body did not arrive within 5 seconds; send it at once"))
        }
    }
}

/// Sends records as they come until the reader goes away or the audit ends.
async fn forward(
    first: Bytes,
    mut records: broadcast::Receiver<Arc<AuditRecord>>,
    sender: mpsc::Sender<Bytes>,
) {
    let mut next = first;
    loop {
        if !next.is_empty() && !matches!(tokio::time::timeout(STALL, sender.send(next)).await, Ok(Ok(()))) {
            return;
        }
        next = tokio::select! {
            () = sender.closed() => return,
            record = tokio::time::timeout(ALIVE, records.recv()) => match record {
                Ok(Ok(record)) => line(&record).into(),
                Ok(Err(broadcast::error::RecvError::Lagged(count))) => line(&missed(count)).into(),
                Ok(Err(broadcast::error::RecvError::Closed)) => return,
                Err(_) => Bytes::from_static(b"\n"),
            },
        };
    }
}

fn line(record: &AuditRecord) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Said to a reader who was too slow; the record itself has everything.
fn missed(count: u64) -> AuditRecord {
    AuditRecord {
        version: AUDIT_VERSION,
        at_ms: crate::audit::now_ms(),
        kind: AuditKind::Loss,
        message: format!(
            "this view missed {count} records because it read too slowly; they are in the audit itself"
        ),
        agent: None,
        session: None,
        pid: None,
        hold: None,
        person: None,
        request: None,
        rule: None,
        why: None,
        count: Some(count),
    }
}

/// Largest body of an action, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// How long the judge may take; it answers within milliseconds.
const JUDGE: Duration = Duration::from_secs(10);

const LOOKUP: Duration = Duration::from_secs(10);

const DOCTOR: Duration = Duration::from_secs(30);

/// A quiet log shows that it is alive, and notices readers who went away.
const ALIVE: Duration = Duration::from_secs(15);

/// A reader that takes nothing for this long is let go.
const STALL: Duration = Duration::from_secs(60);
