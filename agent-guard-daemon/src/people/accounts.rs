//! The host's users and groups, behind a trait so that identification is tested without a host.

use std::ffi::CString;

use nix::unistd::{Group, Uid, User, getgrouplist};

/// Looks users and groups up.
pub trait Accounts: Send + Sync {
    fn user_name(&self, uid: u32) -> Option<String>;

    fn user_id(&self, name: &str) -> Option<u32>;

    fn group_id(&self, _group: &str) -> Option<u32> {
        None
    }

    /// Whether the user's account is in the group; `None`: there is no such group.
    fn in_group(&self, uid: u32, group: &str) -> Option<bool>;
}

/// The name services of this host. A lookup that fails is answered like an absent entry: it grants nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostAccounts;

impl Accounts for HostAccounts {
    fn user_name(&self, uid: u32) -> Option<String> {
        User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
    }

    fn user_id(&self, name: &str) -> Option<u32> {
        User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
    }

    fn group_id(&self, group: &str) -> Option<u32> {
        Group::from_name(group).ok().flatten().map(|group| group.gid.as_raw())
    }

    fn in_group(&self, uid: u32, group: &str) -> Option<bool> {
        let group = Group::from_name(group).ok().flatten()?;
        let Some(user) = User::from_uid(Uid::from_raw(uid)).ok().flatten() else { return Some(false) };
        let Ok(name) = CString::new(user.name) else { return Some(false) };
        Some(getgrouplist(&name, user.gid).is_ok_and(|gids| gids.contains(&group.gid)))
    }
}
