use super::*;

/// alice 1000, bob 1001, carol 1002; groups by name.
struct Town {
    groups: BTreeMap<&'static str, (u32, Vec<u32>)>,
}

impl Accounts for Town {
    fn user_name(&self, uid: u32) -> Option<String> {
        ["alice", "bob", "carol"].get(uid.checked_sub(1000)? as usize).map(|name| (*name).to_owned())
    }
    fn user_id(&self, _: &str) -> Option<u32> {
        None
    }
    fn group_id(&self, group: &str) -> Option<u32> {
        self.groups.get(group).map(|(gid, _)| *gid)
    }
    fn in_group(&self, uid: u32, group: &str) -> Option<bool> {
        self.groups.get(group).map(|(_, members)| members.contains(&uid))
    }
}

fn people(groups: &[(&'static str, u32, &[u32])]) -> People<Town> {
    let table = BTreeMap::from([
        ("alice".to_owned(), PersonEntry { uids: vec![1000, 2000] }),
        ("bob".to_owned(), PersonEntry { uids: vec![1001] }),
    ]);
    let groups = groups.iter().map(|(name, gid, members)| (*name, (*gid, members.to_vec()))).collect();
    People::new(&table, Town { groups })
}

fn peer(uid: u32) -> PeerCred {
    PeerCred { uid, pid: 77, gids: vec![uid] }
}

fn no_agent(_: u32) -> Option<u64> {
    None
}

fn name(people: &People<Town>, uid: u32, login: Option<u32>) -> Result<String, String> {
    people.identify(&peer(uid), login, &no_agent).map(|person| person.name).map_err(|error| {
        assert_eq!(error.kind, ErrorKind::Forbidden);
        error.message
    })
}

#[test]
fn the_table_comes_first_then_the_login() {
    let people = people(&[]);
    assert_eq!(name(&people, 1000, None), Ok("alice".into()));
    assert_eq!(name(&people, 2000, Some(1000)), Ok("alice".into()), "two uids of one person");
    assert_eq!(name(&people, 0, Some(1001)), Ok("bob".into()), "sudo keeps the login");
    assert_eq!(name(&people, 0, Some(1002)), Ok("carol".into()));
    assert_eq!(name(&people, 1000, Some(0)), Ok("alice".into()), "a root login contradicts nobody");
    assert_eq!(name(&people, 1000, Some(LOGINUID_UNSET)), Ok("alice".into()));
}

#[test]
fn root_alone_is_nobody() {
    let people = people(&[]);
    for login in [None, Some(0), Some(LOGINUID_UNSET)] {
        let message = name(&people, 0, login).unwrap_err();
        assert_eq!(message, "uid 0 is not a person: log in as yourself or add [people.NAME]");
    }
}

#[test]
fn nobody_counts_twice_by_su() {
    let people = people(&[]);
    let message = name(&people, 1001, Some(1000)).unwrap_err();
    assert!(message.contains("nobody counts twice"), "{message}");
    assert!(name(&people, 1000, Some(1002)).is_err(), "a login outside the table is a second identity, too");
}

#[test]
fn an_unknown_uid_without_login_is_nobody() {
    let message = name(&people(&[]), 4711, None).unwrap_err();
    assert!(message.contains("uids = [4711]"), "{message}");
}

#[test]
fn no_process_of_an_agent_is_a_person() {
    let people = people(&[]);
    let error = people.identify(&peer(1000), Some(1000), &|pid| (pid == 77).then_some(5)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    assert!(error.message.contains("session 5"), "{}", error.message);
}

#[test]
fn deciding_needs_the_group_or_the_table() {
    let decide = |people: &People<Town>, uid: u32, login: Option<u32>| {
        let person = people.identify(&peer(uid), login, &no_agent).unwrap();
        people.may_decide(&person, &peer(uid), login).is_ok()
    };
    let ungrouped = people(&[]);
    assert!(decide(&ungrouped, 1000, None));
    assert!(!decide(&ungrouped, 0, Some(1002)), "without the group only the table decides");
    let grouped = people(&[(APPROVERS, 50, &[2000, 1002])]);
    assert!(decide(&grouped, 1000, None), "any uid of the person counts");
    assert!(!decide(&grouped, 1001, None));
    assert!(decide(&grouped, 1002, Some(1002)), "a login in the group");
    assert_eq!(ungrouped.deciders(), 2);
    assert_eq!(grouped.deciders(), 1);
}

#[test]
fn reading_needs_a_group_or_root() {
    let people = people(&[(READERS, 60, &[1002])]);
    assert!(people.may_read(&peer(0)).is_ok());
    assert!(people.may_read(&peer(1002)).is_ok());
    assert!(people.may_read(&peer(1001)).is_ok(), "who decides must be able to read");
    assert!(people.may_read(&PeerCred { uid: 4711, pid: 1, gids: vec![4711, 60] }).is_ok());
    let error = people.may_read(&peer(4711)).unwrap_err();
    assert!(error.message.contains("usermod -aG agent-guard"), "{}", error.message);
}
