//! The digest that holds and approvals are bound to: a request minus what differs between two attempts of it.
//!
//! Invariants: two requests that could have different effects have different digests; every part is written with its
//! length, so that no two splits of the same bytes agree; whatever does not parse is hashed as it is. What is left out
//! stands in `catalog/volatile.toml` with its reason. The agent's name and the name in the TLS handshake are part of
//! it, the address is not: a retry may go to another address of the same name.

mod canonical;
mod signature;

use agent_guard_decode::message::RequestHead;
use sha2::{Digest as _, Sha256};

pub use self::signature::good_until as signature_good_until;
use crate::{
    classify,
    effect::Digest,
    request::{Body, HttpRequest},
};

/// The digest of a request that was read.
///
/// The body of a request that was not seen whole is hashed as far as it was seen, marked as such.
pub fn digest(agent: &str, request: &HttpRequest) -> Digest {
    let aws = classify::is_aws(&request.head, &request.peer);
    let mut writer = Writer::new("http", agent);
    let (path, query) = split_target(&request.head);
    writer.part(request.head.method.as_bytes());
    writer.part(request.peer.sni.as_deref().unwrap_or_default().as_bytes());
    writer.part(path);
    canonical::query(query, aws, &mut writer);
    let boundary = canonical::headers(&request.head, &mut writer);
    match &request.body {
        Body::None => writer.part(b"no body"),
        Body::Whole(body) => {
            writer.part(b"whole body");
            canonical::body(&request.head, body, boundary, aws, &mut writer);
        }
        Body::Prefix(body) => {
            writer.part(b"beginning of a body");
            writer.part(format!("{:?}", request.head.framing).as_bytes());
            writer.part(body);
        }
    }
    writer.finish()
}

/// The digest of bytes that could not be read: these very bytes of this agent.
pub fn opaque(agent: &str, bytes: &[u8]) -> Digest {
    let mut writer = Writer::new("opaque", agent);
    writer.part(bytes);
    writer.finish()
}

fn split_target(head: &RequestHead) -> (&[u8], &[u8]) {
    let at = head.target.iter().position(|b| *b == b'?').unwrap_or(head.target.len());
    head.target.split_at_checked(at).unwrap_or((&head.target, &[]))
}

/// Hashes parts with their lengths.
struct Writer {
    hash: Sha256,
}

impl Writer {
    fn new(kind: &str, agent: &str) -> Writer {
        let mut writer = Writer { hash: Sha256::new() };
        writer.part(kind.as_bytes());
        writer.part(agent.as_bytes());
        writer
    }

    fn part(&mut self, bytes: &[u8]) {
        // A slice is shorter than 2^63 bytes on every platform.
        self.hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.hash.update(bytes);
    }

    fn finish(self) -> Digest {
        Digest(self.hash.finalize().into())
    }
}
