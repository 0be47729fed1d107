//! Requests written byte for byte: what no well-behaved client would send, and a prompt-injected one might.

use anyhow::{Context, Result, ensure};

use super::Gate;
use crate::clients::Client;
use crate::events::Events;
use crate::people::ALICE;

/// Bytes for one connection, each part by one SSL_write of its own.
#[derive(Clone, Debug)]
pub struct Raw {
    pub name: &'static str,
    pub parts: Vec<Vec<u8>>,
}

impl Raw {
    pub fn one(name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name, parts: vec![renamed(&bytes.into(), name)] }
    }

    pub fn parts(name: &'static str, parts: &[&[u8]]) -> Self {
        Self { name, parts: parts.iter().map(|part| renamed(part, name)).collect() }
    }
}

impl Gate {
    /// Writes the parts on the client's connection, each of them wholly, and waits for no answers of the server.
    pub fn send_raw(&self, client: &mut Client, raw: &Raw) -> Result<()> {
        self.begin_raw(client, raw)?;
        client
            .answer(crate::DEADLINE)
            .with_context(|| format!("{}: the last part was not taken", raw.name))?;
        Ok(())
    }

    /// The same, but a last part that is held may fill the socket's buffer, so its end is not waited for.
    fn begin_raw(&self, client: &mut Client, raw: &Raw) -> Result<()> {
        for (number, part) in raw.parts.iter().enumerate() {
            if number > 0 {
                client
                    .answer(crate::DEADLINE)
                    .with_context(|| format!("{}: part {number} of it", raw.name))?;
            }
            let file = self.scratch().write(&format!("{}-{number}", raw.name), part)?;
            client.send("PART", &file.display().to_string(), 0)?;
        }
        Ok(())
    }

    /// Sends the parts, waits for the hold, sees that nothing with `needle` in it arrives, denies. The hold's id.
    pub fn raw_is_held(
        &self,
        client: &mut Client,
        events: &mut Events,
        raw: &Raw,
        needle: &str,
    ) -> Result<String> {
        let known: Vec<String> = self.ctl()?.all_holds()?.into_iter().map(|hold| hold.id).collect();
        self.begin_raw(client, raw)?;
        let id = events.wait_hold_but(&known).with_context(|| format!("{} was not held", raw.name))?;
        self.ledger().silent(super::WATCH).with_context(|| raw.name)?;
        ensure!(!self.ledger().read(|state| state.saw(needle)), "{}: the server saw {needle:?}", raw.name);
        self.ctl()?.deny(ALICE, &id)?;
        Ok(id)
    }
}

/// Gives what is hidden the case's name: a denial answers every later request with the same digest, and each case is to
/// be asked for by itself.
fn renamed(bytes: &[u8], name: &str) -> Vec<u8> {
    String::from_utf8(bytes.to_vec())
        .map(|text| text.replace("hidden", &format!("hidden-{name}")).into_bytes())
        .unwrap_or_else(|not_text| not_text.into_bytes())
}
