//! Answers: JSON, or log lines that may never end.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use agent_guard_api::{ActionError, ErrorKind, routes};
use hyper::{
    Response, StatusCode,
    body::{Body, Bytes, Frame},
    header,
};
use serde::Serialize;
use tokio::sync::mpsc;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum AnswerBody {
    Whole(Option<Bytes>),
    /// Ends when the sending side is dropped.
    Lines(mpsc::Receiver<Bytes>),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            AnswerBody::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            AnswerBody::Lines(lines) => {
                lines.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, AnswerBody::Whole(None))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            AnswerBody::Whole(bytes) => {
                hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            AnswerBody::Lines(_) => hyper::body::SizeHint::default(),
        }
    }
}

pub(super) fn json<T: Serialize>(value: &T) -> Response<AnswerBody> {
    match serde_json::to_vec(value) {
        Ok(bytes) => answer(StatusCode::OK, routes::CONTENT_JSON, AnswerBody::Whole(Some(bytes.into()))),
        Err(error) => failure(&unavailable(&format!(
            "the answer cannot be written as JSON ({error}); please report this"
        ))),
    }
}

pub(super) fn lines(body: AnswerBody) -> Response<AnswerBody> {
    answer(StatusCode::OK, routes::CONTENT_NDJSON, body)
}

pub(super) fn failure(error: &ActionError) -> Response<AnswerBody> {
    let status = StatusCode::from_u16(error.kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let bytes = serde_json::to_vec(error).unwrap_or_default();
    answer(status, routes::CONTENT_JSON, AnswerBody::Whole(Some(bytes.into())))
}

pub(super) fn unavailable(message: &str) -> ActionError {
    ActionError { kind: ErrorKind::Unavailable, message: message.to_owned() }
}

pub(super) fn error(kind: ErrorKind, message: impl Into<String>) -> ActionError {
    ActionError { kind, message: message.into() }
}

/// Says that there is no place left, as far as that can be said without waiting.
pub(super) fn refuse_busy(stream: &tokio::net::UnixStream) {
    let error = unavailable("too many connections are open on the control socket; close some and try again");
    let body = serde_json::to_string(&error).unwrap_or_default();
    let text = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        routes::CONTENT_JSON,
        body.len(),
    );
    // A new connection has room for this; if it has gone away, nobody misses it.
    stream.try_write(text.as_bytes()).unwrap_or_default();
}

fn answer(status: StatusCode, content: &'static str, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
