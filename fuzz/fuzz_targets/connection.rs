//! The bytes of a connection: where Prosody's parser and this module find its requests, and bodies in chunks that are cut anywhere.

#![no_main]

use libfuzzer_sys::fuzz_target;
use post_msg::http::chunked::{ChunkedBody, Progress};
use post_msg::http::head::{Framing, Head, Skimmed, skim};

/// The longest head that the parser reads.
const LONGEST: usize = 10 * 1024;

fuzz_target!(|input: (Vec<u16>, Vec<u8>)| {
    let (cuts, bytes) = input;
    compare(&bytes);
    heads(&bytes);
    chunks(&bytes, &cuts);
});

/// A step of Prosody's parser, `net.http.parser`: the length of the head at the beginning of `bytes`, and the value of Content-Length,
/// joined if it is repeated. `None`: it needs more, or ends the connection.
fn parse(bytes: &[u8]) -> Option<(usize, Option<String>)> {
    let limited = &bytes[..bytes.len().min(LONGEST)];
    let end = limited.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let mut length: Option<String> = None;
    let mut is_first = true;
    // The pattern "([^\r\n]+)\r\n", again and again.
    let head = &bytes[..end];
    let mut at = 0;
    while at < head.len() {
        let run = head[at..].iter().take_while(|byte| !b"\r\n".contains(byte)).count();
        if run == 0 || !head[at + run..].starts_with(b"\r\n") {
            at += run.max(1);
            continue;
        }
        let line = &head[at..at + run];
        at += run + 2;
        if std::mem::take(&mut is_first) {
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0x0B) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = String::from_utf8_lossy(value).trim_start_matches(' ').to_owned();
            length = Some(length.map_or(value.clone(), |before| format!("{before},{value}")));
        }
    }
    (!is_first).then_some((end, length))
}

/// Until `skim` finds something special, it finds the same requests as the parser.
fn compare(bytes: &[u8]) {
    let Ok(skimmed) = skim(bytes, 0) else { return };
    let mut rest = bytes;
    loop {
        if skimmed == Skimmed::Until(bytes.len() - rest.len()) {
            return;
        }
        if rest.is_empty() {
            assert_eq!(skimmed, Skimmed::Plain(0));
            return;
        }
        // The parser ends the connection for a malformed header line.
        let Some((end, length)) = parse(rest) else { return };
        let length = length.map_or(0, |length| {
            let digits = length.trim();
            assert!(digits.bytes().all(|byte| byte.is_ascii_digit()), "{length:?}");
            digits.parse().unwrap_or(1u64 << 53).min(1 << 53)
        });
        rest = &rest[end..];
        let len = rest.len() as u64;
        if length >= len {
            assert_eq!(skimmed, Skimmed::Plain(length - len));
            return;
        }
        rest = &rest[length as usize..];
    }
}

fn heads(bytes: &[u8]) {
    if let Ok(Some(head)) = Head::read(bytes) {
        assert!(head.bytes.ends_with(b"\r\n\r\n") && bytes.starts_with(head.bytes));
        let _ = head.route();
        let reframed = head.reframed("Content-Length: 3");
        let again = Head::read(&reframed);
        if reframed.len() <= LONGEST {
            assert_eq!(again.unwrap().unwrap().framing, Framing::Length(3));
        }
    }
}

/// What a body and its chunks have become.
fn read(pieces: &[&[u8]], limit: usize) -> (String, Vec<u8>) {
    let mut body = ChunkedBody::new(limit);
    let mut before = 0;
    for piece in pieces {
        let outcome = body.read(piece);
        assert!(body.body().len() <= limit);
        match outcome {
            Ok(Progress::More) => before += piece.len(),
            Ok(Progress::Complete(len)) => return (format!("complete {}", before + len), body.body().to_vec()),
            Ok(Progress::TooLarge) => return ("too large".to_owned(), body.body().to_vec()),
            Err(malformed) => return (malformed.to_string(), body.body().to_vec()),
        }
    }
    ("more".to_owned(), body.body().to_vec())
}

/// The bytes become the same body in one piece and in several; so do the bytes in chunks.
fn chunks(bytes: &[u8], cuts: &[u16]) {
    let whole = read(&[bytes], 100_000);
    assert_eq!(read(&pieces(bytes, cuts), 100_000), whole);
    let mut sent = Vec::new();
    for chunk in pieces(bytes, cuts) {
        if !chunk.is_empty() {
            sent.extend(format!("{:x}\r\n", chunk.len()).bytes());
            sent.extend(chunk);
            sent.extend(b"\r\n");
        }
    }
    sent.extend(b"0\r\n\r\n");
    let complete = (format!("complete {}", sent.len()), bytes.to_vec());
    assert_eq!(read(&[&sent], 100_000), complete);
    assert_eq!(read(&pieces(&sent, cuts), bytes.len()), complete);
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[u16]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|&cut| usize::from(cut) % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect()
}
