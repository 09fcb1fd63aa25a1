//! `Content-Encoding`: the bytes as sent → the decoded bytes.

use std::borrow::Cow;
use std::io::{self, BufRead, ErrorKind, Read};
use std::time::Duration;

use flate2::bufread::{GzDecoder, ZlibDecoder};
use rustix::time::{ClockId, clock_gettime};

use super::memory::Share;
use super::problem::Problem;

/// The maximum number of codings in a row.
const CODINGS_LIMIT: usize = 5;

/// The maximum number of members of one gzip stream. Each needs a decoder, and an empty member has only 20 bytes: without a limit, a
/// small body could take seconds.
const MEMBERS_LIMIT: usize = 1000;

/// How much CPU time decoding may take. A small body of empty blocks takes long without reaching a limit of size, and the
/// bodies of other accounts wait for it. Unlike the time of a clock, it hardly depends on what else the machine does.
const TIME_LIMIT: Duration = Duration::from_millis(500);

/// The first capacity of the output; later it doubles.
const CHUNK: usize = 16 * 1024;

/// A supported content coding (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952, with one or several members.
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

/// Decodes a body, the last coding first. Without a coding, the body is borrowed.
///
/// The output of each stage has at most `limit` bytes in memory. The input of a stage is dropped when its output is
/// complete. The decoded bytes count as the request's body from then on, and take `memory`.
///
/// # Errors
///
/// 413 for more than `limit` bytes, for more memory than the request may take, or for more than a thousand members of
/// gzip. 400 unless the bytes are exactly one complete stream with right checksums and nothing after it.
pub fn undo<'a>(
    codings: &[Coding],
    body: &'a [u8],
    limit: usize,
    memory: &Share,
) -> Result<Cow<'a, [u8]>, Problem> {
    let end = cpu_time().saturating_add(TIME_LIMIT);
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

/// The output of a decoder.
struct Output<'a> {
    bytes: Vec<u8>,
    limit: usize,
    memory: &'a Share,
}

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or(Duration::MAX)
}

/// A reader of bytes that returns few at a time, and fails when the thread's CPU time exceeds `end`.
struct Input<'a> {
    rest: &'a [u8],
    end: Duration,
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        const SIP: usize = 4096;
        if cpu_time() > self.end {
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

/// One or more members (RFC 1952, section 2.2).
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
        "the body has bytes after the end of its {coding} stream"
    ))
}

impl Output<'_> {
    /// Reads the rest in pieces. The capacity exceeds the limit by one byte at most: this byte shows that the output is
    /// too large.
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
                        "the body is cut off before the end of its {coding} stream"
                    )));
                }
                Err(fault) if fault.kind() == ErrorKind::TimedOut => {
                    return Err(Problem::too_large(format!(
                        "the body takes more than {} ms of CPU time to decode; send it without Content-Encoding",
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
