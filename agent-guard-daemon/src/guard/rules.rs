//! Agents' rules in the kernel half's terms, and processes that were there before the guard.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use agent_guard_common::{
    event::Header,
    task::{Agent, ExeKey, Task},
};

use super::Guard;
use crate::{
    enforce::processes::state,
    ledger::{Ledger, LedgerError},
    settings::{AgentRule, Matcher, Mode, Opaque, Settings},
};

/// Rules that the kernel half matches at exec.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KernelRules {
    pub(super) uids: Vec<(u32, u32)>,
    pub(super) cgroups: Vec<(u64, u32)>,
    pub(super) exes: Vec<(ExeKey, u32)>,
    /// What could not be expressed, in words.
    pub(super) findings: Vec<String>,
}

/// Names of the agents by their index in the kernel half. Pinned entries hold the index, so while pins are adopted a
/// name keeps its index for good: new ones are added behind.
pub(super) fn agent_names(
    settings: &Settings,
    ledger: &mut Ledger,
    adopted: bool,
) -> Result<Vec<String>, LedgerError> {
    let kept = if adopted { ledger.meta(AGENTS)? } else { None };
    let mut names: Vec<String> = kept.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
    for name in settings.agents.keys() {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    ledger.set_meta(AGENTS, &serde_json::to_string(&names).unwrap_or_default())?;
    Ok(names)
}

/// Key of the ledger's meta table.
const AGENTS: &str = "agent-indexes";

/// Flags of an agent in the kernel half.
pub(super) fn flags(rule: &AgentRule) -> u32 {
    let observed = if rule.mode == Mode::Observe { Agent::OBSERVE } else { 0 };
    let opaque = if rule.opaque == Opaque::Allow { Agent::OPAQUE } else { 0 };
    Agent::KNOWN | observed | opaque
}

/// Translates the settings. Looks up files and cgroups as they are now.
pub(super) fn kernel_rules(settings: &Settings, names: &[String], cgroup_root: &Path) -> KernelRules {
    let mut rules = KernelRules::default();
    let known =
        (0u32..).zip(names).filter_map(|(index, name)| Some((index, settings.agents.get_key_value(name)?)));
    for (index, (name, rule)) in known {
        for matcher in &rule.matchers {
            rules.add(name, index, matcher, cgroup_root);
        }
    }
    rules
}

impl KernelRules {
    fn add(&mut self, agent: &str, index: u32, matcher: &Matcher, cgroup_root: &Path) {
        match matcher {
            Matcher::User { uid, .. } => self.uids.push((*uid, index)),
            Matcher::Exe(path) => match fs::metadata(path) {
                Ok(data) => {
                    let (major, minor) = (libc::major(data.dev()), libc::minor(data.dev()));
                    self.exes.push((ExeKey { inode: data.ino(), dev: major << 20 | minor, reserved: 0 }, index));
                }
                Err(error) => self.findings.push(format!(
                    "agent {agent}: the executable {} cannot be looked up ({error}); it matches nothing until a reload finds it",
                    path.display()
                )),
            },
            Matcher::Cgroup(path) => self.add_cgroup(agent, index, &cgroup_root.join(path.strip_prefix("/").unwrap_or(path))),
            Matcher::Unit(unit) => {
                let found = find_units(cgroup_root, unit);
                if found.is_empty() {
                    self.findings.push(format!(
                        "agent {agent}: no cgroup of unit {unit} is there now; it is looked for again every few seconds"
                    ));
                }
                for path in found {
                    self.add_cgroup(agent, index, &path);
                }
            }
            Matcher::Command(glob) => self.findings.push(format!(
                "agent {agent}: the rule by command line {:?} is matched after the program has started, and only at start \
                 of the guard in this version; match by user, cgroup or exe instead",
                glob.as_str()
            )),
        }
    }

    fn add_cgroup(&mut self, agent: &str, index: u32, path: &Path) {
        // The inode number of a cgroup v2 directory is its id (kernfs).
        match fs::metadata(path) {
            Ok(data) => self.cgroups.push((data.ino(), index)),
            Err(error) => self.findings.push(format!("agent {agent}: cgroup {}: {error}", path.display())),
        }
    }
}

/// Cgroup directories of a unit; `name@.service` stands for all instances.
fn find_units(root: &Path, unit: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((directory, depth)) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_instance = unit.split_once("@.").is_some_and(|(template, suffix)| {
                name.strip_prefix(template)
                    .is_some_and(|rest| rest.starts_with('@') && rest.ends_with(suffix))
            });
            if name == unit || is_instance {
                found.push(entry.path());
            } else if depth < 8 {
                open.push((entry.path(), depth + 1));
            }
        }
    }
    found
}

impl Guard {
    pub(super) fn agent_flags(&self, index: u32) -> u32 {
        let name = self.agents.get(index as usize);
        name.and_then(|name| self.settings.agents.get(name)).map_or(Agent::KNOWN, flags)
    }

    /// Puts processes under guard that match a rule and were there before. Their children inherit from here on; until
    /// two looks in a row find nothing new, a child may have been born in between.
    pub(super) fn enrol_running(&mut self, rules: &KernelRules) {
        for _ in 0..5 {
            if self.enrol_once(rules) == 0 {
                return;
            }
        }
    }

    fn enrol_once(&mut self, rules: &KernelRules) -> usize {
        let Ok(entries) = fs::read_dir("/proc") else { return 0 };
        let processes: Vec<u32> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        let parents: HashMap<u32, u32> = processes
            .iter()
            .filter_map(|tgid| state(*tgid))
            .map(|state| (state.process.tgid, state.parent))
            .collect();
        let mut enrolled = 0;
        for tgid in processes {
            if tgid <= 1 || tgid == std::process::id() || self.maps.task(tgid).is_some() {
                continue;
            }
            let inherited = ancestors(tgid, &parents).find_map(|parent| self.maps.task(parent));
            let task = match (inherited, self.matching(tgid, rules)) {
                (Some(parent), _) => parent,
                (None, Some(agent)) => self.new_session(tgid, agent),
                (None, None) => continue,
            };
            let before = state(tgid);
            if self.maps.enrol(tgid, &task).is_ok() {
                enrolled += 1;
            }
            if state(tgid).map(|now| now.process) != before.map(|before| before.process) {
                self.maps.dismiss(tgid); // it ended meanwhile, and the entry would stay for whoever gets its pid
            }
        }
        enrolled
    }

    pub(super) fn new_session(&mut self, tgid: u32, agent: u32) -> Task {
        // Even numbers are the daemon's, odd ones the kernel half's.
        self.next_session += 1;
        let start_ns = state(tgid).map_or(0, |state| state.process.start_ticks.saturating_mul(10_000_000));
        Task { session: self.next_session * 2, start_ns, agent, root: tgid, image: 1, slots: 0 }
    }

    fn matching(&self, tgid: u32, rules: &KernelRules) -> Option<u32> {
        let process = state(tgid).filter(|state| !state.is_kernel_thread)?;
        let uid = real_uid(process.process.tgid)?;
        if let Some((_, agent)) = rules.uids.iter().find(|(rule, _)| *rule == uid) {
            return Some(*agent);
        }
        if let Ok(data) = fs::metadata(format!("/proc/{tgid}/exe")) {
            let dev = libc::major(data.dev()) << 20 | libc::minor(data.dev());
            let found = rules.exes.iter().find(|(key, _)| key.inode == data.ino() && key.dev == dev);
            if let Some((_, agent)) = found {
                return Some(*agent);
            }
        }
        self.matching_cgroup(tgid, rules).or_else(|| self.matching_command(tgid))
    }

    fn matching_cgroup(&self, tgid: u32, rules: &KernelRules) -> Option<u32> {
        let memberships = fs::read_to_string(format!("/proc/{tgid}/cgroup")).ok()?;
        let own = memberships.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let own = self.cgroup_root.join(own);
        let directories = own.ancestors().take_while(|directory| directory.starts_with(&self.cgroup_root));
        let mut ids = directories.filter_map(|directory| Some(fs::metadata(directory).ok()?.ino()));
        ids.find_map(|id| rules.cgroups.iter().find(|(rule, _)| *rule == id).map(|(_, agent)| *agent))
    }

    fn matching_command(&self, tgid: u32) -> Option<u32> {
        let raw = fs::read(format!("/proc/{tgid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(raw.strip_suffix(&[0]).unwrap_or(&raw)).replace('\0', " ");
        let rules = (0u32..)
            .zip(&self.agents)
            .filter_map(|(index, name)| Some((index, self.settings.agents.get(name)?)));
        rules.into_iter().find_map(|(index, rule)| {
            let matches = |matcher: &Matcher| matches!(matcher, Matcher::Command(glob) if !line.is_empty() && glob.matches(&line));
            rule.matchers.iter().any(matches).then_some(index)
        })
    }

    /// A process of an agent executed a program.
    pub(super) fn on_exec(&mut self, header: &Header, root: u32, began: bool) {
        self.processes.forget(header.tgid);
        if began {
            let origin = self.origin(header);
            let command = origin.processes.first().map(|process| process.command.clone()).unwrap_or_default();
            let message = format!(
                "session {} of agent {} began with pid {root}: {command}",
                header.session, origin.agent
            );
            self.note(agent_guard_api::audit::AuditKind::SessionStarted, &origin, message);
        }
        self.scan_ahead(header.tgid);
    }
}

fn ancestors(tgid: u32, parents: &HashMap<u32, u32>) -> impl Iterator<Item = u32> {
    let mut next = parents.get(&tgid).copied();
    std::iter::from_fn(move || {
        let parent = next.filter(|parent| *parent > 1)?;
        next = parents.get(&parent).copied();
        Some(parent)
    })
    .take(64)
}

/// Real uid (proc_pid_status(5): the first of `Uid:`), as the kernel half compares it.
fn real_uid(tgid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{tgid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
