//! One connection: count the raw bytes, decrypt, write down, answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sha2::{Digest, Sha256};

use super::http::{self, Parsed, Progress};
use super::ledger::{Ledger, Request};
use super::{Behaviour, Reply};

/// One TLS record's worth of filler.
const FILLER: [u8; 16 << 10] = [b'.'; 16 << 10];

/// Serves until the peer ends, errs or idles too long, and records why it ended.
pub(super) fn serve(
    stream: TcpStream,
    id: usize,
    ledger: &Arc<Ledger>,
    tls: Arc<ServerConfig>,
    behaviour: &Behaviour,
) {
    let end = match talk(stream, id, ledger, tls, behaviour) {
        Ok(why) => why.to_owned(),
        Err(error) => format!("{error:#}"),
    };
    ledger.ended(id, end);
}

/// A socket that reports every byte it received before TLS sees it.
struct Counting {
    stream: TcpStream,
    id: usize,
    ledger: Arc<Ledger>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.stream.read(buffer)?;
        self.ledger.received_raw(self.id, bytes);
        Ok(bytes)
    }
}

impl Write for Counting {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn talk(
    stream: TcpStream,
    id: usize,
    ledger: &Arc<Ledger>,
    tls: Arc<ServerConfig>,
    behaviour: &Behaviour,
) -> Result<&'static str> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(behaviour.idle_close)?;
    let counting = Counting { stream, id, ledger: Arc::clone(ledger) };
    let mut tls = StreamOwned::new(ServerConnection::new(tls)?, counting);
    let mut waiting = Vec::new();
    let mut continued = false;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match http::parse(&waiting)? {
            Progress::Whole(parsed) => {
                waiting.drain(..parsed.taken);
                continued = false;
                let request = record(parsed, id);
                ledger.received_request(request.clone());
                answer(&mut tls, &(behaviour.handler)(&request)).context("answer")?;
                continue;
            }
            Progress::Continue if !continued => {
                continued = true;
                tls.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                tls.flush()?;
            }
            Progress::Continue | Progress::More => {}
        }
        let bytes = match tls.read(&mut buffer) {
            Ok(0) => return Ok("closed by the client"),
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                tls.conn.send_close_notify();
                tls.flush().context("idle, close")?;
                return Ok("idle, closed by the server");
            }
            Err(error) => return Err(error).context("read"),
        };
        let bytes = buffer.get(..bytes).unwrap_or_default();
        ledger.received_plain(id, bytes);
        waiting.extend_from_slice(bytes);
    }
}

fn record(parsed: Parsed, connection: usize) -> Request {
    Request {
        connection,
        method: parsed.method,
        target: parsed.target,
        headers: parsed.headers,
        body_bytes: parsed.body.len() as u64,
        body_sha256: hex(&Sha256::digest(&parsed.body)),
        body: parsed.body,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn answer(tls: &mut impl Write, reply: &Reply) -> io::Result<()> {
    match reply {
        Reply::Body { status, body } => {
            let head = format!("HTTP/1.1 {status} Reply\r\nContent-Length: {}\r\n\r\n", body.len());
            tls.write_all(&[head.as_bytes(), body].concat())?;
        }
        Reply::Stream(bytes) => {
            write!(tls, "HTTP/1.1 200 Reply\r\nContent-Length: {bytes}\r\n\r\n")?;
            let mut left = *bytes;
            while left > 0 {
                let now = usize::try_from(left).unwrap_or(usize::MAX).min(FILLER.len());
                tls.write_all(&FILLER[..now])?;
                left -= now as u64;
            }
        }
    }
    tls.flush()
}
