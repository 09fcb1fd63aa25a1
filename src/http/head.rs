//! The head of a request (RFC 9112, section 2.1): where it ends, and how its body is framed (section 6).
//!
//! Prosody's parser reads the same bytes afterwards. It reads no chunked body, and does not answer `Expect`. So this module must agree
//! with the parser about where each request ends; if a head allows any doubt, it is [`Unreadable`].

use memchr::memchr2;

/// The longest head that Prosody's parser reads, in bytes.
const LONGEST: usize = 10 * 1024;

/// Larger lengths count as this one: the largest whole number that every Lua has.
const LONGEST_BODY: u64 = 1 << 53;

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'a> {
    /// The bytes of the head, with the empty line at its end.
    pub bytes: &'a [u8],
    pub framing: Framing,
    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110, section 10.1.1).
    pub expects_continue: bool,
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The body has this many bytes.
    Length(u64),
    /// The body comes in chunks.
    Chunked,
    /// It cannot be found.
    Wrong(FramingFault),
}

/// Why the end of a body cannot be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FramingFault {
    /// 400
    Length,
    /// 400
    TwoFramings,
    /// 400
    Version,
    /// 400
    Order,
    /// 501
    Coding,
}

impl FramingFault {
    /// What is wrong, and what would be right.
    pub fn detail(self) -> &'static str {
        match self {
            FramingFault::Length => "Content-Length is not a number of bytes, or is given twice",
            FramingFault::TwoFramings => {
                "Transfer-Encoding and Content-Length exclude each other; send one of them"
            }
            FramingFault::Version => "Transfer-Encoding needs HTTP/1.1; send Content-Length",
            FramingFault::Order => "in Transfer-Encoding, chunked must be the last coding, once",
            FramingFault::Coding => {
                "a coding in Transfer-Encoding is not supported; send chunked alone"
            }
        }
    }
}

/// A head whose end or framing Prosody's parser could understand differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// The headers that frame a body, while the lines of a head are read.
#[derive(Default)]
struct Framers<'a> {
    length: Option<&'a [u8]>,
    codings: Vec<&'a [u8]>,
    has_two_lengths: bool,
    expects_continue: bool,
}

impl<'a> Head<'a> {
    /// Reads the head at the beginning of `bytes`. `None`: its end is not there yet.
    ///
    /// # Errors
    /// If Prosody's parser could understand it differently.
    pub fn read(bytes: &'a [u8]) -> Result<Option<Head<'a>>, Unreadable> {
        let mut framers = Framers::default();
        let mut first_line = None;
        let mut lines = Lines { rest: bytes };
        let end = loop {
            match lines.next_line()? {
                None if bytes.len() >= LONGEST => return Err(Unreadable),
                None => return Ok(None),
                Some([]) => break bytes.len() - lines.rest.len(),
                Some(line) if first_line.is_none() => first_line = Some(line),
                Some(line) => framers.add(line),
            }
        };
        let first_line = first_line.ok_or(Unreadable)?;
        if end > LONGEST {
            return Err(Unreadable);
        }
        let is_http_1_1 = first_line.ends_with(b" HTTP/1.1");
        Ok(Some(Head {
            bytes: &bytes[..end],
            expects_continue: framers.expects_continue && is_http_1_1,
            framing: framers.framing(is_http_1_1),
        }))
    }

    /// The method, the host without its port, and the path without its query, as they were written. `None` if the target has no path.
    pub fn route(&self) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
        let mut lines = Lines { rest: self.bytes };
        let mut words = lines.next_line().ok()??.split(|&byte| byte == b' ');
        let (method, target) = (words.next()?, words.next()?);
        // Prosody joins the values of a repeated header: such a host is no host of Prosody's.
        let mut host = std::iter::from_fn(|| lines.next_line().ok()?)
            .find_map(|line| value(line, b"host:"))
            .unwrap_or_default();
        let mut path = target;
        if !target.starts_with(b"/") {
            let start = memchr::memmem::find(target, b"://")? + 3;
            let slash = start + memchr::memchr(b'/', &target[start..])?;
            host = target[start..slash].rsplit(|&byte| byte == b'@').next()?;
            path = &target[slash..];
        }
        let path = path.split(|&byte| byte == b'?').next()?;
        Some((method, without_port(host), path))
    }

    /// The head with another framing: `framing_line` takes the place of Content-Length and Transfer-Encoding. A client cannot send the
    /// header that says that the framing is wrong: Prosody would join its value and the module's.
    pub fn reframed(&self, framing_line: &str) -> Vec<u8> {
        let mut head = Vec::with_capacity(self.bytes.len() + framing_line.len());
        let mut lines = Lines { rest: self.bytes };
        let mut is_first = true;
        while let Ok(Some(line @ [_, ..])) = lines.next_line() {
            let frames = |name| value(line, name).is_some();
            if is_first || !frames(CONTENT_LENGTH) && !frames(TRANSFER_ENCODING) && !frames(FAULT) {
                head.extend_from_slice(line);
                head.extend_from_slice(b"\r\n");
            }
            is_first = false;
        }
        head.extend_from_slice(framing_line.as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        head
    }
}

const CONTENT_LENGTH: &[u8] = b"content-length:";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding:";
const EXPECT: &[u8] = b"expect:";
/// The header of a request whose framing is wrong: see `lua/incoming.lib.lua`.
const FAULT: &[u8] = b"post-msg-fault:";

/// The value of a header line with this name, which is lower-case and ends with a colon.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| rest.trim_ascii())
}

fn without_port(host: &[u8]) -> &[u8] {
    let colon = memchr::memrchr(b':', host);
    match colon.map(|at| host.split_at(at)) {
        Some((name, [b':', port @ ..]))
            if !port.is_empty() && port.iter().all(u8::is_ascii_digit) =>
        {
            name
        }
        _ => host,
    }
}

impl<'a> Framers<'a> {
    fn add(&mut self, line: &'a [u8]) {
        // Most lines are other headers.
        if !matches!(line[0], b'c' | b'C' | b't' | b'T' | b'e' | b'E') {
            return;
        }
        if let Some(length) = value(line, CONTENT_LENGTH) {
            self.has_two_lengths |= self.length.replace(length).is_some();
        } else if let Some(codings) = value(line, TRANSFER_ENCODING) {
            self.codings.extend(codings.split(|&byte| byte == b','));
        } else if let Some(expectation) = value(line, EXPECT) {
            self.expects_continue |= expectation.eq_ignore_ascii_case(b"100-continue");
        }
    }

    fn framing(&self, is_http_1_1: bool) -> Framing {
        let mut codings = self.codings.iter().map(|coding| coding.trim_ascii());
        let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
        match (self.length, codings.next_back()) {
            (None, None) => Framing::Length(0),
            (Some(_), Some(_)) => Framing::Wrong(FramingFault::TwoFramings),
            (Some(length), None) if self.has_two_lengths || length.is_empty() => {
                Framing::Wrong(FramingFault::Length)
            }
            (Some(length), None) => match std::str::from_utf8(length) {
                Ok(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Framing::Length(
                    digits
                        .parse()
                        .map_or(LONGEST_BODY, |len: u64| len.min(LONGEST_BODY)),
                ),
                _ => Framing::Wrong(FramingFault::Length),
            },
            (None, Some(_)) if !is_http_1_1 => Framing::Wrong(FramingFault::Version),
            (None, Some(last)) => {
                let has_earlier_chunked = codings.clone().any(is_chunked);
                if has_earlier_chunked {
                    Framing::Wrong(FramingFault::Order)
                } else if codings.next().is_some() || !is_chunked(last) {
                    Framing::Wrong(FramingFault::Coding)
                } else {
                    Framing::Chunked
                }
            }
        }
    }
}

/// The lines of a head. The parser drops parts of lines around a single CR or LF: such heads are unreadable.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    /// The next line, without its end. `None`: its end is not there yet.
    fn next_line(&mut self) -> Result<Option<&'a [u8]>, Unreadable> {
        let Some(end) = memchr2(b'\r', b'\n', self.rest) else {
            return Ok(None);
        };
        match &self.rest[end..] {
            [b'\r'] => Ok(None),
            [b'\r', b'\n', rest @ ..] => {
                let line = &self.rest[..end];
                self.rest = rest;
                Ok(Some(line))
            }
            _ => Err(Unreadable),
        }
    }
}

/// How Prosody's parser may take the bytes that a connection has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skimmed {
    /// As they are. So many bytes of the last request's body are still to come.
    Plain(u64),
    /// As they are, up to this offset. A head begins there that is not complete, has no length, or expects `100 Continue`.
    Until(usize),
}

/// Finds the requests in the bytes of a connection. They begin with the last bytes of a body: `left` is their number.
///
/// # Errors
/// If a head is unreadable.
pub fn skim(bytes: &[u8], mut left: u64) -> Result<Skimmed, Unreadable> {
    let mut rest = bytes;
    loop {
        let len = rest.len() as u64;
        if left >= len {
            return Ok(Skimmed::Plain(left - len));
        }
        // It is less than the length of a slice.
        rest = &rest[left as usize..];
        match Head::read(rest)? {
            Some(Head {
                bytes,
                framing: Framing::Length(length),
                expects_continue: false,
            }) => {
                rest = &rest[bytes.len()..];
                left = length;
            }
            _ => return Ok(Skimmed::Until(bytes.len() - rest.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(bytes: &str) -> Head<'_> {
        Head::read(bytes.as_bytes()).unwrap().unwrap()
    }

    fn framing(headers: &str) -> Framing {
        let head = format!("POST /msg HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n");
        Head::read(head.as_bytes()).unwrap().unwrap().framing
    }

    #[test]
    fn the_framing_of_a_body_is_found() {
        for (headers, expected) in [
            ("", Framing::Length(0)),
            ("content-LENGTH:5", Framing::Length(5)),
            ("X: y\r\nContent-Length: \t007 ", Framing::Length(7)),
            (
                "Content-Length: 99999999999999999999",
                Framing::Length(LONGEST_BODY),
            ),
            ("Content-Length: -2", Framing::Wrong(FramingFault::Length)),
            ("Content-Length: +2", Framing::Wrong(FramingFault::Length)),
            ("Content-Length: 0x10", Framing::Wrong(FramingFault::Length)),
            ("Content-Length: 5, 5", Framing::Wrong(FramingFault::Length)),
            (
                "Content-Length: 5\r\nContent-Length: 5",
                Framing::Wrong(FramingFault::Length),
            ),
            ("Content-Length:", Framing::Wrong(FramingFault::Length)),
            ("Transfer-Encoding: chunked", Framing::Chunked),
            ("transfer-encoding:CHUNKED", Framing::Chunked),
            (
                "Transfer-Encoding: gzip, chunked",
                Framing::Wrong(FramingFault::Coding),
            ),
            (
                "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
                Framing::Wrong(FramingFault::Coding),
            ),
            (
                "Transfer-Encoding: identity",
                Framing::Wrong(FramingFault::Coding),
            ),
            ("Transfer-Encoding:", Framing::Wrong(FramingFault::Coding)),
            (
                "Transfer-Encoding: chunked, chunked",
                Framing::Wrong(FramingFault::Order),
            ),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                Framing::Wrong(FramingFault::Order),
            ),
            (
                "Transfer-Encoding: chunked, gzip",
                Framing::Wrong(FramingFault::Order),
            ),
            (
                "Transfer-Encoding: chunked\r\nContent-Length: 5",
                Framing::Wrong(FramingFault::TwoFramings),
            ),
        ] {
            assert_eq!(framing(headers), expected, "{headers}");
        }
        let old = head("POST /msg HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(old.framing, Framing::Wrong(FramingFault::Version));
    }

    #[test]
    fn only_http_1_1_expects_continue() {
        let expects = |version| {
            head(&format!(
                "PUT / HTTP/{version}\r\nExpect: 100-Continue\r\n\r\n"
            ))
            .expects_continue
        };
        assert!(expects("1.1") && !expects("1.0"));
        assert!(!head("PUT / HTTP/1.1\r\nExpect: x\r\n\r\n").expects_continue);
    }

    #[test]
    fn a_head_that_the_parser_could_understand_differently_is_unreadable() {
        for bytes in [
            "\r\nPOST / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nX: y\nContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\r\nX: y\rContent-Length: 5\r\n\r\n",
            "POST / HTTP/1.1\n\n",
        ] {
            assert_eq!(Head::read(bytes.as_bytes()), Err(Unreadable), "{bytes:?}");
        }
        let long = format!("POST / HTTP/1.1\r\nX: {}", "x".repeat(LONGEST));
        assert_eq!(Head::read(long.as_bytes()), Err(Unreadable));
        assert_eq!(Head::read(&long.as_bytes()[..LONGEST - 1]), Ok(None));
        assert_eq!(Head::read(b"POST / HTTP/1.1\r\nX: y\r"), Ok(None));
    }

    #[test]
    fn the_route_is_host_and_path() {
        let route = |target: &str, host: &str| {
            let bytes = format!("PUT {target} HTTP/1.1\r\nX: y\r\nhost: {host}\r\n\r\n");
            head(&bytes).route().map(|(method, host, path)| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                assert_eq!(method, b"PUT");
                (text(host), text(path))
            })
        };
        let found = |host: &str, path: &str| Some((host.to_owned(), path.to_owned()));
        assert_eq!(
            route("/msg/a%20b?x=/y", "example.com:5280"),
            found("example.com", "/msg/a%20b")
        );
        assert_eq!(route("/msg", "[::1]:80"), found("[::1]", "/msg"));
        assert_eq!(
            route("http://me@a.example:80/msg?x", "b.example"),
            found("a.example", "/msg")
        );
        assert_eq!(route("*", "a"), None);
        assert_eq!(route("http://a", "a"), None);
    }

    #[test]
    fn a_head_gets_another_framing() {
        let head = head(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y\r\ncontent-length: 5\r\n\r\nrest",
        );
        let reframed = head.reframed("Content-Length: 12");
        assert_eq!(
            reframed.escape_ascii().to_string(),
            r"POST / HTTP/1.1\r\nX: y\r\nContent-Length: 12\r\n\r\n"
        );
    }

    #[test]
    fn plain_requests_are_skimmed() {
        let plain = b"abcGET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab";
        assert_eq!(skim(plain, 3), Ok(Skimmed::Plain(3)));
        assert_eq!(skim(b"abc", 7), Ok(Skimmed::Plain(4)));
        assert_eq!(skim(b"abcGET / HTTP", 3), Ok(Skimmed::Until(3)));
        assert_eq!(
            skim(b"GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", 0),
            Ok(Skimmed::Until(0))
        );
        assert_eq!(skim(b"GET / HTTP/1.1\n\n", 0), Err(Unreadable));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>, left in 0..9u64) {
            let _ = skim(&bytes, left);
        }

        #[test]
        fn damaged_heads_do_not_panic(lines in "(POST |http://x|/|Host:|Expect: |content-length: |[0-9]{1,30}|\r\n|\r|,|chunked| HTTP/1.1){0,30}\r\n\r\n") {
            if let Ok(Some(head)) = Head::read(lines.as_bytes()) {
                let _ = head.route();
                let reframed = head.reframed("Content-Length: 1");
                let again = Head::read(&reframed).unwrap().unwrap();
                prop_assert_eq!(again.framing, Framing::Length(1));
            }
        }
    }
}
