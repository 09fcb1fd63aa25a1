//! A large request as a short text.
//!
//! ```text
//! # A sentence.
//! Content-Type: application/json
//! Content-Encoding: gzip
//!
//! {"html":"
//! 45000*<p/>
//! "}
//! ```
//!
//! A head as in HTTP, an empty line, and the pieces of the body, one a line. `N*PIECE` is the piece N times, and `N^`
//! repeats everything above it. In a piece, `\n`, `\r`, `\\` and `\xFF` are bytes, and `\#` is the number of the
//! repetition. The line ends between pieces are not part of the body. The header `as` names a template. With the header
//! `packed`, the body is written compressed already; otherwise it is compressed here.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

/// A request: the important headers, and the body as posted.
#[derive(Debug, Default, Clone)]
pub struct Request {
    /// Names as written.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The bytes of the decoded body.
    pub unpacked: usize,
}

impl Request {
    pub fn new(content_type: &str, body: impl Into<Vec<u8>>) -> Request {
        let body = body.into();
        Request {
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            unpacked: body.len(),
            body,
        }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let is_it = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(is_it)
            .map(|(_, value)| value.as_str())
    }

    /// The bytes to which its cost is compared.
    pub fn bytes(&self) -> usize {
        self.body.len().max(self.unpacked)
    }

    /// The body in a content coding, `gzip` or `deflate`.
    pub fn packed(mut self, coding: &str) -> Request {
        let fast = Compression::fast();
        let packed = match coding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), fast);
                encoder
                    .write_all(&self.body)
                    .and_then(|()| encoder.finish())
            }
            _ => {
                let mut encoder = ZlibEncoder::new(Vec::new(), fast);
                encoder
                    .write_all(&self.body)
                    .and_then(|()| encoder.finish())
            }
        };
        self.body = packed.expect("compressed");
        self.with("Content-Encoding", coding)
    }

    /// Reads a recipe. The body is cut to `most` bytes.
    pub fn read(recipe: &[u8], most: usize) -> Request {
        let mut lines = recipe.split(|&byte| byte == b'\n');
        let mut headers = Vec::new();
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            let line = String::from_utf8_lossy(line);
            if let Some((name, value)) = line.split_once(": ").filter(|_| !line.starts_with('#')) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        let mut body = Vec::new();
        for line in lines {
            add(line, most, &mut body);
        }
        let mut request = Request {
            headers,
            unpacked: body.len(),
            body,
        };
        let is_packed = request.header("packed").is_some();
        let coding = request.headers.iter().position(|(name, value)| {
            name.eq_ignore_ascii_case("Content-Encoding")
                && matches!(value.as_str(), "gzip" | "deflate")
        });
        match coding.filter(|_| !is_packed) {
            Some(at) => {
                let (_, coding) = request.headers.remove(at);
                request.packed(&coding)
            }
            None => request,
        }
    }
}

/// The number of repetitions at the beginning of a line, the sign after it, and the rest.
fn repetitions(line: &[u8]) -> Option<(usize, u8, &[u8])> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = line.split_at_checked(digits)?;
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    match rest {
        [sign @ (b'*' | b'^'), piece @ ..] => Some((number, *sign, piece)),
        _ => None,
    }
}

fn add(line: &[u8], most: usize, body: &mut Vec<u8>) {
    match repetitions(line) {
        Some((count, b'^', _)) => {
            let whole = body.clone();
            for _ in 1..count {
                if whole.is_empty() || body.len() + whole.len() > most {
                    return;
                }
                body.extend(&whole);
            }
        }
        Some((count, _, piece)) => {
            for number in 0..count {
                let before = body.len();
                add_piece(piece, number, body);
                if body.len() > most || body.len() == before {
                    return body.truncate(before);
                }
            }
        }
        None => {
            let before = body.len();
            add_piece(line, 0, body);
            if body.len() > most {
                body.truncate(before);
            }
        }
    }
}

fn add_piece(mut piece: &[u8], number: usize, body: &mut Vec<u8>) {
    while let [byte, rest @ ..] = piece {
        piece = rest;
        if *byte != b'\\' {
            body.push(*byte);
            continue;
        }
        let (byte, rest) = match piece {
            [b'n', rest @ ..] => (b'\n', rest),
            [b'r', rest @ ..] => (b'\r', rest),
            [b'#', rest @ ..] => {
                body.extend(number.to_string().bytes());
                piece = rest;
                continue;
            }
            [b'x', high, low, rest @ ..] => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                (u8::from_str_radix(digits, 16).unwrap_or_default(), rest)
            }
            [byte, rest @ ..] => (*byte, rest),
            [] => (b'\\', piece),
        };
        body.push(byte);
        piece = rest;
    }
}
