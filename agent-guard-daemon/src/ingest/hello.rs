//! The server name in a ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3). Only what policy and classification
//! need; a hello that cannot be read has no name.

/// The host name that the client asks for, in lower case.
#[must_use]
pub fn server_name(record: &[u8]) -> Option<String> {
    let mut hello = Bytes(record);
    hello.skip(5)?; // record header
    hello.skip(4)?; // handshake header
    hello.skip(2 + 32)?; // version, random
    let session = hello.byte()?;
    hello.skip(usize::from(session))?;
    let suites = hello.word()?;
    hello.skip(suites)?;
    let methods = hello.byte()?;
    hello.skip(usize::from(methods))?;
    let extensions_len = hello.word()?;
    let mut extensions = Bytes(hello.0.get(..extensions_len).unwrap_or(hello.0));
    loop {
        let (kind, len) = (extensions.word()?, extensions.word()?);
        let body = extensions.take(len)?;
        if kind == 0 {
            return name(Bytes(body));
        }
    }
}

/// The first entry of type host_name.
fn name(mut list: Bytes<'_>) -> Option<String> {
    list.word()?;
    let kind = list.byte()?;
    let len = list.word()?;
    let name = list.take(len)?;
    let plain = name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    (kind == 0 && plain && !name.is_empty()).then(|| String::from_utf8_lossy(name).to_ascii_lowercase())
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, len: usize) -> Option<()> {
        self.take(len).map(drop)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn word(&mut self) -> Option<usize> {
        let bytes: [u8; 2] = self.take(2)?.try_into().ok()?;
        Some(usize::from(u16::from_be_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello(name: &str) -> Vec<u8> {
        let name = name.as_bytes();
        let len = u16::try_from(name.len()).unwrap();
        let mut sni = (len + 3).to_be_bytes().to_vec();
        sni.push(0);
        sni.extend(len.to_be_bytes());
        sni.extend(name);
        let mut extensions = vec![0, 10, 0, 2, 0, 0]; // supported_groups in front
        extensions.extend([0, 0]);
        extensions.extend(u16::try_from(sni.len()).unwrap().to_be_bytes());
        extensions.extend(sni);
        let mut hello = vec![22, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3];
        hello.extend([7; 32]);
        hello.extend([0, 0, 2, 0x13, 1, 1, 0]);
        hello.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        hello.extend(extensions);
        hello
    }

    #[test]
    fn the_name_is_read_in_lower_case() {
        assert_eq!(
            server_name(&hello("EC2.us-east-1.amazonaws.com")).as_deref(),
            Some("ec2.us-east-1.amazonaws.com")
        );
    }

    #[test]
    fn a_cut_hello_or_a_strange_name_has_none() {
        let whole = hello("example.com");
        assert_eq!(server_name(&whole[..whole.len() - 1]), None);
        assert_eq!(server_name(&hello("a\u{202e}b")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _either = server_name(&bytes);
        }
    }
}
