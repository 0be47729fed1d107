//! Which names stand before secrets.

/// True if the value under this name is a secret, whatever the spelling: `X-Amz-Security-Token`, `api_key`, `dbPassword`,
/// `%70assword`.
pub(super) fn is_secret(name: &[u8]) -> bool {
    let plain = plain(name);
    if HARMLESS_ENDS.iter().any(|end| plain.ends_with(end)) {
        return false;
    }
    PARTS.iter().any(|part| contains(&plain, part)) || WHOLE.contains(&plain.as_slice())
}

/// True if `part` stands somewhere in `text`.
pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

/// Where `part` stands first in `text`.
pub(super) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len().max(1)).position(|window| window == part)
}

/// Letters and digits in lower case; percent-encoding undone once.
fn plain(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, tail)) =
        encoded(rest).or_else(|| rest.split_first().map(|(byte, tail)| (*byte, tail)))
    {
        if byte.is_ascii_alphanumeric() {
            plain.push(byte.to_ascii_lowercase());
        }
        rest = tail;
    }
    plain
}

/// The byte that `%XX` at the front stands for, and what is behind it.
fn encoded(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, tail @ ..] = text else { return None };
    let digits = [*high, *low];
    let digits = std::str::from_utf8(&digits).ok().filter(|digits| !digits.starts_with('+'))?;
    Some((u8::from_str_radix(digits, 16).ok()?, tail))
}

/// A name with such an end says where the secret is, not what it is.
const HARMLESS_ENDS: &[&[u8]] = &[b"file", b"path", b"stdin"];

/// Parts of names, without punctuation. `token` also catches `NextToken` and `max_tokens`: rather too much.
const PARTS: &[&[u8]] = &[
    b"accesskey",
    b"apikey",
    b"assertion",
    b"authorization",
    b"bearer",
    b"cookie",
    b"credential",
    b"passphrase",
    b"passwd",
    b"password",
    b"privatekey",
    b"pwd",
    b"secret",
    b"sessionid",
    b"sharedkey",
    b"signature",
    b"signingkey",
    b"token",
];

/// Names that are too short to look for inside others. Not `key`: it names the object of a storage request.
const WHOLE: &[&[u8]] = &[b"auth", b"jwt", b"otp", b"pass", b"pin", b"pw", b"sig", b"xauth"];
