//! The daemon's state: first what needs a person, then what is guarded, then the counts.

use agent_guard_api::status::{AgentStatus, Counters, ProbedFile, SessionStatus, Status};

use super::{
    Millis,
    text::{duration, list, name, plural, relative, retold, says, sentence},
};

pub(crate) fn status(status: &Status, now: Millis) -> String {
    let Status {
        version,
        abi,
        started_ms,
        pid,
        agents,
        sessions,
        pending_holds,
        probed_files,
        counters,
        findings,
    } = status;
    let running = duration(now.saturating_sub(*started_ms));
    let mut page =
        format!("agent-guardd {} (pid {pid}, kernel ABI {abi}), running for {running}\n", name(version));
    page.push_str(&match pending_holds {
        0 => "nothing is held\n".to_owned(),
        count => {
            format!(
                "{} for people: agentguardctl holds\n",
                plural(u64::from(*count), "hold waits", "holds wait")
            )
        }
    });
    page.push_str(&section("findings", findings, |finding| sentence(finding)));
    page.push_str(&section("agents", agents, |AgentStatus { name: agent, mode, sessions }| {
        format!("{}: {}, {}", name(agent), name(mode), plural(u64::from(*sessions), "session", "sessions"))
    }));
    page.push_str(&section("sessions", sessions, |session| session_line(session, now)));
    page.push_str(&section("probed files", probed_files, |ProbedFile { path, functions }| {
        let shown: Vec<String> = functions.iter().take(FUNCTIONS).map(|function| name(function)).collect();
        let more = functions.len().saturating_sub(FUNCTIONS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}: {}{more}", says(path), shown.join(", "))
    }));
    page.push_str(&counts(counters));
    page
}

fn session_line(session: &SessionStatus, now: Millis) -> String {
    let SessionStatus { id, agent, root_pid, command, processes, started_ms } = session;
    format!(
        "{id} of {}: pid {root_pid}, {}, started {}, agent says: {}",
        name(agent),
        plural(u64::from(*processes), "process", "processes"),
        relative(*started_ms, now),
        retold(command),
    )
}

fn counts(counters: &Counters) -> String {
    let Counters {
        writes_seen,
        fast_path,
        gated,
        packets_held,
        lost_ring_full,
        lost_copy_fault,
        lost_no_slot,
        plaintext_connections,
        requests_allowed,
        requests_held,
        requests_denied,
        requests_undecidable,
        opaque_refused,
    } = counters;
    format!(
        "requests: {requests_allowed} allowed, {requests_held} held, {requests_denied} denied, \
         {requests_undecidable} undecidable\n\
         writes: {writes_seen} seen, {gated} gated, {fast_path} on the fast path; {packets_held} packets held back\n\
         not seen: {lost_ring_full} (ring full), {lost_copy_fault} (copy failed), {lost_no_slot} (no slot free); \
         all stayed gated\n\
         unreadable connections: {opaque_refused} refused; plaintext connections, not judged: {plaintext_connections}\n"
    )
}

fn section<T>(title: &str, items: &[T], item: impl Fn(&T) -> String) -> String {
    if items.is_empty() {
        return format!("{title}: none\n");
    }
    format!("{title}:\n{}", list(items, items.len() as u64, ITEMS, "  ", item))
}

/// A host with more has `--json`.
const ITEMS: usize = 200;
const FUNCTIONS: usize = 16;
