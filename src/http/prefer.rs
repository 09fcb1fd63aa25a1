//! The Prefer header → how long the client is willing to wait.

/// The seconds of `wait` (RFC 7240, section 4.3). Unknown and malformed preferences are ignored (section 2). If `wait`
/// is given several times, the first counts.
pub fn wait(prefer: &[u8]) -> Option<u32> {
    preferences(prefer).find_map(|preference| {
        let (name, value) = preference.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("wait") {
            return None;
        }
        let value = value.split(';').next()?.trim();
        let value = value
            .strip_prefix('"')
            .and_then(|v| v.strip_suffix('"'))
            .unwrap_or(value);
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        // A longer time than a century means no limit.
        digits.then(|| value.parse().unwrap_or(u32::MAX))
    })
}

fn preferences(prefer: &[u8]) -> impl Iterator<Item = &str> {
    let text = std::str::from_utf8(prefer).unwrap_or_default();
    text.split(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_is_found_in_every_notation() {
        for written in [
            "wait=10",
            "WAIT=10",
            "wait=\"10\"",
            "wait = 10",
            "respond-async, wait=10",
            "wait=10; foo=bar",
            "return=minimal,wait=10, wait=20",
            "foo=\"a;b\", wait=10",
        ] {
            assert_eq!(wait(written.as_bytes()), Some(10), "{written}");
        }
    }

    #[test]
    fn a_wait_without_a_number_of_seconds_is_ignored() {
        for written in [
            "", "wait", "wait=", "wait=abc", "wait=-1", "wait=1.5", "=", ",;,=", "waits=1",
        ] {
            assert_eq!(wait(written.as_bytes()), None, "{written}");
        }
        assert_eq!(wait(b"wait=99999999999999999999"), Some(u32::MAX));
        assert_eq!(wait(b"\xff"), None);
    }
}
