use std::io::Write;

use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use flate2::{Compression, GzBuilder};
use proptest::prelude::*;

use super::Coding::{Deflate, Gzip};
use super::*;
use crate::http::memory::Memory;

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

/// Decodes a body that shares its memory with no other.
fn decode<'a>(codings: &[Coding], body: &'a [u8], limit: usize) -> Result<Cow<'a, [u8]>, Problem> {
    undo(codings, body, limit, &Share::unshared(body.len()))
}

#[track_caller]
fn assert_refused(codings: &[Coding], body: &[u8], limit: usize, status: u16, part: &str) {
    let problem = decode(codings, body, limit).expect_err(part);
    assert_eq!(problem.status(), status, "{problem}");
    assert!(problem.detail.contains(part), "{problem}");
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
fn an_unknown_coding_is_answered_with_the_supported_ones() {
    for value in [
        "br", "zstd", "compress", "gzip, br", "br, gzip", "gzip;q=1", "g zip", "\"gzip\"", "ü",
    ] {
        let problem = parse(Some(value.as_bytes())).expect_err(value);
        assert_eq!(problem.status(), 415, "{value:?}");
        assert!(problem.detail.contains("gzip, x-gzip, deflate, identity"));
    }
    let six_codings = parse(Some(b"gzip,gzip,gzip,gzip,gzip,gzip"));
    assert!(six_codings.is_err_and(|problem| problem.status() == 415));
}

#[test]
fn without_a_coding_the_body_is_borrowed() {
    assert!(matches!(
        decode(&[], b"as is", 0),
        Ok(Cow::Borrowed(b"as is"))
    ));
}

#[test]
fn the_members_of_a_gzip_stream_are_one_body() {
    let members = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
    assert_eq!(
        decode(&[Gzip], &members, LIMIT).as_deref(),
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
    assert_eq!(decode(&[Gzip], &body, LIMIT).as_deref(), Ok(&b"packed"[..]));
}

#[test]
fn a_stream_that_is_cut_off_anywhere_is_refused() {
    for coding in [Gzip, Deflate] {
        let complete = compress(coding, &b"packed ".repeat(50), 6);
        for length in 0..complete.len() {
            let problem = decode(&[coding], &complete[..length], LIMIT).expect_err("cut off");
            assert_eq!(problem.status(), 400, "{coding:?} {length}: {problem}");
            let part = if length == 0 { "empty" } else { "cut off" };
            assert!(
                problem.detail.contains(part),
                "{coding:?} {length}: {problem}"
            );
        }
        let two_members = [complete.clone(), complete[..9].to_vec()].concat();
        assert!(
            decode(&[coding], &two_members, LIMIT).is_err_and(|problem| problem.status() == 400)
        );
    }
}

#[test]
fn a_damaged_stream_is_refused() {
    let complete = gzip(&b"packed ".repeat(50));
    for place in [
        0,
        1,
        2,
        3,
        12,
        complete.len() - 8,
        complete.len() - 4,
        complete.len() - 1,
    ] {
        let mut body = complete.clone();
        body[place] ^= 0xE1;
        let result = decode(&[Gzip], &body, LIMIT);
        assert!(
            result.is_err_and(|problem| problem.status() == 400),
            "byte {place}"
        );
    }
    let mut body = complete.clone();
    body[complete.len() - 8] ^= 1;
    assert_refused(&[Gzip], &body, LIMIT, 400, "checksum");

    let mut body = compress(Deflate, &b"packed ".repeat(50), 6);
    let last = body.len() - 1;
    body[last] ^= 1;
    assert_refused(&[Deflate], &body, LIMIT, 400, "not valid deflate");
}

#[test]
fn bytes_of_another_coding_are_refused() {
    let text = b"not packed at all";
    assert_refused(&[Gzip], text, LIMIT, 400, "not gzip");
    assert_refused(&[Deflate], text, LIMIT, 400, "not valid deflate");
    assert_refused(&[Gzip], &compress(Deflate, text, 6), LIMIT, 400, "not gzip");
    assert_refused(&[Deflate], &gzip(text), LIMIT, 400, "not valid deflate");

    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    let raw = encoder.finish().unwrap();
    assert_refused(&[Deflate], &raw, LIMIT, 400, "zlib stream");
}

#[test]
fn bytes_after_the_end_are_refused() {
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
            let result = decode(&[coding], &body, LIMIT);
            assert!(
                result.is_err_and(|problem| problem.status() == 400),
                "{coding:?} {tail:?}"
            );
        }
    }
    assert_refused(
        &[Gzip],
        &[gzip(b"x"), b"yz".to_vec()].concat(),
        LIMIT,
        400,
        "after the end",
    );
}

#[test]
fn the_limit_is_the_last_size_that_passes_at_every_stage() {
    let data = vec![b'z'; LIMIT];
    for coding in [Gzip, Deflate] {
        let body = compress(coding, &data, 6);
        assert_eq!(decode(&[coding], &body, LIMIT).as_deref(), Ok(&data[..]));
        assert_refused(&[coding], &body, LIMIT - 1, 413, "199999");
        assert_refused(&[coding], &body, 0, 413, " 0 bytes");
        assert_eq!(
            decode(&[coding], &body, usize::MAX).as_deref(),
            Ok(&data[..])
        );
    }
    let halves = [gzip(&data[..LIMIT / 2]), gzip(&data[..LIMIT / 2 + 1])].concat();
    assert_refused(&[Gzip], &halves, LIMIT, 413, "200000");
    let inner = compress(Gzip, b"small", 0);
    let packed_twice = gzip(&inner);
    assert_eq!(
        decode(&[Gzip; 2], &packed_twice, inner.len()).as_deref(),
        Ok(&b"small"[..])
    );
    assert_refused(
        &[Gzip; 2],
        &packed_twice,
        inner.len() - 1,
        413,
        "larger than",
    );
    assert_eq!(decode(&[Gzip], &gzip(b""), 0).as_deref(), Ok(&b""[..]));
}

#[test]
fn the_output_never_takes_more_memory_than_the_limit() {
    let body = gzip(&vec![b'0'; 20_000_000]);
    let memory = Share::unshared(body.len());
    let mut output = Output {
        bytes: Vec::new(),
        limit: LIMIT,
        memory: &memory,
    };
    let result = output.read_to_end(&mut GzDecoder::new(&body[..]), "gzip");
    assert!(result.is_err_and(|problem| problem.status() == 413));
    assert_eq!(output.bytes.capacity(), LIMIT + 1);
    assert_eq!(memory.taken(), LIMIT + 1);
}

#[test]
fn decoded_bytes_take_memory_until_the_next_coding_is_decoded() {
    static MEMORY: Memory = Memory::new();
    // Small enough for the time limit in a debug build.
    let data = vec![b'0'; 10 << 20];
    let body = gzip(&gzip(&data[..5 << 20]));
    let memory = Share::of(&MEMORY, "a", body.len(), 64 << 20);
    let decoded = undo(&[Gzip; 2], &body, 64 << 20, &memory).map(|bytes| bytes.len());
    assert_eq!(decoded, Ok(5 << 20));
    assert!(
        (5 << 20..9 << 20).contains(&memory.taken()),
        "{}",
        memory.taken()
    );

    drop(memory);
    let other_share = Share::of(&MEMORY, "a", 8 << 20, 1 << 20);
    assert!(other_share.take(32 << 20).is_ok());
    let body = gzip(&gzip(&data));
    let memory = Share::of(&MEMORY, "b", body.len(), 1 << 20);
    let status = undo(&[Gzip; 2], &body, 64 << 20, &memory).map_err(|problem| problem.status());
    assert_eq!(status.err(), Some(503));
}

#[test]
fn too_many_members_of_gzip_are_refused() {
    let empty = gzip(b"");
    assert!(decode(&[Gzip], &empty.repeat(MEMBERS_LIMIT), LIMIT).is_ok());
    assert_refused(
        &[Gzip],
        &empty.repeat(MEMBERS_LIMIT + 1),
        LIMIT,
        413,
        "members",
    );
}

fn any_codings() -> impl Strategy<Value = Vec<Coding>> {
    let coding = proptest::sample::select(&[Gzip, Deflate][..]);
    proptest::collection::vec(coding, 0..4)
}

proptest! {
    #[test]
    fn no_header_panics(value in any::<Vec<u8>>()) {
        let _ = parse(Some(&value));
    }

    #[test]
    fn no_bytes_panic(codings in any_codings(), bytes in any::<Vec<u8>>(), limit in 0..100usize) {
        let _ = decode(&codings, &bytes, limit);
        let _ = decode(&[Gzip], &[b"\x1f\x8b\x08", &bytes[..]].concat(), limit);
        let _ = decode(&[Deflate], &[b"\x78\x9c", &bytes[..]].concat(), limit);
    }

    #[test]
    fn compressed_data_is_decoded_unchanged(
        codings in any_codings(), data in any::<Vec<u8>>(), repeat in 0..300usize, level in 0..10u32
    ) {
        let data = data.repeat(repeat);
        let body = codings.iter().fold(data.clone(), |body, coding| compress(*coding, &body, level));
        let decoded = decode(&codings, &body, usize::MAX);
        prop_assert_eq!(decoded.as_deref(), Ok(&data[..]));
    }

    // Deflate's Adler-32 is too weak for this: different texts of few letters may have the same sum.
    #[test]
    fn a_damaged_gzip_stream_never_yields_another_text(
        data in "[a-c]{0,200}", place in any::<proptest::sample::Index>(), bit in 0..8u32
    ) {
        let mut body = compress(Gzip, data.as_bytes(), 6);
        let place = place.index(body.len());
        body[place] ^= 1 << bit;
        if let Ok(read) = decode(&[Gzip], &body, LIMIT) {
            prop_assert_eq!(&*read, data.as_bytes());
        }
    }
}

#[test]
fn decoding_empty_blocks_ends_at_the_time_limit() {
    // Empty blocks with the fixed code, 10 bits each: eight of them are ten bytes.
    let block = [0b00000010, 0b00001000, 0b00100000, 0b10000000, 0b00000000u8];
    let mut body = vec![0x78, 0x9c];
    for _ in 0..2_000_000 {
        body.extend_from_slice(&block);
    }
    let problem = decode(&[Deflate], &body, LIMIT).unwrap_err();
    assert_eq!(problem.status(), 413, "{problem}");
}
