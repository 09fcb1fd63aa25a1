//! `application/x-www-form-urlencoded` → draft.

use std::borrow::Cow;
use std::fmt;

use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE};
use memchr::{memchr, memchr2};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use super::body::{Body, Extras, Sink};
use super::name::Name;
use super::{json, text};
use crate::http::charset::{decode, decode_exactly, undecodable};
use crate::http::percent::escaped_byte;
use crate::http::problem::Problem;
use crate::message::draft::Draft;
use crate::message::field::Field;
use crate::message::limits::Limits;

/// Reads the fields of a form (WHATWG URL, section 5.1). Bytes that are not valid are refused, not replaced. JSON, and a text without
/// any `=`, are read as such: curl sends them as a form.
///
/// The charset applies to raw and to percent-encoded bytes.
///
/// # Errors
///
/// 400 with the offset in the body for bytes that are not valid in the charset.
pub fn read(body: &Body, limits: &Limits, take: &mut Sink) -> Result<Extras, Problem> {
    if json::is_json(body, limits) {
        return json::read(body, limits, take);
    }
    if !body.bytes.is_empty() && !has_pairs(body) {
        return text::read(body, limits, take);
    }
    let mut draft = Draft {
        read_as: "a form",
        ..Draft::default()
    };
    each_pair(body, |name, value| {
        match Field::named(name) {
            Some(field) => draft.add(field, value, limits),
            None => draft.add_unknown(name),
        }
        Ok(())
    })?;
    take(draft)?;
    Ok(Extras::default())
}

/// Whether there is any `=`. curl sends a text without one as a form.
fn has_pairs(body: &Body) -> bool {
    let bytes = body.bytes;
    let may_be_another_character = is_text_first(body.charset, bytes) && !is_plain_ascii(bytes);
    memchr(b'=', bytes).is_some()
        && !(may_be_another_character
            && decode(body.charset, bytes).is_ok_and(|text| !text.contains('=')))
}

/// Calls `take` with each pair of a form, in order.
///
/// # Errors
/// As [`read`], and the problem of `take`.
pub(super) fn each_pair(
    body: &Body,
    mut take: impl FnMut(&str, String) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let (charset, body) = (body.charset, body.bytes);
    let utf8 = if is_text_first(charset, body) {
        Cow::Owned(text_first(charset, body)?)
    } else {
        bytes_first(charset, body)?
    };
    let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(&utf8));
    let mut fault = None;
    let take = |name: &str, value| {
        if fault.is_none() {
            fault = take(name, value).err();
        }
    };
    let read = Pairs(take).deserialize(deserializer);
    match fault {
        Some(fault) => Err(fault),
        None => read.map_err(|error| Problem::syntax(format!("the form cannot be read: {error}"))),
    }
}

/// Reads the pairs of a form in valid UTF-8.
struct Pairs<F>(F);

impl<'de, F: FnMut(&str, String)> DeserializeSeed<'de> for Pairs<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, String)> Visitor<'de> for Pairs<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("the pairs of a form")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut pairs: A) -> Result<(), A::Error> {
        while let Some((Name(name), value)) = pairs.next_entry::<Name, String>()? {
            (self.0)(&name, value);
        }
        Ok(())
    }
}

/// The same form in valid UTF-8. Each name and value is first percent-decoded, then decoded from the charset: a
/// character may be half raw and half escaped (`%83A` in Shift_JIS).
fn bytes_first<'a>(charset: &'static Encoding, body: &'a [u8]) -> Result<Cow<'a, [u8]>, Problem> {
    let mark = match Encoding::for_bom(body) {
        Some((marked, length)) if marked == charset => length,
        _ => 0,
    };
    let form = body.get(mark..).unwrap_or_default();
    let mut utf8 = Vec::new();
    let mut unescaped = Vec::new();
    let mut pairs = Some(form);
    let mut at = mark;
    while let Some(rest) = pairs {
        let (pair, more) = split(rest, b'&');
        let (name, value) = split(pair, b'=');
        for (piece, end) in [(Some(name), b'='), (value, b'&')] {
            let Some(piece) = piece else { continue };
            let bytes = unescape(piece, &mut unescaped);
            let text = decode_exactly(charset, bytes)
                .map_err(|index| undecodable(charset, at + place_in(piece, index)))?;
            if charset != UTF_8 {
                escape(&text, &mut utf8);
                // A name without a value is the same as one with an empty value.
                utf8.push(end);
            }
            at += piece.len() + 1;
        }
        if charset != UTF_8 && value.is_none() {
            utf8.push(b'&');
        }
        pairs = more;
    }
    Ok(if charset == UTF_8 {
        Cow::Borrowed(form)
    } else {
        Cow::Owned(utf8)
    })
}

/// The bytes before and after the first separator.
fn split(bytes: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match memchr(separator, bytes).and_then(|at| bytes.split_at_checked(at)) {
        Some((before, behind)) => (before, behind.get(1..)),
        None => (bytes, None),
    }
}

/// A name or value without its escapes. `room` holds it if it has any. A `%` without two hex digits after it stands for
/// itself.
fn unescape<'a>(piece: &'a [u8], room: &'a mut Vec<u8>) -> &'a [u8] {
    if memchr2(b'%', b'+', piece).is_none() {
        return piece;
    }
    room.clear();
    let mut rest = piece;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        room.push(match byte {
            b'+' => b' ',
            b'%' => match escaped_byte(behind) {
                Some((escaped, behind)) => {
                    rest = behind;
                    escaped
                }
                None => b'%',
            },
            byte => byte,
        });
    }
    room
}

/// The place in an escaped piece of the byte that has this index in the unescaped piece.
fn place_in(piece: &[u8], index: usize) -> usize {
    (0..index).fold(0, |at, _| match piece.get(at..) {
        Some([b'%', digits @ ..]) if escaped_byte(digits).is_some() => at + 3,
        _ => at + 1,
    })
}

/// Appends text to a form. The bytes with a meaning in forms are escaped.
fn escape(text: &str, form: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'%' => form.extend(b"%25"),
            b'&' => form.extend(b"%26"),
            b'+' => form.extend(b"%2B"),
            b'=' => form.extend(b"%3D"),
            byte => form.push(byte),
        }
    }
}

/// Whether it cannot be text in UTF-16, which has NUL bytes around ASCII.
fn is_plain_ascii(bytes: &[u8]) -> bool {
    bytes.is_ascii() && memchr(0, bytes).is_none()
}

fn is_utf16(charset: &'static Encoding) -> bool {
    charset == UTF_16LE || charset == UTF_16BE
}

/// Whether the bytes `&`, `=`, `+` and `%` may be parts of other characters: in UTF-16, and in ISO-2022-JP after a raw
/// escape sequence.
fn is_text_first(charset: &'static Encoding, body: &[u8]) -> bool {
    is_utf16(charset) || charset == ISO_2022_JP && memchr(0x1B, body).is_some()
}

/// The same form in valid UTF-8. First the body is decoded, then each run of escapes.
///
/// A form in UTF-16 always has NUL bytes. If an ASCII form is labelled UTF-16, only its escapes are in UTF-16.
fn text_first(charset: &'static Encoding, body: &[u8]) -> Result<Vec<u8>, Problem> {
    let ascii = is_utf16(charset) && is_plain_ascii(body);
    let body_charset = if ascii { UTF_8 } else { charset };
    let text = decode(body_charset, body)?;
    let (charset, mark) = match Encoding::for_bom(body) {
        Some((marked, length)) if is_utf16(charset) && is_utf16(marked) => (marked, length),
        _ => (charset, 0),
    };
    let place = |index| match ascii {
        true => index,
        false => mark + place_of_text(charset, body.get(mark..).unwrap_or_default(), index),
    };

    let mut utf8 = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((before, mut escapes)) =
        memchr(b'%', rest).and_then(|at| rest.split_at_checked(at))
    {
        utf8.extend(before);
        let start = text.len() - escapes.len();
        let mut run = Vec::new();
        while let Some((byte, behind)) = escapes.strip_prefix(b"%").and_then(escaped_byte) {
            run.push(byte);
            escapes = behind;
        }
        if let (true, Some(behind)) = (run.is_empty(), escapes.get(1..)) {
            utf8.extend(b"%25");
            rest = behind;
            continue;
        }
        let decoded = decode_exactly(charset, &run)
            .map_err(|index| undecodable(charset, place(start + 3 * index)))?;
        escape(&decoded, &mut utf8);
        rest = escapes;
    }
    utf8.extend(rest);
    Ok(utf8)
}

/// The place in the bytes of the character at this index of the text.
fn place_of_text(charset: &'static Encoding, bytes: &[u8], index: usize) -> usize {
    let mut decoder = charset.new_decoder_without_bom_handling();
    let mut count = 0;
    for (at, byte) in bytes.chunks(1).enumerate() {
        if count >= index {
            return at;
        }
        let (_, _, length, _) = decoder.decode_to_utf8(byte, &mut [0; 32], false);
        count += length;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use encoding_rs::{SHIFT_JIS, WINDOWS_1252};
    use proptest::prelude::*;

    use super::*;
    use crate::http::problem::Place;
    use crate::message::limits::EXAMPLE as LIMITS;
    use crate::payload::body::drafts_of;

    fn read(charset: &'static Encoding, bytes: &[u8]) -> Result<Draft, Problem> {
        let read = |body: &Body, take: &mut Sink| super::read(body, &LIMITS, take);
        drafts_of((bytes, charset, None), read).map(|(mut drafts, _)| drafts.remove(0).known())
    }

    fn text<'a>(draft: &'a Draft, field: &str) -> Option<&'a str> {
        draft.values[Field::named(field)?].as_deref()
    }

    #[track_caller]
    fn body(charset: &'static Encoding, form: &[u8], expected: &str) {
        let draft = read(charset, form);
        let shown = form.escape_ascii();
        match draft {
            Ok(draft) => assert_eq!(text(&draft, "body"), Some(expected), "{shown}"),
            Err(problem) => panic!("{shown}: {problem:?}"),
        }
    }

    #[track_caller]
    fn assert_refused(charset: &'static Encoding, form: &[u8], offset: usize) {
        let shown = form.escape_ascii();
        match read(charset, form) {
            Ok(draft) => panic!("{shown} is taken as {draft:?}"),
            Err(problem) => {
                let facts = (problem.status(), problem.place);
                assert_eq!(facts, (400, Some(Place::Offset(offset))), "{shown}");
                assert!(problem.detail.contains(&offset.to_string()), "{problem}");
            }
        }
    }

    #[test]
    fn each_field_gets_its_value() {
        let form = b"to=a%40example.org&type=chat&body=1&subject=2&html=3&thread=4&id=5&lang=6&oob_url=7&state=8&replace=9&to=b&x=y";
        let expected = Draft::of(&[
            ("to", "a@example.org"),
            ("type", "chat"),
            ("body", "1"),
            ("subject", "2"),
            ("html", "3"),
            ("thread", "4"),
            ("id", "5"),
            ("lang", "6"),
            ("oob_url", "7"),
            ("state", "8"),
            ("replace", "9"),
            ("to", "b"),
        ]);
        assert_eq!(read(UTF_8, form), Ok(expected.clone()));
        assert_eq!(read(WINDOWS_1252, form), Ok(expected));
    }

    #[test]
    fn plus_and_escapes_are_decoded_once() {
        body(UTF_8, "body=as+ü%C3%BC%2B%2525".as_bytes(), "as üü+%25");
        body(UTF_8, b"b%6Fdy=a=b%26c%3D&&", "a=b&c=");
        body(WINDOWS_1252, b"&b%6Fdy=a=b%26c%3D&x&", "a=b&c=");
        body(UTF_8, b"x=&body", "");
        body(WINDOWS_1252, b"x=&body", "");
    }

    #[test]
    fn a_character_may_be_half_raw_and_half_escaped() {
        body(UTF_8, b"body=\xC3%BC", "ü");
        body(SHIFT_JIS, b"body=%83A+\x93%FA", "ア 日");
    }

    #[test]
    fn a_form_in_valid_utf8_is_not_copied() {
        for form in [
            "body=x&to=y",
            "body=as+%C3%BC%25",
            "",
            "ü",
            "\u{FEFF}body=x",
        ] {
            let utf8 = bytes_first(UTF_8, form.as_bytes());
            assert!(matches!(utf8, Ok(Cow::Borrowed(_))), "{form}: {utf8:?}");
        }
    }

    #[test]
    fn the_charset_applies_to_raw_and_escaped_bytes() {
        body(WINDOWS_1252, b"body=x+\xFC%80&to=%FC", "x ü€");
        // In this charset, these bytes are three letters, not the mark of UTF-8: the first field is not `body`.
        body(WINDOWS_1252, b"\xEF\xBB\xBFbody=x&body=y", "y");
        body(ISO_2022_JP, b"body=%1B%24BF%7CK%5C%1B%28B%21", "日本!");
        body(ISO_2022_JP, b"body=\x1b$BF|K\\\x1b(B%21&x=y", "日本!");
        // The second byte of this character is the byte of `&`.
        body(ISO_2022_JP, b"body=\x1b$B0&\x1b(B&x=y", "愛");
    }

    #[test]
    fn utf16_is_decoded_before_escapes() {
        let utf16 = |form: &str| {
            form.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>()
        };
        body(UTF_16LE, &utf16("to=%66%00&body=ü+🦀%FC%00&x"), "ü 🦀ü");
        body(UTF_16LE, &utf16("\u{FEFF}body=x"), "x");
        let swapped: Vec<u8> = "\u{FEFF}body=%00x%00"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        assert_refused(UTF_16LE, &swapped, 12);
        body(UTF_16LE, b"body=%FC%00%AC%20%3E%D8%80%DD", "ü€🦀");
        body(UTF_16BE, b"body=x+%00%FC", "x ü");
        assert_refused(UTF_16LE, &utf16("body=%66%00%00%D8"), 22);
    }

    #[test]
    fn a_percent_sign_without_two_hex_digits_stands_for_itself() {
        body(UTF_8, b"body=%zz", "%zz");
        body(UTF_8, b"body=abc%2", "abc%2");
        body(UTF_8, b"%&body=95% full+%", "95% full %");
        body(UTF_8, b"a=%41&body=%41%%41", "A%A");
        body(WINDOWS_1252, b"\xFC=1&body=%4g%FC", "%4gü");
        body(SHIFT_JIS, b"body=%8", "%8");
        body(UTF_16LE, b"body=x%6%", "x%6%");
        let utf16: Vec<u8> = "body=%zz%66%00"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        body(UTF_16LE, &utf16, "%zzf");
        body(ISO_2022_JP, b"body=\x1b$BF|K\\\x1b(B%", "日本%");
        assert_refused(UTF_8, b"body=%%FF", 6);
    }

    #[test]
    fn bytes_that_do_not_decode_are_refused_at_their_place() {
        assert_refused(UTF_8, b"body=%41\xFF", 8);
        assert_refused(UTF_8, b"body=%41%FFx", 8);
        assert_refused(UTF_8, b"x=%C3&y=%BC", 2);
        assert_refused(UTF_8, b"\xEF\xBB\xBFx=\xC3\xBC+%ED%A0%80", 8);
        assert_refused(SHIFT_JIS, b"body=ok%93", 7);
        assert_refused(ISO_2022_JP, b"body=ab%1B%24Z", 7);
    }

    #[test]
    fn only_to_may_be_repeated() {
        let fault = |form| read(UTF_8, form).unwrap().fault;
        let facts = fault(b"body=1&to=a&to=b&body=2").map(|p| (p.status(), p.field));
        assert_eq!(facts, Some((422, Some("body".into()))));
        assert_eq!(fault(b"x=1&x=2"), None);
    }

    #[test]
    fn a_leading_mark_is_dropped() {
        body(UTF_8, b"\xEF\xBB\xBFbody=x", "x");
        body(UTF_8, b"body=\xEF\xBB\xBFx", "\u{FEFF}x");
    }

    const CHARSETS: [&Encoding; 6] = [
        UTF_8,
        WINDOWS_1252,
        SHIFT_JIS,
        ISO_2022_JP,
        UTF_16LE,
        UTF_16BE,
    ];

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(form: Vec<u8>) {
            for charset in CHARSETS {
                let _ = read(charset, &form);
            }
        }

        #[test]
        fn a_damaged_form_does_not_panic(form in "(body|to|x)=([a-z&=+ü日\u{1b}\u{0}]|%[0-9A-F]{2}|%){0,20}", place: prop::sample::Index, byte: u8) {
            let mut form = form.into_bytes();
            let place = place.index(form.len());
            form[place] = byte;
            for charset in CHARSETS {
                let _ = read(charset, &form);
            }
        }

        #[test]
        fn an_encoded_message_is_read_unchanged(text: String, to: Vec<String>, subject in "[ü€日本+&=% ]*") {
            let mut pairs = vec![("body", &text), ("unknown", &subject)];
            pairs.extend(to.iter().map(|to| ("to", to)));
            let form = serde_urlencoded::to_string(pairs).unwrap();
            let mut fields = vec![("body", text.as_str())];
            fields.extend(to.iter().map(|to| ("to", to.as_str())));
            let expected = Draft::of(&fields);
            prop_assert_eq!(read(UTF_8, form.as_bytes()), Ok(expected));
        }

        #[test]
        fn every_byte_escaped_is_read_in_the_charset(text in "[a-z日本語ア&=+% ]*") {
            for charset in [UTF_8, SHIFT_JIS, ISO_2022_JP] {
                let bytes = charset.encode(&text).0;
                let escaped: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
                let draft = read(charset, format!("body={escaped}").as_bytes());
                prop_assert_eq!(draft, Ok(Draft::of(&[("body", &text)])));
            }
        }
    }
}
