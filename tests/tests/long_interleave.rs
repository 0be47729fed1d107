//! Releases that fall into new writes of the same connection, 100,000 times.

use agent_guard_tests::clients::Kind;
use agent_guard_tests::gate;
use agent_guard_tests::require::{self, Need};
use anyhow::Result;

#[test]
#[ignore = "long: minutes"]
fn a_release_never_covers_the_next_write() -> Result<()> {
    if !require::met(&[&[Need::Root, Need::Guard], Kind::OpenSsl.needs()].concat()) {
        return Ok(());
    }
    gate::interleave(100_000)
}
