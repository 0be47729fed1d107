//! Who stands at the other end of the control socket, and what that person may do.
//!
//! Approvals count people, not processes: an entry of the people table, else the login uid that the kernel's audit
//! keeps across su and sudo. Where both speak and disagree, nobody is counted, because one human would count as two.
//! No process of an agent's session, whatever its uid, is a person. Doubt means no.

use std::collections::BTreeMap;

use agent_guard_api::{ActionError, ErrorKind};
use agent_guard_core::effect::Person;

use crate::settings::PersonEntry;

mod accounts;

pub use accounts::{Accounts, HostAccounts};

/// May read holds, status and log.
pub const READERS: &str = "agent-guard";

/// May approve and deny.
pub const APPROVERS: &str = "agent-guard-approvers";

/// What the kernel says of the peer of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCred {
    pub uid: u32,
    /// In the daemon's pid namespace.
    pub pid: u32,
    /// The primary group and the supplementary ones.
    pub gids: Vec<u32>,
}

/// The people table and the host's accounts.
#[derive(Debug)]
pub struct People<A> {
    by_uid: BTreeMap<u32, String>,
    uids: BTreeMap<String, Vec<u32>>,
    accounts: A,
}

impl<A: Accounts> People<A> {
    pub fn new(table: &BTreeMap<String, PersonEntry>, accounts: A) -> Self {
        let mut by_uid = BTreeMap::new();
        let mut uids = BTreeMap::new();
        for (name, entry) in table {
            by_uid.extend(entry.uids.iter().map(|uid| (*uid, name.clone())));
            uids.insert(name.clone(), entry.uids.clone());
        }
        People { by_uid, uids, accounts }
    }

    /// Which person the peer is. `loginuid` is `/proc/PID/loginuid`, `None` where it is unset; `agents` finds the
    /// session of a pid.
    pub fn identify(
        &self,
        peer: &PeerCred,
        loginuid: Option<u32>,
        agents: &dyn Fn(u32) -> Option<u64>,
    ) -> Result<Person, ActionError> {
        if let Some(session) = agents(peer.pid) {
            return Err(forbidden(format!(
                "pid {} belongs to agent session {session}: agents decide nothing; ask a person on another login",
                peer.pid
            )));
        }
        // A login uid of 0 is a root login: nobody in particular, so it neither names nor contradicts a person.
        let login =
            loginuid.filter(|uid| *uid != LOGINUID_UNSET && (*uid != 0 || self.by_uid.contains_key(&0)));
        let by_login = login.and_then(|uid| {
            self.by_uid.get(&uid).cloned().or_else(|| self.accounts.user_name(uid)).map(|name| (name, uid))
        });
        match (self.by_uid.get(&peer.uid), by_login) {
            (Some(name), Some((login_name, uid))) if *name != login_name => Err(forbidden(format!(
                "uid {} is {name}, but the login is {login_name}'s (login uid {uid}): \
                 nobody counts twice, log in as {name} itself",
                peer.uid
            ))),
            (Some(name), _) => Ok(Person { name: name.clone(), channel: format!("socket uid {}", peer.uid) }),
            (None, Some((name, uid))) => {
                Ok(Person { name, channel: format!("socket uid {}, login uid {uid}", peer.uid) })
            }
            (None, None) if peer.uid == 0 => {
                Err(forbidden("uid 0 is not a person: log in as yourself or add [people.NAME]".to_owned()))
            }
            (None, None) => Err(forbidden(format!(
                "uid {} is in no [people.NAME] and its login is unknown to the kernel's audit: add [people.NAME] uids = [{}]",
                peer.uid, peer.uid
            ))),
        }
    }

    /// Whether the peer may read holds, status and log. The caller has checked that it is in no agent's session.
    pub fn may_read(&self, peer: &PeerCred) -> Result<(), ActionError> {
        let reader = |group| {
            self.accounts.in_group(peer.uid, group) == Some(true)
                || self.accounts.group_id(group).is_some_and(|gid| peer.gids.contains(&gid))
        };
        if peer.uid == 0 || self.by_uid.contains_key(&peer.uid) || reader(READERS) || reader(APPROVERS) {
            return Ok(());
        }
        Err(forbidden(format!(
            "uid {} may not read: add the user to group {READERS} (usermod -aG {READERS} USER) and log in again",
            peer.uid
        )))
    }

    /// Whether `person`, at the other end as `peer`, may approve and deny. Membership is read from the host's
    /// database, not from the process, so that taking somebody out of the group works at once.
    pub fn may_decide(
        &self,
        person: &Person,
        peer: &PeerCred,
        loginuid: Option<u32>,
    ) -> Result<(), ActionError> {
        let table = self.uids.get(&person.name);
        if self.accounts.group_id(APPROVERS).is_none() {
            return match table {
                Some(_) => Ok(()),
                None => Err(forbidden(format!(
                    "{} is in no [people.NAME], and this host has no group {APPROVERS}: add one of the two",
                    person.name
                ))),
            };
        }
        let own = match table {
            Some(uids) => uids.clone(),
            None => vec![loginuid.unwrap_or(peer.uid)],
        };
        if own.iter().any(|uid| self.accounts.in_group(*uid, APPROVERS) == Some(true)) {
            return Ok(());
        }
        Err(forbidden(format!(
            "{} is not in group {APPROVERS}: ask an administrator for usermod -aG {APPROVERS} USER",
            person.name
        )))
    }

    /// How many different people could decide now, as far as the table tells.
    pub fn deciders(&self) -> usize {
        let grouped = self.accounts.group_id(APPROVERS).is_some();
        self.uids
            .values()
            .filter(|uids| {
                !grouped || uids.iter().any(|uid| self.accounts.in_group(*uid, APPROVERS) == Some(true))
            })
            .count()
    }

    pub fn accounts(&self) -> &A {
        &self.accounts
    }
}

fn forbidden(message: String) -> ActionError {
    ActionError { kind: ErrorKind::Forbidden, message }
}

/// `/proc/PID/loginuid` of a process that came from no login.
pub const LOGINUID_UNSET: u32 = u32::MAX;

#[cfg(test)]
mod tests;
