//! What the API asks the judge: plain values, so that the two can be two processes.

use std::{fmt, sync::Arc};

use agent_guard_api::{Action, ActionError, HoldView, Outcome, status::Status};
use agent_guard_core::effect::Person;
use tokio::sync::{mpsc, oneshot};

/// One question to the judge. Dropping `reply` without an answer is answered to the caller as unavailable.
#[derive(Debug)]
pub enum ApiRequest {
    Status {
        reply: oneshot::Sender<Status>,
    },
    /// The open holds, or with `all` every one that is kept.
    Holds {
        all: bool,
        reply: oneshot::Sender<Vec<HoldView>>,
    },
    Hold {
        id: String,
        reply: oneshot::Sender<Option<HoldView>>,
    },
    /// Which session the process belongs to. Must be answered from the tree that the kernel keeps.
    SessionOf {
        pid: u32,
        reply: oneshot::Sender<Option<u64>>,
    },
    /// An action that the caller may ask for. The judge still decides whether it is legal now.
    Act {
        peer: Box<PeerIdentity>,
        action: Action,
        reply: oneshot::Sender<Result<Outcome, ActionError>>,
    },
}

/// Who asks, as far as it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    pub uid: u32,
    /// In the daemon's pid namespace.
    pub pid: u32,
    /// Field 22 of `/proc/PID/stat`: clock ticks since boot. With the pid it names the process.
    pub start_ticks: u64,
    /// Always there for [`Action::Approve`] and [`Action::Deny`], and then allowed to decide.
    pub person: Option<Person>,
}

/// The judge's end is closed, or too busy to take more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is starting, ending or overloaded; try again")]
pub struct JudgeGone;

/// The API's end of the channel.
#[derive(Clone)]
pub struct JudgeLink {
    channel: mpsc::Sender<ApiRequest>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

impl JudgeLink {
    /// A bounded channel. `wake` is called after each request, for a judge that waits for something else than this
    /// channel (an eventfd, for example); one that waits in `blocking_recv` needs none.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> (JudgeLink, mpsc::Receiver<ApiRequest>) {
        let (channel, receiver) = mpsc::channel(QUEUE);
        (JudgeLink { channel, wake: Arc::new(wake) }, receiver)
    }

    pub fn ask(&self, request: ApiRequest) -> Result<(), JudgeGone> {
        if self.channel.try_send(request).is_err() {
            return Err(JudgeGone);
        }
        (self.wake)();
        Ok(())
    }
}

impl fmt::Debug for JudgeLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JudgeLink").finish_non_exhaustive()
    }
}

/// More than all connections together can ask at once.
const QUEUE: usize = 256;
