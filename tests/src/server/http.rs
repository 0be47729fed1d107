//! Just enough HTTP/1.1 to know when a request is whole. Strict: what it cannot read ends the connection.

use anyhow::{Context, Result, bail};

/// A request cut out of the byte stream.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Bytes of the stream that it took.
    pub(super) taken: usize,
}

/// What the bytes so far amount to.
#[derive(Debug)]
pub(super) enum Progress {
    More,
    /// The head is whole and its client waits for `100 Continue`.
    Continue,
    Whole(Parsed),
}

/// Reads one request from the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Progress> {
    let mut slots = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut slots);
    let httparse::Status::Complete(head) = request.parse(bytes).context("request head")? else {
        return Ok(Progress::More);
    };
    let headers: Vec<(String, String)> = request
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    let find = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let rest = bytes.get(head..).unwrap_or_default();
    let body = match (find("transfer-encoding"), find("content-length")) {
        (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => chunked(rest)?,
        (Some(coding), _) => bail!("transfer coding {coding:?}"),
        (None, Some(length)) => {
            let length: usize = length.parse().context("content-length")?;
            rest.get(..length).map(|body| (body.to_vec(), length))
        }
        (None, None) => Some((Vec::new(), 0)),
    };
    let Some((body, length)) = body else {
        let waits =
            rest.is_empty() && find("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        return Ok(if waits { Progress::Continue } else { Progress::More });
    };
    Ok(Progress::Whole(Parsed {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        headers,
        body,
        taken: head + length,
    }))
}

/// A chunked body and how many bytes it took, or none when it is not whole. Trailers are skipped.
fn chunked(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let httparse::Status::Complete((line, size)) =
            httparse::parse_chunk_size(rest).map_err(|_invalid| anyhow::anyhow!("chunk size"))?
        else {
            return Ok(None);
        };
        at += line;
        if size == 0 {
            let tail = bytes.get(at..).unwrap_or_default();
            let end = if tail.starts_with(b"\r\n") {
                Some(2)
            } else {
                tail.windows(4).position(|four| four == b"\r\n\r\n").map(|position| position + 4)
            };
            return Ok(end.map(|end| (body, at + end)));
        }
        let size = usize::try_from(size).context("chunk size")?;
        let Some(chunk) = bytes.get(at..at + size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        match bytes.get(at + size..at + size + 2) {
            Some(b"\r\n") => at += size + 2,
            Some(_) => bail!("no line end after a chunk"),
            None => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Parsed {
        match parse(bytes).unwrap() {
            Progress::Whole(parsed) => parsed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pipelined_requests_are_taken_one_by_one() {
        let bytes = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nDELETE /b HTTP/1.1\r\nHost: h\r\n\r\n";
        let first = whole(bytes);
        assert_eq!((first.method.as_str(), first.target.as_str()), ("GET", "/a"));
        let second = whole(&bytes[first.taken..]);
        assert_eq!((second.method.as_str(), second.target.as_str()), ("DELETE", "/b"));
        assert_eq!(first.taken + second.taken, bytes.len());
    }

    #[test]
    fn chunked_bodies_end_where_they_end() {
        let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let bytes = [&head[..], b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET"].concat();
        let parsed = whole(&bytes);
        assert_eq!(parsed.body, b"abcde");
        assert_eq!(parsed.taken, bytes.len() - 3);
        for cut in head.len()..parsed.taken {
            assert!(matches!(parse(&bytes[..cut]).unwrap(), Progress::More), "cut at {cut}");
        }
    }

    #[test]
    fn a_client_that_waits_is_told_so_only_before_its_body() {
        let head = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n".to_vec();
        assert!(matches!(parse(&head).unwrap(), Progress::Continue));
        assert!(matches!(parse(&[&head[..], b"ab"].concat()).unwrap(), Progress::More));
        assert_eq!(whole(&[&head[..], b"abc"].concat()).body, b"abc");
    }
}
