//! Who reads the record and who can decide.

use agent_guard_api::status::Finding;

use super::{Host, Inputs, ok, warning};
use crate::people::{APPROVERS, READERS};

pub(super) fn check(host: &Host<'_>, inputs: &Inputs<'_>) -> Vec<Finding> {
    vec![journald(host), readers(inputs), approvers(inputs), deciders(inputs.deciders)]
}

fn journald(host: &Host<'_>) -> Finding {
    if host.exists("/run/systemd/journal/socket") {
        return ok("journald", "the record goes to the journal");
    }
    if host.exists("/run/systemd/journal") {
        return warning(
            "journald",
            "journald is away at the moment",
            "records wait in the state directory and are delivered in order when it is back",
            "systemctl start systemd-journald",
        );
    }
    ok("journald", "no journald on this host: the record goes to audit.jsonl in the state directory")
}

fn readers(inputs: &Inputs<'_>) -> Finding {
    match inputs.accounts.group_id(READERS) {
        Some(gid) => ok("group_readers", format!("{READERS} is gid {gid}")),
        None => warning(
            "group_readers",
            format!("this host has no group {READERS}"),
            "only root and the people of the table can read holds and the log",
            "groupadd --system agent-guard",
        ),
    }
}

fn approvers(inputs: &Inputs<'_>) -> Finding {
    match inputs.accounts.group_id(APPROVERS) {
        Some(gid) => ok("group_approvers", format!("{APPROVERS} is gid {gid}: only its members decide")),
        None => warning(
            "group_approvers",
            format!("this host has no group {APPROVERS}"),
            "everybody in the people table may approve and deny, and nobody else",
            "groupadd --system agent-guard-approvers, then usermod -aG agent-guard-approvers for each who decides",
        ),
    }
}

fn deciders(count: usize) -> Finding {
    if count >= 2 {
        return ok("people", format!("{count} different people can decide"));
    }
    warning(
        "people",
        match count {
            0 => "nobody in the people table can decide".to_owned(),
            _ => "only one person in the people table can decide".to_owned(),
        },
        "a hold that needs two people is released by nobody unless their logins are known to the kernel's audit; \
         it expires as denied",
        "add [people.NAME] uids = [..] for at least two people to /etc/agent-guard/agent-guard.toml",
    )
}
