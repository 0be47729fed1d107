//! The live view of `cargo xtask run`: one line per audit record.

use std::thread::JoinHandle;

use agent_guard_decode::redact;
use tokio::sync::broadcast::error::RecvError;

use crate::audit::Audit;

/// Prints records to standard error until the audit ends.
pub fn follow(audit: &Audit) -> Option<JoinHandle<()>> {
    let (_, mut records) = audit.follow(0);
    let print = move || loop {
        match records.blocking_recv() {
            Ok(record) => {
                let kind = serde_json::to_string(&record.kind).unwrap_or_default();
                eprintln!("{:<16} {}", kind.trim_matches('"'), redact::escape(&record.message));
            }
            Err(RecvError::Lagged(count)) => eprintln!("({count} records not shown)"),
            Err(RecvError::Closed) => return,
        }
    };
    std::thread::Builder::new().name("live".to_owned()).spawn(print).ok()
}
