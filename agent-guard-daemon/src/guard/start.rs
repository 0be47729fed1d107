//! Bringing everything up in an order in which nothing is enforced half: settings, ledger, kernel half, adoption, API.

use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use agent_guard_api::{audit::AuditKind, status::Finding};
use agent_guard_common::{event::Header, task::Agent};
use agent_guard_core::{
    classify::Routes,
    engine::{self, Engine},
    policy::{self, Policy},
};
use rustix::event::{EventfdFlags, eventfd};
use thiserror::Error;

use super::{Guard, barrier, rules};
use crate::{
    api::{self, ApiThread, JudgeLink, ListenError, Services},
    audit::{Audit, AuditError, AuditThread},
    enforce::{destroy, duplicate::Duplicates, waiting::WaitingSockets},
    ingest::assemble::Assembler,
    judge::{Judge, poison::Poison, restore::ClosedGate},
    kernel::{
        load::{self, Kernel, LoadError},
        maps::MapError,
        pins::Pins,
        probes::{Judged, Prober},
        ring::Ring,
    },
    ledger::{Ledger, LedgerError},
    people::{HostAccounts, People},
    preflight,
    settings::{HoldStyle, Mode, Settings},
};

/// Where things are; from the command line.
#[derive(Clone, Debug)]
pub struct Config {
    pub settings: Settings,
    pub socket: PathBuf,
    pub pin_root: PathBuf,
}

#[derive(Debug, Error)]
pub enum StartError {
    #[error("this host cannot keep the guard's promises:\n{}", .0.iter().map(|finding| format!("  {}: {}; {}", finding.check, finding.finding, finding.remedy)).collect::<Vec<_>>().join("\n"))]
    Host(Vec<Finding>),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Kernel(#[from] LoadError),
    #[error("cannot look for the cgroup v2 root: {0}")]
    Mounts(io::Error),
    #[error("no cgroup v2 hierarchy is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup/unified")]
    NoCgroup,
    #[error("control socket: {0}")]
    Listen(#[from] ListenError),
    #[error("the event ring of the kernel half cannot be opened")]
    NoRing,
    #[error("agents in the kernel half: {0}")]
    Maps(#[from] MapError),
    #[error("inference route: {0}")]
    Route(#[from] agent_guard_core::classify::RouteError),
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
}

/// A guard that is up, with the threads around it.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Started {
    pub guard: Guard,
    pub api: ApiThread,
    pub audit: AuditThread,
    pub log: Audit,
    pub findings: Vec<Finding>,
}

/// Brings the guard up; when this returns, it guards.
///
/// # Errors
/// [`StartError`]; what earlier daemons pinned stays in force.
pub fn start(config: Config) -> Result<Started, StartError> {
    let Config { settings, socket, pin_root } = config;
    let people = People::new(&settings.people, HostAccounts);
    let deciders = people.deciders();
    let findings = host_findings(deciders);
    if preflight::forbids_start(&findings) {
        return Err(StartError::Host(
            findings.into_iter().filter(|f| f.severity == agent_guard_api::status::Severity::Error).collect(),
        ));
    }
    let ledger = Ledger::open(&settings.state_dir)?;
    let (audit, audit_thread) = Audit::start(&settings.audit, settings.state_dir.clone())?;
    let cgroup_root = preflight::cgroup_root().map_err(StartError::Mounts)?.ok_or(StartError::NoCgroup)?;
    let pins = Pins::new(&pin_root);
    raise_descriptor_limit();
    let listener = api::bind(&socket)?; // before anything is enforced that nobody could decide about
    let kernel = load::bring_up(&pins, &cgroup_root)?;
    let adopted = kernel.adopted;
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|errno| StartError::Io { what: "eventfd", source: errno.into() })?;
    let waker = waker(&wake)?;
    let (link, requests) = JudgeLink::new(waker.clone());
    let parts = Parts { settings, cgroup_root, ledger, audit: audit.clone(), kernel, pins, wake, requests };
    let mut guard = assemble(parts, waker)?;
    guard.set_agents()?;
    guard.adopt()?;
    let api = ApiThread::start(
        listener,
        Services {
            judge: link,
            people,
            audit: audit.clone(),
            doctor: Box::new(move || host_findings(deciders)),
        },
    )
    .map_err(|source| StartError::Io { what: "API thread", source })?;
    let kind = if adopted { AuditKind::Adopted } else { AuditKind::Started };
    audit.note(kind, format!("the guard is up; agents: {}", guard.agents.join(", ")));
    Ok(Started { guard, api, audit: audit_thread, log: audit, findings })
}

/// What `assemble` puts together.
struct Parts {
    settings: Settings,
    cgroup_root: PathBuf,
    ledger: Ledger,
    audit: Audit,
    kernel: Kernel,
    pins: Pins,
    wake: OwnedFd,
    requests: tokio::sync::mpsc::Receiver<api::ApiRequest>,
}

fn assemble(parts: Parts, waker: impl Fn() + Clone + Send + Sync + 'static) -> Result<Guard, StartError> {
    let Parts { settings, cgroup_root, mut ledger, audit, kernel, pins, wake, requests } = parts;
    let Kernel { mut maps, write_probe, unbind_probe, adopted: kernel_adopted } = kernel;
    let ring = Ring::new(maps.take_events().ok_or(StartError::NoRing)?);
    let mut routes = Routes::default();
    for route in &settings.inference_routes {
        routes.add(&route.host, &route.method, route.path.as_str())?;
    }
    let boot = boot_id();
    ledger.forget_other_boots(&boot)?;
    let poison = Poison::open(&settings.state_dir, &boot)
        .map_err(|source| StartError::Io { what: "decoding marker", source })?;
    let next_session = ledger.next_session_number()?;
    let agents = rules::agent_names(&settings, &mut ledger, kernel_adopted)?;
    let judge = Judge::new(
        Engine::new(engine_settings(&settings), Policy::builtin()),
        Policy::builtin(),
        routes,
        ledger,
        audit.clone(),
        poison,
        boot,
    );
    let prober = Prober::new(write_probe, unbind_probe, pins.clone());
    let judged_files = Arc::new(Mutex::new(Judged::default()));
    prober.adopt(&mut judged_files.lock().unwrap_or_else(PoisonError::into_inner));
    let (scans, scanned) = start_prober(prober, Arc::clone(&judged_files), waker)?;
    Ok(Guard {
        losses: maps.losses(),
        maps,
        ring,
        pins,
        agents,
        settings,
        cgroup_root,
        judge,
        audit,
        assembler: Assembler::default(),
        duplicates: Duplicates::default(),
        waiting: WaitingSockets::default(),
        processes: super::Processes::default(),
        stopped: super::Stopped::default(),
        judged_files,
        scans,
        scanned,
        held_hellos: Vec::new(),
        addresses: HashMap::new(),
        requests,
        wake,
        broken: HashSet::new(),
        drains: 0,
        suspects: HashMap::new(),
        next_sweep: Instant::now() + Duration::from_millis(500),
        next_session: next_session << 20,
        started_ms: crate::judge::now().0,
        opaque_refused: 0,
        findings: Vec::new(),
        ending: None,
    })
}

/// The thread that judges files: its orders and its answers.
type ProberEnds = (mpsc::Sender<barrier::Scan>, mpsc::Receiver<barrier::Scanned>);

fn start_prober(
    prober: Prober,
    judged: Arc<Mutex<Judged>>,
    waker: impl Fn() + Send + 'static,
) -> Result<ProberEnds, StartError> {
    let (scans, to_scan) = mpsc::channel();
    let (done, scanned) = mpsc::channel();
    std::thread::Builder::new()
        .name("prober".to_owned())
        .spawn(move || barrier::scan_forever(prober, &judged, &to_scan, &done, &waker))
        .map_err(|source| StartError::Io { what: "prober thread", source })?;
    Ok((scans, scanned))
}

impl Guard {
    fn set_agents(&mut self) -> Result<(), StartError> {
        for index in (0u32..).take(self.agents.len()) {
            self.maps.set_agent(index, self.agent_flags(index))?;
        }
        let rules = rules::kernel_rules(&self.settings, &self.agents, &self.cgroup_root);
        self.maps.set_rules(&rules.uids, &rules.cgroups, &rules.exes)?;
        self.enrol_running(&rules);
        self.findings.extend(rules.findings);
        Ok(())
    }

    /// Takes over what an earlier daemon left: holds, closed gates, stopped processes.
    fn adopt(&mut self) -> Result<(), StartError> {
        let mut gates = Vec::new();
        for (cookie, socket) in self.maps.sockets() {
            let released = self.maps.released(cookie).map_or(0, |words| words.released);
            if socket.gated > released {
                let header = Header {
                    tgid: socket.tgid,
                    session: socket.session,
                    agent: socket.agent,
                    ..Header::default()
                };
                gates.push(ClosedGate {
                    cookie,
                    gated: socket.gated,
                    released,
                    origin: self.origin(&header),
                });
            }
        }
        self.adopt_stopped()?;
        let commands = self.judge.restore(&gates)?;
        self.execute(commands);
        self.resume_unwanted();
        Ok(())
    }

    /// The end of a guard that is being removed: nothing is sent by that, nothing is left stopped.
    ///
    /// First every agent is cut off (connects refused, nothing new leaves), so that nothing is gated any more while the
    /// rest goes; then what is held is refused; what was cut off in the middle of sending is broken; the egress drop is
    /// the last to be removed.
    pub(super) fn remove(&mut self, reason: &str) {
        let sent_before: HashMap<u64, u64> =
            self.maps.sockets().into_iter().map(|(cookie, socket)| (cookie, socket.held_packets)).collect();
        for index in (0u32..).take(self.agents.len()) {
            if let Err(error) = self.maps.set_agent(index, Agent::KNOWN | Agent::FROZEN) {
                tracing::error!(%error, "an agent could not be cut off before the removal");
            }
        }
        let commands = self.judge.refuse_all(reason);
        self.execute(commands);
        self.resume_all();
        for (cookie, socket) in self.maps.sockets() {
            let closed = socket.gated > self.maps.released(cookie).map_or(0, |words| words.released);
            let cut_off = sent_before.get(&cookie).is_none_or(|before| socket.held_packets > *before);
            if closed || cut_off {
                self.destroy(cookie);
            }
        }
        if let Err(error) = self.pins.remove() {
            tracing::error!(%error, "not every pin could be removed; remove them by hand");
        }
        self.audit.note(AuditKind::Stopped, format!("the guard was removed: {reason}"));
    }
}

fn engine_settings(settings: &Settings) -> engine::Settings {
    let agents = settings.agents.iter().map(|(name, rule)| {
        let mode = if rule.mode == Mode::Observe { policy::Mode::Observe } else { policy::Mode::Enforce };
        let hold = match rule.hold {
            HoldStyle::Connection => engine::HoldStyle::Connection,
            HoldStyle::Process => engine::HoldStyle::Process,
        };
        (name.clone(), engine::AgentSettings { mode, hold })
    });
    engine::Settings {
        hold_expires_ms: u64::try_from(settings.holds.expires.as_millis()).unwrap_or(u64::MAX),
        agents: agents.collect(),
        max_open_holds_per_session: settings.holds.max_open_per_session,
    }
}

fn waker(wake: &OwnedFd) -> Result<impl Fn() + Clone + Send + Sync + 'static, StartError> {
    let clone = wake.try_clone().map_err(|source| StartError::Io { what: "eventfd", source })?;
    let clone = Arc::new(clone);
    Ok(move || {
        // Full means that it is readable already.
        let _written = rustix::io::write(&*clone, &1u64.to_ne_bytes());
    })
}

fn host_findings(deciders: usize) -> Vec<Finding> {
    let destroy = |stream: &std::net::TcpStream| {
        let cookie = rustix::net::sockopt::socket_cookie(stream)?;
        destroy::destroy(stream, cookie)
    };
    preflight::check(&preflight::Inputs {
        root: std::path::Path::new("/"),
        accounts: &HostAccounts,
        deciders,
        destroy: Some(&destroy),
    })
}

/// A hold costs a descriptor: as many as the host allows.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// Tells one boot from another: cookies and pids are unique only within one.
pub(super) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
