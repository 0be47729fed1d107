//! A whole minute without a daemon, with twenty holds open.

use std::time::Duration;

use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate;
use agent_guard_tests::require::{self, Need};
use anyhow::Result;

#[test]
#[ignore = "long: 90 seconds"]
fn the_next_daemon_decides_what_the_last_one_held() -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    gate::crash(Duration::from_secs(60))
}
