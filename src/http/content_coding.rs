//! `Content-Encoding`: the bytes that were sent → the bytes that were meant.

use std::borrow::Cow;
use std::io::{self, BufRead, ErrorKind, Read};
use std::time::{Duration, Instant};

use flate2::bufread::{GzDecoder, ZlibDecoder};

use super::problem::Problem;

/// More codings in a row than anybody has a use for.
const CODINGS_LIMIT: usize = 5;

/// More members of one gzip stream than anybody has a use for. Each costs a decoder, and an empty one
/// only 20 bytes of the body: without a limit, a small body could take seconds.
const MEMBERS_LIMIT: usize = 1000;

/// How long undoing may take. A bomb is small before it is undone, and so is this: empty blocks cost
/// time, and never reach a limit of size.
const TIME_LIMIT: Duration = Duration::from_secs(1);

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
/// there would be. A stage's input is dropped when its output is complete.
///
/// # Errors
///
/// 413 for more than `limit` bytes, or more than a thousand members of gzip; 400 for anything that is not
/// exactly one complete stream with right checksums and nothing behind it.
pub fn undo<'a>(
    codings: &[Coding],
    body: &'a [u8],
    limit: usize,
) -> Result<Cow<'a, [u8]>, Problem> {
    let end = Instant::now() + TIME_LIMIT;
    let mut bytes = Cow::Borrowed(body);
    for coding in codings.iter().rev() {
        let input = Input { rest: &bytes, end };
        bytes = Cow::Owned(match coding {
            Coding::Gzip => gunzip(input, limit)?,
            Coding::Deflate => inflate(input, limit)?,
        });
    }
    Ok(bytes)
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
fn gunzip(mut input: Input, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut output = Vec::new();
    for member in 0..MEMBERS_LIMIT {
        match input.rest {
            [] if member == 0 => return Err(Problem::syntax("the body is empty, not gzip")),
            [] => return Ok(output),
            [0x1f, 0x8b, ..] | [0x1f] => {}
            _ if member == 0 => return Err(Problem::syntax("the body is not gzip")),
            _ => return Err(garbage("gzip")),
        }
        let mut decoder = GzDecoder::new(input);
        read_to_end(&mut decoder, &mut output, limit, "gzip")?;
        input = decoder.into_inner();
    }
    match input.rest {
        [] => Ok(output),
        _ => Err(Problem::too_large(format!(
            "the gzip stream has more than {MEMBERS_LIMIT} members"
        ))),
    }
}

/// One zlib stream (RFC 1950, section 2.2).
fn inflate(input: Input, limit: usize) -> Result<Vec<u8>, Problem> {
    if input.rest.is_empty() {
        return Err(Problem::syntax("the body is empty, not deflate"));
    }
    let mut output = Vec::new();
    let mut decoder = ZlibDecoder::new(input);
    read_to_end(
        &mut decoder,
        &mut output,
        limit,
        "deflate (a zlib stream, RFC 1950)",
    )?;
    match decoder.into_inner().rest {
        [] => Ok(output),
        _ => Err(garbage("deflate")),
    }
}

fn garbage(coding: &str) -> Problem {
    Problem::syntax(format!(
        "the body goes on behind the end of its {coding} stream"
    ))
}

/// Reads what is left, in pieces that let the output's capacity never exceed `limit` and one byte: the
/// one that tells that there is more.
fn read_to_end(
    decoder: &mut impl Read,
    output: &mut Vec<u8>,
    limit: usize,
    coding: &str,
) -> Result<(), Problem> {
    loop {
        let room = limit.saturating_add(1).saturating_sub(output.len());
        if room == 0 {
            return Err(Problem::too_large(format!(
                "the decoded body is larger than {limit} bytes"
            )));
        }
        let piece = output.len().max(CHUNK).min(room);
        output.reserve_exact(piece);
        let read = decoder.by_ref().take(piece as u64).read_to_end(output);
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
                    "the body takes more than {} second to decode; send it without Content-Encoding",
                    TIME_LIMIT.as_secs()
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use flate2::{Compression, GzBuilder};
    use proptest::prelude::*;

    use super::Coding::{Deflate, Gzip};
    use super::*;

    const LIMIT: usize = 200_000;

    fn compress(coding: Coding, data: &[u8], level: u32) -> Vec<u8> {
        let level = Compression::new(level);
        match coding {
            Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(data).and_then(|()| encoder.finish())
            }
            Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(data).and_then(|()| encoder.finish())
            }
        }
        .unwrap()
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        compress(Gzip, data, 6)
    }

    #[track_caller]
    fn refused(codings: &[Coding], body: &[u8], limit: usize, status: u16, says: &str) {
        let problem = undo(codings, body, limit).expect_err(says);
        assert_eq!(problem.status, status, "{problem}");
        assert!(problem.detail.contains(says), "{problem}");
    }

    #[test]
    fn codings_are_read_in_their_order_and_in_any_case() {
        for (value, codings) in [
            ("gzip", &[Gzip][..]),
            ("X-GZip", &[Gzip]),
            (" Deflate ", &[Deflate]),
            ("gzip, deflate", &[Gzip, Deflate]),
            ("gzip,gzip ,\tgzip", &[Gzip; 3]),
            ("", &[]),
            (", ,identity,", &[]),
            ("identity, gzip, IDENTITY", &[Gzip]),
            ("gzip,gzip,gzip,gzip,gzip", &[Gzip; 5]),
        ] {
            assert_eq!(
                parse(Some(value.as_bytes())).as_deref(),
                Ok(codings),
                "{value:?}"
            );
        }
        assert_eq!(parse(None), Ok(vec![]));
    }

    #[test]
    fn other_codings_are_answered_with_those_that_are_supported() {
        for value in [
            "br", "zstd", "compress", "gzip, br", "br, gzip", "gzip;q=1", "g zip", "\"gzip\"", "ü",
        ] {
            let problem = parse(Some(value.as_bytes())).expect_err(value);
            assert_eq!(problem.status, 415, "{value:?}");
            assert!(problem.detail.contains("gzip, x-gzip, deflate, identity"));
        }
        let six = parse(Some(b"gzip,gzip,gzip,gzip,gzip,gzip"));
        assert!(six.is_err_and(|problem| problem.status == 415));
    }

    #[test]
    fn without_a_coding_the_body_is_borrowed() {
        assert!(matches!(
            undo(&[], b"as is", 0),
            Ok(Cow::Borrowed(b"as is"))
        ));
    }

    #[test]
    fn several_members_of_gzip_are_one_body() {
        let members = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        assert_eq!(
            undo(&[Gzip], &members, LIMIT).as_deref(),
            Ok(&b"one two"[..])
        );
    }

    #[test]
    fn gzip_may_have_a_name_a_comment_and_an_extra_field() {
        let mut encoder = GzBuilder::new()
            .filename("name.txt")
            .comment("said of it")
            .extra(&b"abcd"[..])
            .mtime(1)
            .write(Vec::new(), Compression::best());
        encoder.write_all(b"packed").unwrap();
        let body = encoder.finish().unwrap();
        assert_eq!(undo(&[Gzip], &body, LIMIT).as_deref(), Ok(&b"packed"[..]));
    }

    #[test]
    fn what_is_cut_off_anywhere_is_refused() {
        for coding in [Gzip, Deflate] {
            let whole = compress(coding, &b"packed ".repeat(50), 6);
            for length in 0..whole.len() {
                let problem = undo(&[coding], &whole[..length], LIMIT).expect_err("cut off");
                assert_eq!(problem.status, 400, "{coding:?} {length}: {problem}");
                let says = if length == 0 { "empty" } else { "cut off" };
                assert!(
                    problem.detail.contains(says),
                    "{coding:?} {length}: {problem}"
                );
            }
            let two = [whole.clone(), whole[..9].to_vec()].concat();
            assert!(undo(&[coding], &two, LIMIT).is_err_and(|problem| problem.status == 400));
        }
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let whole = gzip(&b"packed ".repeat(50));
        for place in [
            0,
            1,
            2,
            3,
            12,
            whole.len() - 8,
            whole.len() - 4,
            whole.len() - 1,
        ] {
            let mut body = whole.clone();
            body[place] ^= 0xE1;
            let result = undo(&[Gzip], &body, LIMIT);
            assert!(
                result.is_err_and(|problem| problem.status == 400),
                "byte {place}"
            );
        }
        let mut body = whole.clone();
        body[whole.len() - 8] ^= 1;
        refused(&[Gzip], &body, LIMIT, 400, "checksum");

        let mut body = compress(Deflate, &b"packed ".repeat(50), 6);
        let last = body.len() - 1;
        body[last] ^= 1;
        refused(&[Deflate], &body, LIMIT, 400, "not valid deflate");
    }

    #[test]
    fn what_is_not_of_the_coding_is_refused() {
        let text = b"not packed at all";
        refused(&[Gzip], text, LIMIT, 400, "not gzip");
        refused(&[Deflate], text, LIMIT, 400, "not valid deflate");
        refused(&[Gzip], &compress(Deflate, text, 6), LIMIT, 400, "not gzip");
        refused(&[Deflate], &gzip(text), LIMIT, 400, "not valid deflate");

        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        let raw = encoder.finish().unwrap();
        refused(&[Deflate], &raw, LIMIT, 400, "zlib stream");
    }

    #[test]
    fn bytes_behind_the_end_are_refused() {
        for tail in [
            &b"garbage"[..],
            b"\0",
            b"\0\0\0\0",
            b"\x1f",
            b"\x1f\x8b",
            b"\x1f\x8bx",
        ] {
            for coding in [Gzip, Deflate] {
                let body = [compress(coding, b"tail", 6), tail.to_vec()].concat();
                let result = undo(&[coding], &body, LIMIT);
                assert!(
                    result.is_err_and(|problem| problem.status == 400),
                    "{coding:?} {tail:?}"
                );
            }
        }
        refused(
            &[Gzip],
            &[gzip(b"x"), b"yz".to_vec()].concat(),
            LIMIT,
            400,
            "behind the end",
        );
    }

    #[test]
    fn the_limit_is_the_last_size_that_passes_at_every_stage() {
        let data = vec![b'z'; LIMIT];
        for coding in [Gzip, Deflate] {
            let body = compress(coding, &data, 6);
            assert_eq!(undo(&[coding], &body, LIMIT).as_deref(), Ok(&data[..]));
            refused(&[coding], &body, LIMIT - 1, 413, "199999");
            refused(&[coding], &body, 0, 413, " 0 bytes");
            assert_eq!(undo(&[coding], &body, usize::MAX).as_deref(), Ok(&data[..]));
        }
        let halves = [gzip(&data[..LIMIT / 2]), gzip(&data[..LIMIT / 2 + 1])].concat();
        refused(&[Gzip], &halves, LIMIT, 413, "200000");
        let inner = compress(Gzip, b"small", 0);
        let twice = gzip(&inner);
        assert_eq!(
            undo(&[Gzip; 2], &twice, inner.len()).as_deref(),
            Ok(&b"small"[..])
        );
        refused(&[Gzip; 2], &twice, inner.len() - 1, 413, "larger than");
        assert_eq!(undo(&[Gzip], &gzip(b""), 0).as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn the_output_is_never_held_beyond_the_limit() {
        let body = gzip(&vec![b'0'; 20_000_000]);
        let mut output = Vec::new();
        let result = read_to_end(&mut GzDecoder::new(&body[..]), &mut output, LIMIT, "gzip");
        assert!(result.is_err_and(|problem| problem.status == 413));
        assert_eq!(output.capacity(), LIMIT + 1);
    }

    #[test]
    fn members_of_gzip_without_number_are_refused() {
        let empty = gzip(b"");
        assert!(undo(&[Gzip], &empty.repeat(MEMBERS_LIMIT), LIMIT).is_ok());
        refused(
            &[Gzip],
            &empty.repeat(MEMBERS_LIMIT + 1),
            LIMIT,
            413,
            "members",
        );
    }

    fn any_codings() -> impl Strategy<Value = Vec<Coding>> {
        let one = proptest::sample::select(&[Gzip, Deflate][..]);
        proptest::collection::vec(one, 0..4)
    }

    proptest! {
        #[test]
        fn no_header_panics(value in any::<Vec<u8>>()) {
            let _ = parse(Some(&value));
        }

        #[test]
        fn no_bytes_panic(codings in any_codings(), bytes in any::<Vec<u8>>(), limit in 0..100usize) {
            let _ = undo(&codings, &bytes, limit);
            let _ = undo(&[Gzip], &[b"\x1f\x8b\x08", &bytes[..]].concat(), limit);
            let _ = undo(&[Deflate], &[b"\x78\x9c", &bytes[..]].concat(), limit);
        }

        #[test]
        fn what_was_compressed_comes_back(
            codings in any_codings(), data in any::<Vec<u8>>(), repeat in 0..300usize, level in 0..10u32
        ) {
            let data = data.repeat(repeat);
            let body = codings.iter().fold(data.clone(), |body, coding| compress(*coding, &body, level));
            let undone = undo(&codings, &body, usize::MAX);
            prop_assert_eq!(undone.as_deref(), Ok(&data[..]));
        }

        #[test]
        fn a_damaged_stream_never_yields_another_text(
            coding in proptest::sample::select(&[Gzip, Deflate][..]),
            data in "[a-c]{0,200}", place in any::<proptest::sample::Index>(), bit in 0..8u32
        ) {
            let mut body = compress(coding, data.as_bytes(), 6);
            let place = place.index(body.len());
            body[place] ^= 1 << bit;
            if let Ok(read) = undo(&[coding], &body, LIMIT) {
                prop_assert_eq!(&*read, data.as_bytes());
            }
        }
    }

    #[test]
    fn blocks_that_hold_nothing_are_given_up_in_time() {
        // Empty blocks with the fixed code, 10 bits each: eight of them are ten bytes.
        let block = [0b00000010, 0b00001000, 0b00100000, 0b10000000, 0b00000000u8];
        let mut body = vec![0x78, 0x9c];
        for _ in 0..2_000_000 {
            body.extend_from_slice(&block);
        }
        let problem = undo(&[Deflate], &body, LIMIT).unwrap_err();
        assert_eq!(problem.status, 413, "{problem}");
    }
}
