//! Until when the bytes at hand are good: a signed request must arrive within minutes of its signing.

use agent_guard_decode::message::RequestHead;

use crate::{
    classify::{header, parse_params, sigv4_credential},
    effect::UnixMillis,
};

/// AWS refuses a SigV4 signature that is older than about five minutes; a presigned one says how long it lasts.
///
/// AWS documentation, "Signature Version 4 signing process" and "Authenticating requests: using query parameters".
pub fn good_until(head: &RequestHead) -> Option<UnixMillis> {
    let signed = header(head, "authorization").any(|value| sigv4_credential(value).is_some());
    if signed {
        let date = header(head, "x-amz-date").next().and_then(unix_seconds)?;
        return until(date, SIGNATURE_SECONDS);
    }
    let query = head.target.split(|b| *b == b'?').nth(1)?;
    let mut date = None;
    let mut expires = None;
    for param in parse_params(query) {
        match &*param.name {
            b"X-Amz-Date" => date = unix_seconds(&param.value),
            b"X-Amz-Expires" => expires = str::from_utf8(&param.value).ok().and_then(|s| s.parse().ok()),
            _ => {}
        }
    }
    until(date?, expires?)
}

const SIGNATURE_SECONDS: u64 = 300;

fn until(date: u64, seconds: u64) -> Option<UnixMillis> {
    date.checked_add(seconds)?.checked_mul(1000).map(UnixMillis)
}

/// `20260131T235959Z` as seconds since the epoch.
fn unix_seconds(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok().filter(|t| t.len() == 16)?;
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<u64>().ok()
    };
    if text.get(8..9)? != "T" || text.get(15..)? != "Z" {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
    if year < 1970
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let seconds = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
    days(year, month, day)?.checked_mul(86_400)?.checked_add(seconds)
}

/// Days from 1970-01-01 in the Gregorian calendar, years counted from March so that the leap day is the last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let shifted = year.checked_sub(u64::from(month <= 2))?;
    let month = month.checked_add(9)?.checked_rem(12)?;
    let of_year = month.checked_mul(153)?.checked_add(2)?.checked_div(5)?.checked_add(day)?.checked_sub(1)?;
    let leaps = shifted
        .checked_div(4)?
        .checked_sub(shifted.checked_div(100)?)?
        .checked_add(shifted.checked_div(400)?)?;
    shifted.checked_mul(365)?.checked_add(leaps)?.checked_add(of_year)?.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        let table = [
            ("19700101T000000Z", Some(0)),
            ("20000229T120000Z", Some(951_825_600)),
            ("20260101T000001Z", Some(1_767_225_601)),
            ("20241231T235959Z", Some(1_735_689_599)),
            ("20260101T000000", None),
            ("20261301T000000Z", None),
            ("2026-01-01T0000Z", None),
            ("+0260101T000000Z", None),
        ];
        for (text, expected) in table {
            assert_eq!(unix_seconds(text.as_bytes()), expected, "{text}");
        }
    }
}
