//! One sink with what waits for it: a sink that is away for a while loses nothing and changes no order.

use std::{collections::VecDeque, fmt, io, sync::Arc};

use agent_guard_api::audit::AuditRecord;

use super::spool::Spool;

/// Takes one record for good, or fails and is offered it again.
pub trait Sink: Send + fmt::Debug {
    fn write(&mut self, record: &AuditRecord) -> io::Result<()>;
}

/// A sink and its backlog: on disk where there is a spool, in memory otherwise or when the spool fails.
#[derive(Debug)]
pub struct Outlet {
    sink: Box<dyn Sink>,
    spool: Option<Spool>,
    /// Newer than everything in the spool.
    memory: VecDeque<Arc<AuditRecord>>,
    lost: u64,
    failing: bool,
}

impl Outlet {
    /// Records kept in memory for a sink without a (working) spool.
    pub const MEMORY: usize = 2000;

    pub fn new(sink: Box<dyn Sink>, spool: Option<Spool>) -> Self {
        Outlet { sink, spool, memory: VecDeque::new(), lost: 0, failing: false }
    }

    /// Writes, or keeps for later behind what waits already.
    pub fn write(&mut self, record: &Arc<AuditRecord>) {
        if !self.failing {
            self.drain();
        }
        if !self.waiting() {
            match self.sink.write(record) {
                Ok(()) => return,
                Err(error) => self.fail(&error),
            }
        }
        self.keep(record);
    }

    /// Delivers what waits, as far as the sink takes it.
    pub fn retry(&mut self) {
        self.drain();
    }

    /// How many records were lost since the last call. Told only when there is room again: the record that reports
    /// the loss would be lost as well.
    pub fn take_losses(&mut self) -> u64 {
        if self.failing && self.memory.len() >= Self::MEMORY {
            return 0;
        }
        let spool = self.spool.as_mut().map_or(0, Spool::take_losses);
        std::mem::take(&mut self.lost) + spool
    }

    fn waiting(&self) -> bool {
        !self.memory.is_empty() || self.spool.as_ref().is_some_and(|spool| !spool.is_empty())
    }

    fn keep(&mut self, record: &Arc<AuditRecord>) {
        if self.memory.is_empty()
            && let Some(spool) = &mut self.spool
        {
            match spool.push(record) {
                Ok(()) => return,
                Err(error) => tracing::error!("cannot spool an audit record, kept in memory: {error}"),
            }
        }
        if self.memory.len() < Self::MEMORY {
            self.memory.push_back(Arc::clone(record));
        } else {
            self.lost += 1;
        }
    }

    fn drain(&mut self) {
        if !self.waiting() {
            return;
        }
        if let Some(spool) = &mut self.spool
            && let Err(error) = spool.deliver(self.sink.as_mut())
        {
            return self.fail(&error);
        }
        while let Some(record) = self.memory.front() {
            if let Err(error) = self.sink.write(record) {
                return self.fail(&error);
            }
            self.memory.pop_front();
        }
        if std::mem::take(&mut self.failing) {
            tracing::info!("the audit is delivered again: {:?}", self.sink);
        }
    }

    fn fail(&mut self, error: &io::Error) {
        if !self.failing {
            tracing::error!("audit records are kept for later, {:?} takes none: {error}", self.sink);
        }
        self.failing = true;
    }
}
