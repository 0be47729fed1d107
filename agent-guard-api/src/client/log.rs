//! The log as an iterator: one JSON record a line, for as long as the daemon sends.

use super::{error::ClientError, response::Body};
use crate::audit::AuditRecord;

/// Yields records in order. After an error nothing more comes.
#[derive(Debug)]
pub struct LogStream {
    body: Body,
    /// Received, not yet yielded: at most [`LINE_BYTES_MAX`] and one read.
    buffer: Vec<u8>,
    /// No line ends before this position of `buffer`.
    searched: usize,
    ended: bool,
}

impl LogStream {
    pub(super) fn new(body: Body) -> Self {
        Self { body, buffer: Vec::new(), searched: 0, ended: false }
    }

    fn next_record(&mut self) -> Result<Option<AuditRecord>, ClientError> {
        while let Some(line) = self.next_line()? {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return serde_json::from_slice(&line)
                .map(Some)
                .map_err(|source| ClientError::unreadable(format!("a log line: {source}")));
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            let unsearched = self.buffer.iter().skip(self.searched);
            if let Some(end) = unsearched.copied().position(|byte| byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + end + 1);
                self.searched = 0;
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(ClientError::unreadable(format!(
                    "a log line is longer than {LINE_BYTES_MAX} bytes"
                )));
            }
            if !self.body.read_some(&mut self.buffer)? {
                self.searched = 0;
                let last = std::mem::take(&mut self.buffer);
                return Ok(if last.is_empty() { None } else { Some(last) });
            }
        }
    }
}

impl Iterator for LogStream {
    type Item = Result<AuditRecord, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_record().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// A record is a few hundred bytes; resources are not listed in it.
const LINE_BYTES_MAX: usize = 1 << 20;
