//! `Content-Encoding`: the bytes that were sent → the bytes that were meant.

use std::borrow::Cow;
use std::io::{self, BufRead, ErrorKind, Read};
use std::time::{Duration, Instant};

use flate2::bufread::{GzDecoder, ZlibDecoder};

use super::memory::Share;
use super::problem::Problem;

/// More codings in a row than anybody has a use for.
const CODINGS_LIMIT: usize = 5;

/// More members of one gzip stream than anybody has a use for. Each costs a decoder, and an empty one
/// only 20 bytes of the body: without a limit, a small body could take seconds.
const MEMBERS_LIMIT: usize = 1000;

/// How long undoing may take. A bomb is small before it is undone, and so is this: empty blocks cost
/// time, and never reach a limit of size. As long as it takes, the bodies of other accounts wait.
const TIME_LIMIT: Duration = Duration::from_millis(500);

/// What the output grows by at first; later it doubles.
const CHUNK: usize = 16 * 1024;

/// A supported content coding (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952, of one or several members.
    Gzip,
    /// RFC 1950 (zlib), not the bare stream of RFC 1951.
    Deflate,
}

/// Reads the value of `Content-Encoding` (RFC 9110, section 8.4): the codings in the order in which they
/// were applied, without `identity` and empty members.
///
/// # Errors
///
/// 415 for a coding that is not supported, and for more than five.
pub fn parse(content_encoding: Option<&[u8]>) -> Result<Vec<Coding>, Problem> {
    let mut codings = Vec::new();
    for name in content_encoding
        .unwrap_or_default()
        .split(|&byte| byte == b',')
    {
        let name = name.trim_ascii();
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("gzip") || is("x-gzip") {
            codings.push(Coding::Gzip);
        } else if is("deflate") {
            codings.push(Coding::Deflate);
        } else if !name.is_empty() && !is("identity") {
            return Err(Problem::unsupported(
                "this Content-Encoding is not supported; these are: gzip, x-gzip, deflate, identity",
            ));
        }
        if codings.len() > CODINGS_LIMIT {
            return Err(Problem::unsupported(format!(
                "Content-Encoding names more than {CODINGS_LIMIT} codings"
            )));
        }
    }
    Ok(codings)
}

/// Undoes the codings, the last one first, and borrows the body where there is none.
///
/// No stage's output may exceed `limit` bytes, and none is held in memory beyond that, however much more
/// there would be. A stage's input is dropped when its output is complete. What is unpacked counts as the
/// request's body from then on, and takes `memory`.
///
/// # Errors
///
/// 413 for more than `limit` bytes, more memory than there is for the request, or more than a thousand members of gzip; 400 for anything that is not
/// exactly one complete stream with right checksums and nothing behind it.
pub fn undo<'a>(
    codings: &[Coding],
    body: &'a [u8],
    limit: usize,
    memory: &Share,
) -> Result<Cow<'a, [u8]>, Problem> {
    let end = Instant::now() + TIME_LIMIT;
    let mut bytes = Cow::Borrowed(body);
    for coding in codings.iter().rev() {
        let input = Input { rest: &bytes, end };
        let output = Output {
            bytes: Vec::new(),
            limit,
            memory,
        };
        let output = match coding {
            Coding::Gzip => gunzip(input, output)?,
            Coding::Deflate => inflate(input, output)?,
        };
        if let Cow::Owned(input) = &bytes {
            memory.give_back(input.capacity());
        }
        bytes = Cow::Owned(output);
    }
    Ok(bytes)
}

/// What a coding is undone to.
struct Output<'a> {
    bytes: Vec<u8>,
    limit: usize,
    memory: &'a Share,
}

/// Bytes that are handed out in sips, for as long as there is time.
struct Input<'a> {
    rest: &'a [u8],
    end: Instant,
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        const SIP: usize = 4096;
        if Instant::now() > self.end {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(&self.rest[..self.rest.len().min(SIP)])
    }

    fn consume(&mut self, amount: usize) {
        self.rest = self.rest.get(amount..).unwrap_or_default();
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// One or more members (RFC 1952, section 2.2), one behind the other.
fn gunzip(mut input: Input, mut output: Output) -> Result<Vec<u8>, Problem> {
    for member in 0..MEMBERS_LIMIT {
        match input.rest {
            [] if member == 0 => return Err(Problem::syntax("the body is empty, not gzip")),
            [] => return Ok(output.bytes),
            [0x1f, 0x8b, ..] | [0x1f] => {}
            _ if member == 0 => return Err(Problem::syntax("the body is not gzip")),
            _ => return Err(garbage("gzip")),
        }
        let mut decoder = GzDecoder::new(input);
        output.read_to_end(&mut decoder, "gzip")?;
        input = decoder.into_inner();
    }
    match input.rest {
        [] => Ok(output.bytes),
        _ => Err(Problem::too_large(format!(
            "the gzip stream has more than {MEMBERS_LIMIT} members"
        ))),
    }
}

/// One zlib stream (RFC 1950, section 2.2).
fn inflate(input: Input, mut output: Output) -> Result<Vec<u8>, Problem> {
    if input.rest.is_empty() {
        return Err(Problem::syntax("the body is empty, not deflate"));
    }
    let mut decoder = ZlibDecoder::new(input);
    output.read_to_end(&mut decoder, "deflate (a zlib stream, RFC 1950)")?;
    match decoder.into_inner().rest {
        [] => Ok(output.bytes),
        _ => Err(garbage("deflate")),
    }
}

fn garbage(coding: &str) -> Problem {
    Problem::syntax(format!(
        "the body goes on behind the end of its {coding} stream"
    ))
}

impl Output<'_> {
    /// Reads what is left, in pieces that let the capacity never exceed the limit and one byte: the
    /// one that tells that there is more.
    fn read_to_end(&mut self, decoder: &mut impl Read, coding: &str) -> Result<(), Problem> {
        let limit = self.limit;
        loop {
            let len = self.bytes.len();
            let room = limit.saturating_add(1).saturating_sub(len);
            if room == 0 {
                return Err(Problem::too_large(format!(
                    "the decoded body is larger than {limit} bytes"
                )));
            }
            let piece = len.max(CHUNK).min(room);
            let more = (len + piece).saturating_sub(self.bytes.capacity());
            self.memory.take(more)?;
            self.bytes.reserve_exact(piece);
            let read = decoder
                .by_ref()
                .take(piece as u64)
                .read_to_end(&mut self.bytes);
            self.memory.grow_to(self.bytes.len());
            match read {
                Ok(read) if read < piece => return Ok(()),
                Ok(_) => {}
                Err(fault) if fault.kind() == ErrorKind::UnexpectedEof => {
                    return Err(Problem::syntax(format!(
                        "the body is cut off: not all of {coding}"
                    )));
                }
                Err(fault) if fault.kind() == ErrorKind::TimedOut => {
                    return Err(Problem::too_large(format!(
                        "the body takes more than {} ms to decode; send it without Content-Encoding",
                        TIME_LIMIT.as_millis()
                    )));
                }
                Err(fault) => {
                    return Err(Problem::syntax(format!(
                        "the body is not valid {coding}: {fault}"
                    )));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
