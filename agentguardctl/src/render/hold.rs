//! Holds: the list, and the page by which a person decides.

use agent_guard_api::{Harm, HoldState, HoldView, ProcessView, hold::ApprovalView};

use super::{
    Millis, RESOURCES_SHOWN,
    text::{duration, flags, list, magnitude, name, plural, relative, retold, says, sentence, utc, word},
};

/// Two lines for each hold.
pub(crate) fn holds(holds: &[HoldView], all: bool, now: Millis) -> String {
    if holds.is_empty() {
        return if all { "no holds are known\n".to_owned() } else { "nothing is held\n".to_owned() };
    }
    holds
        .iter()
        .map(|hold| {
            format!(
                "{}  {}  {}  {}\n    agent says: {}\n",
                name(&hold.id),
                standing(hold, now),
                name(&hold.agent),
                word(&hold.harm),
                retold(&hold.summary),
            )
        })
        .collect()
}

/// Everything that is known of one hold.
pub(crate) fn hold(hold: &HoldView, now: Millis) -> String {
    let mut page = format!("hold {}: {}\n", name(&hold.id), standing(hold, now));
    page.push_str(
        "Text in double quotes was chosen by the agent or repeats its words: it proves nothing.\n\n",
    );
    page.push_str(&request(hold));
    page.push_str(&sender(hold));
    page.push_str(&times(hold, now));
    page.push_str(&decision(hold, now));
    page
}

fn standing(hold: &HoldView, now: Millis) -> String {
    let given = hold.approvals.len();
    let needed = plural(u64::from(hold.approvals_needed), "approval", "approvals");
    match hold.state {
        HoldState::Pending if hold.expires_ms <= now => format!("PENDING, {given} of {needed}, time is up"),
        HoldState::Pending => {
            format!("PENDING, {given} of {needed}, {} left", duration(hold.expires_ms - now))
        }
        HoldState::Approved => "APPROVED, waits for the client to try again".to_owned(),
        HoldState::Released => "RELEASED, the request was delivered".to_owned(),
        HoldState::Denied => "DENIED".to_owned(),
        HoldState::Expired => "EXPIRED, which counts as denied".to_owned(),
    }
}

fn request(hold: &HoldView) -> String {
    let harm = match hold.harm {
        Harm::ReadOnly => "read_only: changes nothing",
        Harm::LowHarm => "low_harm: undone by one obvious call",
        Harm::Unknown => "unknown: nothing says what this does",
        Harm::MediumHarm => "medium_harm: can be put back",
        Harm::Irreversible => "IRREVERSIBLE: cannot be undone",
        Harm::Undecidable => "UNDECIDABLE: the request could not be read",
    };
    let operation = [&hold.provider, &hold.service, &hold.operation].map(|words| says(words)).join(" ");
    let mut page = row("what", &format!("agent says: {}", retold(&hold.summary)));
    page.push_str(&row("operation", &operation));
    page.push_str(&row("harm", harm));
    if !hold.flags.is_empty() {
        page.push_str(&row("flags", &flags(&hold.flags)));
    }
    page.push_str(&row("magnitude", &magnitude(&hold.magnitude)));
    page.push_str(&row("account", &stated(hold.account.as_deref())));
    page.push_str(&row("region", &stated(hold.region.as_deref())));
    page.push_str(&row("host", &says(&hold.host)));
    if hold.resources_total > 0 || !hold.resources.is_empty() {
        let total = hold.resources_total.max(hold.resources.len() as u64);
        page.push_str(&row("resources", &total.to_string()));
        page.push_str(&list(&hold.resources, total, RESOURCES_SHOWN, DEEP, |one| says(one)));
    }
    page.push_str(&row("request", "agent says:"));
    let lines: Vec<&str> = hold.excerpt.lines().collect();
    page.push_str(&list(&lines, lines.len() as u64, EXCERPT_LINES, DEEP, |line| retold(line)));
    page
}

fn stated(words: Option<&str>) -> String {
    words.map_or_else(|| "not stated".to_owned(), says)
}

fn sender(hold: &HoldView) -> String {
    let mut page = row("agent", &format!("{}, session {}", name(&hold.agent), hold.session));
    page.push_str(&row("processes", "the sender, then who started it:"));
    let process = |process: &ProcessView| {
        let ProcessView { pid, command, exe } = process;
        format!("{pid} {}: agent says: {}", says(exe), retold(command))
    };
    page.push_str(&list(&hold.processes, hold.processes.len() as u64, PROCESSES, DEEP, process));
    if hold.before.is_empty() {
        page.push_str(&row("just before", "nothing"));
        return page;
    }
    page.push_str(&row("just before", "newest last, agent says:"));
    // The newest are the ones that matter.
    let skipped = hold.before.len().saturating_sub(BEFORE_LINES);
    if skipped > 0 {
        page.push_str(&format!("{DEEP}({skipped} earlier not shown)\n"));
    }
    let newest = hold.before.get(skipped..).unwrap_or_default();
    page.push_str(&list(newest, newest.len() as u64, BEFORE_LINES, DEEP, |line| retold(line)));
    page
}

fn times(hold: &HoldView, now: Millis) -> String {
    let moment = |at: Millis| format!("{} ({})", relative(at, now), utc(at));
    let mut page = row("held since", &moment(hold.created_ms));
    page.push_str(&row("expires", &moment(hold.expires_ms)));
    let good = match hold.bytes_good_until_ms {
        None => "not known; servers may refuse an old signature".to_owned(),
        Some(until) if until <= now => {
            format!("no longer, since {}: the server will likely refuse them", moment(until))
        }
        Some(until) => format!("for {} (until {})", duration(until - now), utc(until)),
    };
    page.push_str(&row("bytes good", &good));
    let whole = if hold.whole {
        "an approval covers this request, once, also if the client sends it anew"
    } else {
        "the body was not seen whole: an approval covers only these very bytes, no new attempt"
    };
    page.push_str(&row("covers", whole));
    let waiting = match hold.waiting_connections {
        0 => "the client gave up; an approval waits for its next attempt".to_owned(),
        count => plural(u64::from(count), "connection waits", "connections wait"),
    };
    page.push_str(&row("client", &waiting));
    page
}

fn decision(hold: &HoldView, now: Millis) -> String {
    let mut page = row("rule", &name(&hold.rule));
    page.push_str(&row("why", &retold(&hold.why)));
    page.push_str(&row("digest", &name(&hold.digest)));
    page.push_str(&row("approvals", &format!("{} of {}", hold.approvals.len(), hold.approvals_needed)));
    let approval = |approval: &ApprovalView| {
        let ApprovalView { person, at_ms, channel } = approval;
        format!("{}, {} ({}), by {}", name(person), relative(*at_ms, now), utc(*at_ms), sentence(channel))
    };
    page.push_str(&list(&hold.approvals, hold.approvals.len() as u64, APPROVALS, DEEP, approval));
    if let Some(person) = &hold.denied_by {
        page.push_str(&row("denied by", &name(person)));
    }
    if let Some(reason) = &hold.denied_reason {
        page.push_str(&row("reason", &says(reason)));
    }
    if hold.state == HoldState::Pending && hold.expires_ms > now {
        let id = name(&hold.id);
        page.push_str(&format!(
            "\n  agentguardctl approve {id}\n  agentguardctl deny {id} --reason REASON\n"
        ));
    }
    page
}

fn row(label: &str, words: &str) -> String {
    format!("  {label:<12} {words}\n")
}

/// In front of what belongs to a row.
const DEEP: &str = "                 ";
const EXCERPT_LINES: usize = 12;
const PROCESSES: usize = 16;
const BEFORE_LINES: usize = 10;
const APPROVALS: usize = 20;
