//! What a test needs from the machine it runs on.

use std::path::PathBuf;

/// The file, or a sentence that the test is skipped; with `AGENT_GUARD_REQUIRE_PRIVILEGED=1` a failure.
pub(crate) fn first_file(what: &str, candidates: &[&str]) -> Option<PathBuf> {
    let found = candidates.iter().map(PathBuf::from).find(|path| path.is_file());
    if found.is_none() {
        absent(&format!("{what} is not here (looked for {})", candidates.join(", ")));
    }
    found
}

pub(crate) fn absent(why: &str) {
    eprintln!("skipped: {why}");
    let required = std::env::var_os("AGENT_GUARD_REQUIRE_PRIVILEGED").is_some_and(|value| value == "1");
    assert!(!required, "AGENT_GUARD_REQUIRE_PRIVILEGED=1, but {why}");
}

pub(crate) const LIBSSL: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/libssl.so.3",
    "/usr/lib64/libssl.so.3",
    "/usr/lib/libssl.so.3",
    "/lib/x86_64-linux-gnu/libssl.so.3",
];
pub(crate) const NODE: &[&str] = &["/usr/bin/node", "/usr/local/bin/node", "/usr/bin/nodejs"];
