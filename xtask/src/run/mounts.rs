//! The file systems that the guard pins to and attaches by. Mounted only where missing, and left mounted: other
//! programs may have begun to use them.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};

use crate::shell;

/// Mounts bpffs and tracefs where they are missing. Needs root.
///
/// # Errors
/// When bpffs cannot be mounted; without tracefs the guard's own preflight says what it cannot do.
pub(super) fn ensure() -> Result<()> {
    let table = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    if !is_mounted(&table, "bpf", "/sys/fs/bpf") {
        shell::say("mounting bpffs on /sys/fs/bpf — for the pins that outlive a crash of the guard");
        mount("bpf", "/sys/fs/bpf")?;
    }
    if !is_mounted(&table, "tracefs", "/sys/kernel/tracing")
        && !is_mounted(&table, "tracefs", "/sys/kernel/debug/tracing")
    {
        shell::say("mounting tracefs on /sys/kernel/tracing — for the tracepoints of fork, exec and exit");
        if let Err(error) = mount("tracefs", "/sys/kernel/tracing") {
            shell::say(&format!("no tracefs: {error:#}"));
        }
    }
    Ok(())
}

fn mount(kind: &str, folder: &str) -> Result<()> {
    let remedy = || format!("cannot mount {kind} on {folder}: in a container, mount it from outside");
    shell::run(Command::new("mount").args(["-t", kind, kind, folder])).with_context(remedy)
}

/// `/proc/self/mounts`, see proc(5): device, folder, kind, options …
fn is_mounted(table: &str, kind: &str, folder: &str) -> bool {
    table.lines().any(|line| {
        let mut words = line.split(' ').skip(1);
        words.next() == Some(folder) && words.next() == Some(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::is_mounted;

    #[test]
    fn a_mount_is_known_by_its_folder_and_kind() {
        let table = "none /sys/fs/bpf bpf rw 0 0\ntracefs /sys/kernel/debug/tracing tracefs rw 0 0\n";
        assert!(is_mounted(table, "bpf", "/sys/fs/bpf"));
        assert!(!is_mounted(table, "tracefs", "/sys/kernel/tracing"));
        assert!(!is_mounted(table, "tracefs", "/sys/fs/bpf"));
    }
}
