//! Charsets: bytes → text.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, Encoding, UTF_16BE, UTF_16LE};

use super::problem::Problem;

/// The charset of a label of the WHATWG Encoding Standard (section 4.2), in any case.
///
/// # Errors
///
/// 415 for any other label, and for the labels of *replacement*, which the standard never decodes.
pub fn named(label: &[u8]) -> Result<&'static Encoding, Problem> {
    Encoding::for_label_no_replacement(label).ok_or_else(|| {
        let shown = label.get(..40).unwrap_or(label).escape_ascii();
        Problem::unsupported(format!(
            "charset \"{shown}\" is not supported; use a label of the WHATWG Encoding Standard, preferably utf-8"
        ))
    })
}

/// The text that a body stands for, without a leading byte-order mark.
///
/// If UTF-16 begins with a byte-order mark, the mark decides the byte order, whatever the label says (RFC 2781 and the
/// standard agree). The mark of another charset has no meaning. If the bytes are valid UTF-8 already, the text is
/// borrowed.
///
/// # Errors
///
/// 400 with the offset of the first sequence that is not valid, in bytes from 0, a mark included.
pub fn decode<'a>(charset: &'static Encoding, bytes: &'a [u8]) -> Result<Cow<'a, str>, Problem> {
    let utf16 = |charset| charset == UTF_16LE || charset == UTF_16BE;
    let (charset, text) = match Encoding::for_bom(bytes) {
        Some((marked, length)) if marked == charset || utf16(marked) && utf16(charset) => {
            (marked, bytes.get(length..).unwrap_or_default())
        }
        _ => (charset, bytes),
    };
    let mark = bytes.len() - text.len();
    decode_exactly(charset, text).map_err(|offset| undecodable(charset, mark + offset))
}

/// The text that a piece of a body stands for. Inside a body, a byte-order mark has no meaning.
///
/// The error is the offset of the first invalid sequence in `bytes`. [`undecodable`] takes it once the start of the
/// piece is added.
pub fn decode_exactly<'a>(
    charset: &'static Encoding,
    bytes: &'a [u8],
) -> Result<Cow<'a, str>, usize> {
    charset
        .decode_without_bom_handling_and_without_replacement(bytes)
        .ok_or_else(|| first_fault(charset, bytes))
}

/// 400: the bytes at this offset of the body are not valid in the charset.
pub fn undecodable(charset: &'static Encoding, offset: usize) -> Problem {
    let name = charset.name();
    Problem::syntax(format!(
        "the body is not {name}: the bytes from byte {offset} on cannot be decoded"
    ))
    .offset(offset)
}

/// Decodes again, without keeping the text: the fast decoder does not report the offset.
fn first_fault(charset: &'static Encoding, bytes: &[u8]) -> usize {
    let mut decoder = charset.new_decoder_without_bom_handling();
    let mut discarded_text = [0; 4096];
    let mut rest = bytes;
    loop {
        let (result, read, _) =
            decoder.decode_to_utf8_without_replacement(rest, &mut discarded_text, true);
        rest = rest.get(read..).unwrap_or_default();
        let read = bytes.len() - rest.len();
        match result {
            DecoderResult::OutputFull => {}
            DecoderResult::InputEmpty => return read,
            // The decoder has also read `behind` bytes after the invalid ones.
            DecoderResult::Malformed(bad, behind) => {
                return read.saturating_sub(usize::from(bad) + usize::from(behind));
            }
        }
    }
}
