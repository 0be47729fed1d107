use std::collections::BTreeMap;

use super::*;

/// A host in a directory; what is not written is not there.
struct Fake(tempfile::TempDir);

impl Fake {
    fn new(files: &[(&str, &str)]) -> Fake {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Fake(dir)
    }

    fn good() -> Vec<(&'static str, &'static str)> {
        vec![
            ("proc/self/status", "Name:\tx\nCapEff:\t000001ffffffffff\n"),
            ("proc/self/uid_map", "         0          0 4294967295\n"),
            ("proc/sys/kernel/osrelease", "6.1.0-13-amd64\n"),
            ("sys/kernel/btf/vmlinux", ""),
            ("sys/kernel/security/lockdown", "none [integrity] confidentiality\n"),
            ("proc/sys/kernel/yama/ptrace_scope", "1\n"),
            ("proc/cgroups", "#subsys_name\thierarchy\nnet_cls\t0\t1\t1\n"),
            (
                "proc/self/mounts",
                "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\nbpf /sys/fs/bpf bpf rw,relatime 0 0\n\
                 tracefs /sys/kernel/tracing tracefs rw 0 0\n",
            ),
        ]
    }

    /// A good host with `path` saying something else.
    fn with(path: &'static str, text: &'static str) -> Fake {
        let mut files = Self::good();
        files.retain(|(name, _)| *name != path);
        files.push((path, text));
        Fake::new(&files)
    }

    fn check(&self) -> BTreeMap<String, Finding> {
        let inputs = Inputs { root: self.0.path(), accounts: &Groups, deciders: 2, destroy: None };
        check(&inputs).into_iter().map(|finding| (finding.check.clone(), finding)).collect()
    }
}

struct Groups;

impl Accounts for Groups {
    fn user_name(&self, _: u32) -> Option<String> {
        None
    }
    fn user_id(&self, _: &str) -> Option<u32> {
        None
    }
    fn group_id(&self, _: &str) -> Option<u32> {
        Some(900)
    }
    fn in_group(&self, _: u32, _: &str) -> Option<bool> {
        Some(true)
    }
}

#[test]
fn a_good_host_passes() {
    let findings = Fake::new(&Fake::good()).check();
    for (name, finding) in &findings {
        let expected = match name.as_str() {
            // Tried on the real host, or not there in a directory.
            "pidfd_getfd" => continue,
            "pid_namespace" | "sock_destroy" => Severity::Warning,
            _ => Severity::Ok,
        };
        assert_eq!(finding.severity, expected, "{finding:?}");
    }
    assert_eq!(findings.len(), 19);
}

#[test]
fn each_lack_is_found_with_consequence_and_remedy() {
    let mounts = "proc/self/mounts";
    let cases = [
        ("capabilities", "proc/self/status", "CapEff:\t0000000000000000\n", Severity::Error),
        ("capabilities", "proc/self/status", "", Severity::Warning),
        ("user_namespace", "proc/self/uid_map", "0 100000 65536\n", Severity::Error),
        ("kernel", "proc/sys/kernel/osrelease", "5.15.0-1-amd64\n", Severity::Error),
        ("kernel", "proc/sys/kernel/osrelease", "custom\n", Severity::Warning),
        ("lockdown", "sys/kernel/security/lockdown", "none integrity [confidentiality]\n", Severity::Error),
        ("ptrace_scope", "proc/sys/kernel/yama/ptrace_scope", "3\n", Severity::Warning),
        ("cgroup2", mounts, "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\n", Severity::Error),
        ("bpffs", mounts, "bpf /sys/fs/bpf bpf ro 0 0\n", Severity::Error),
        ("bpffs", mounts, "bpf /elsewhere bpf rw 0 0\n", Severity::Error),
        ("tracefs", mounts, "", Severity::Warning),
    ];
    for (name, path, text, severity) in cases {
        let finding = Fake::with(path, text).check().remove(name).unwrap();
        assert_eq!(finding.severity, severity, "{path} = {text:?}: {finding:?}");
        assert!(!finding.consequence.is_empty() && !finding.remedy.is_empty(), "{finding:?}");
    }
}

#[test]
fn nothing_readable_is_never_good() {
    let findings = Fake::new(&[]).check();
    for name in ["capabilities", "user_namespace", "kernel", "btf", "lockdown", "cgroup2", "bpffs"] {
        assert_ne!(findings[name].severity, Severity::Ok, "{name}");
    }
    let all: Vec<Finding> = findings.into_values().collect();
    assert!(forbids_start(&all));
}

#[test]
fn net_cls_matters_only_to_old_kernels() {
    let used = "net_cls\t5\t3\t1\nnet_prio\t0\t1\t1\n";
    let mut files = Fake::good();
    files.retain(|(name, _)| *name != "proc/cgroups");
    files.push(("proc/cgroups", used));
    let finding = |files: &[(&str, &str)]| Fake::new(files).check().remove("net_cls").unwrap();
    assert_eq!(finding(&files).severity, Severity::Ok);
    files.retain(|(name, _)| *name != "proc/sys/kernel/osrelease");
    files.push(("proc/sys/kernel/osrelease", "5.10.0\n"));
    assert_eq!(finding(&files).severity, Severity::Error);
}

#[test]
fn the_cgroup_root_is_found_where_it_is() {
    let root = |mounts| cgroup_root_of(mounts).map(|path| path.display().to_string());
    assert_eq!(root("x /sys/fs/cgroup/unified cgroup2 rw 0 0\n"), Some("/sys/fs/cgroup/unified".into()));
    assert_eq!(
        root("x /tmp/a\\040b cgroup2 rw 0 0\nx /sys/fs/cgroup cgroup2 rw 0 0\n"),
        Some("/sys/fs/cgroup".into())
    );
    assert_eq!(root("x /tmp/a\\040b\\x cgroup2 rw 0 0\n"), Some("/tmp/a b\\x".into()));
    assert_eq!(root("x /sys/fs/cgroup cgroup rw 0 0\n\n \n"), None);
}

#[test]
fn a_destroyer_that_does_nothing_is_found_out() {
    let lazy = |_: &TcpStream| Ok(());
    let finding = trials::sock_destroy(Some(&lazy));
    assert_eq!(finding.severity, Severity::Error);
    assert!(finding.finding.contains("still there"), "{finding:?}");
    let broken = |_: &TcpStream| Err(io::Error::from_raw_os_error(95));
    assert!(trials::sock_destroy(Some(&broken)).finding.contains("not supported"));
}

#[test]
fn a_socket_of_a_child_can_be_duplicated_here() {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let finding = trials::pidfd_getfd();
    let expected = if scope.trim() == "3" { Severity::Warning } else { Severity::Ok };
    assert_eq!(finding.severity, expected, "{finding:?}");
}

#[test]
fn this_host_can_be_checked() {
    let inputs = Inputs { root: Path::new("/"), accounts: &Groups, deciders: 0, destroy: None };
    let findings = check(&inputs);
    let people = findings.iter().find(|finding| finding.check == "people").unwrap();
    assert_eq!(people.severity, Severity::Warning);
    let kernel = findings.iter().find(|finding| finding.check == "kernel").unwrap();
    assert_ne!(kernel.finding, "");
}
