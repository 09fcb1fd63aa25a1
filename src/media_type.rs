//! `Content-Type`: what a body is, and its bytes → text.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::problem::Problem;

/// The media types of section 4 of the contract, in the order in which answers list them.
pub const SUPPORTED: &str = "text/plain, application/x-www-form-urlencoded, multipart/form-data, application/json, application/x-ndjson";

/// What a body holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    Text,
    Form,
    /// The boundary is one that RFC 2046 (section 5.1.1) allows, without the leading `--`.
    Multipart {
        boundary: String,
    },
    Json,
    Ndjson,
}

/// A supported media type, and the charset that it names, or else UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType {
    pub format: Format,
    pub charset: &'static Encoding,
}

impl MediaType {
    /// Reads the value of `Content-Type` (RFC 9110, section 8.3).
    ///
    /// # Errors
    ///
    /// 415, listing [`SUPPORTED`], where there is no such header or it names another type, or nothing
    /// that is a type; 415 for a charset that is unknown, or two that differ; 400 for parameters that
    /// are not well-formed, and for a multipart body without a legal boundary.
    pub fn parse(content_type: Option<&[u8]>) -> Result<MediaType, Problem> {
        let Some(value) = content_type else {
            return Err(Problem::unsupported(format!(
                "a Content-Type is needed, one of: {SUPPORTED}"
            )));
        };
        let (essence, parameters) = parameters(value);
        let is = |name: &str| essence.eq_ignore_ascii_case(name.as_bytes());
        let mut format = if is("text/plain") {
            Format::Text
        } else if is("application/x-www-form-urlencoded") {
            Format::Form
        } else if is("multipart/form-data") {
            Format::Multipart {
                boundary: String::new(),
            }
        } else if is("application/json") {
            Format::Json
        } else if is("application/x-ndjson") {
            Format::Ndjson
        } else {
            return Err(Problem::unsupported(format!(
                "this Content-Type is not supported; these are: {SUPPORTED}"
            )));
        };
        let mut named: Option<&'static Encoding> = None;
        let mut separator: Option<Cow<'_, [u8]>> = None;
        for parameter in parameters {
            let (name, value) = parameter.map_err(|fault| {
                Problem::syntax(format!("the parameters of Content-Type: {fault}"))
            })?;
            if name.eq_ignore_ascii_case(b"charset") {
                let charset = charset(&value)?;
                if named.replace(charset).is_some_and(|other| other != charset) {
                    return Err(Problem::unsupported(
                        "Content-Type names two charsets that differ",
                    ));
                }
            } else if name.eq_ignore_ascii_case(b"boundary") {
                if separator.as_ref().is_some_and(|other| *other != value) {
                    return Err(Problem::syntax(
                        "Content-Type names two boundaries that differ",
                    ));
                }
                separator = Some(value);
            }
        }
        if let Format::Multipart { boundary } = &mut format {
            *boundary = legal_boundary(separator.as_deref().unwrap_or_default())?;
        }
        Ok(MediaType {
            format,
            charset: named.unwrap_or(UTF_8),
        })
    }
}

/// RFC 2046, section 5.1.1: 1 to 70 `bchars`, the last of them no space.
fn legal_boundary(value: &[u8]) -> Result<String, Problem> {
    let bchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    let fault = match value {
        [] => "multipart/form-data needs a boundary in Content-Type",
        _ if value.len() > 70 => "the boundary in Content-Type is longer than 70 characters",
        [.., b' '] => "the boundary in Content-Type ends in a space",
        _ if !value.iter().all(bchar) => {
            "the boundary in Content-Type holds a character other than letters, digits and '()+_,-./:=? or space"
        }
        _ => return Ok(value.iter().copied().map(char::from).collect()),
    };
    Err(Problem::syntax(fault))
}

/// Splits a header's value into what stands before the first `;` and the parameters behind it, as
/// `Content-Type` (RFC 9110, section 8.3.1) and `Content-Disposition` (RFC 6266, section 4.1) have them.
pub(crate) fn parameters(value: &[u8]) -> (&[u8], Parameters<'_>) {
    let end = value
        .iter()
        .position(|&byte| byte == b';')
        .unwrap_or(value.len());
    let (first, rest) = value.split_at(end);
    (skip_ows_back(skip_ows(first)), Parameters { rest })
}

/// Parameters (RFC 9110, section 5.6.6): names as written (they are case-insensitive), values unquoted.
///
/// A value without quotes may hold any visible ASCII but `"`, `,`, `;` and `\`, where RFC 9110 wants a
/// token: clients are known that send `boundary===123===`, and it has no other reading. Empty
/// parameters are skipped. The `Err` says what is wrong, and ends the iteration.
#[derive(Debug, Clone)]
pub(crate) struct Parameters<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(&'a [u8], Cow<'a, [u8]>), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        // `rest` stays empty when an error is returned.
        let mut rest = skip_ows(std::mem::take(&mut self.rest));
        loop {
            match rest {
                [] => return None,
                [b';', tail @ ..] => rest = skip_ows(tail),
                _ => break,
            }
        }
        match parameter(rest) {
            Ok((name, value, tail)) => {
                self.rest = tail;
                Some(Ok((name, value)))
            }
            Err(fault) => Some(Err(fault)),
        }
    }
}

/// A name, its value, and what follows them.
type Parameter<'a> = (&'a [u8], Cow<'a, [u8]>, &'a [u8]);

fn parameter(text: &[u8]) -> Result<Parameter<'_>, &'static str> {
    let (name, rest) = split_while(text, is_token);
    if name.is_empty() {
        return Err("a name is missing, or holds a character that no name may have");
    }
    let Some(rest) = rest.strip_prefix(b"=") else {
        return Err("a name is not followed by =");
    };
    let (value, rest) = match rest.strip_prefix(b"\"") {
        Some(rest) => quoted(rest)?,
        None => {
            let (value, rest) = split_while(rest, |byte| {
                byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
            });
            (Cow::Borrowed(value), rest)
        }
    };
    // `x=""` is a value, `x=` is none.
    if text
        .get(name.len() + 1..)
        .is_some_and(|written| written.len() == rest.len())
    {
        return Err("a value is missing, or needs quotes");
    }
    match skip_ows(rest) {
        tail @ ([] | [b';', ..]) => Ok((name, value, tail)),
        _ => Err("a value is followed by something other than a semicolon"),
    }
}

/// The rest of a quoted-string (RFC 9110, section 5.6.4) whose opening quote has been read.
fn quoted(text: &[u8]) -> Result<(Cow<'_, [u8]>, &[u8]), &'static str> {
    let legal = |byte: u8| byte == b'\t' || !byte.is_ascii_control();
    let (plain, mut rest) = split_while(text, |byte| legal(byte) && byte != b'"' && byte != b'\\');
    let mut value = Cow::Borrowed(plain);
    loop {
        let (byte, tail) = match rest {
            [b'"', tail @ ..] => return Ok((value, tail)),
            [] | [b'\\'] => return Err("a quoted value has no closing quote"),
            [b'\\', byte, tail @ ..] | [byte, tail @ ..] => (*byte, tail),
        };
        if !legal(byte) {
            return Err("a quoted value holds a control character");
        }
        value.to_mut().push(byte);
        rest = tail;
    }
}

fn split_while(text: &[u8], belongs: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| !belongs(byte));
    text.split_at(end.unwrap_or(text.len()))
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Optional whitespace (RFC 9110, section 5.6.3).
fn is_ows(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn skip_ows(text: &[u8]) -> &[u8] {
    split_while(text, is_ows).1
}

fn skip_ows_back(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| !is_ows(byte));
    &text[..end.map_or(0, |last| last + 1)]
}

/// The charset of a label of the WHATWG Encoding Standard (section 4.2), in any case.
///
/// # Errors
///
/// 415 for any other label, and for those of *replacement*, which the standard never decodes.
pub fn charset(label: &[u8]) -> Result<&'static Encoding, Problem> {
    Encoding::for_label_no_replacement(label).ok_or_else(|| {
        let shown = label.get(..40).unwrap_or(label).escape_ascii();
        Problem::unsupported(format!(
            "charset \"{shown}\" is not supported; the labels of the WHATWG Encoding Standard are, utf-8 first of all"
        ))
    })
}

/// The text that a body stands for, without a leading byte-order mark.
///
/// UTF-16 is read in the byte order that its mark says, whichever of the two was named: both RFC 2781
/// and the standard have it so, and the mark read in the wrong order (U+FFFE) is no character. The mark
/// of another charset is no mark. Text that is the same in UTF-8 is borrowed.
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

/// The text that a piece of a body stands for: a byte-order mark has no meaning within.
///
/// The error is the offset of the first sequence that is not valid, for [`undecodable`] when it has
/// been counted from the start of the body.
pub(crate) fn decode_exactly<'a>(
    charset: &'static Encoding,
    bytes: &'a [u8],
) -> Result<Cow<'a, str>, usize> {
    charset
        .decode_without_bom_handling_and_without_replacement(bytes)
        .ok_or_else(|| first_fault(charset, bytes))
}

/// The problem of bytes at this offset that are not valid in the charset.
pub(crate) fn undecodable(charset: &'static Encoding, offset: usize) -> Problem {
    let name = charset.name();
    Problem::syntax(format!(
        "the body is not {name}: what begins at byte {offset} cannot be decoded"
    ))
    .offset(offset)
}

/// Decodes once more, to nowhere, because the decoder that is fast does not tell the place.
fn first_fault(charset: &'static Encoding, bytes: &[u8]) -> usize {
    let mut decoder = charset.new_decoder_without_bom_handling();
    let mut nowhere = [0; 4096];
    let mut rest = bytes;
    loop {
        let (result, read, _) =
            decoder.decode_to_utf8_without_replacement(rest, &mut nowhere, true);
        rest = rest.get(read..).unwrap_or_default();
        let read = bytes.len() - rest.len();
        match result {
            DecoderResult::OutputFull => {}
            DecoderResult::InputEmpty => return read,
            // `behind` bytes after the bad ones have been read as well.
            DecoderResult::Malformed(bad, behind) => {
                return read.saturating_sub(usize::from(bad) + usize::from(behind));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::problem::Place;

    fn parse(value: &str) -> Result<MediaType, Problem> {
        MediaType::parse(Some(value.as_bytes()))
    }

    #[track_caller]
    fn accepted(value: &str, format: Format, charset: &'static Encoding) {
        assert_eq!(parse(value), Ok(MediaType { format, charset }), "{value:?}");
    }

    #[track_caller]
    fn refused(value: &str, status: u16) {
        assert_eq!(
            parse(value).map_err(|problem| problem.status),
            Err(status),
            "{value:?}"
        );
    }

    fn multipart(boundary: &str) -> Format {
        let boundary = boundary.to_owned();
        Format::Multipart { boundary }
    }

    #[test]
    fn plain_text_is_known_however_it_is_written() {
        for value in [
            "text/plain",
            " TEXT/Plain\t",
            "text/plain;charset=UTF-8",
            "text/plain \t;\tCHARSET=utf8",
            "text/plain; charset=\"utf\\-8\"",
            "text/plain; charset=utf-8;",
            "text/plain;; ;charset=utf-8 ;",
            "text/plain; format=flowed; delsp=yes",
            "text/plain; x=\"a;b\"; charset=utf-8",
            "text/plain; x=\"charset=latin1\"",
            "text/plain; x=\"said \\\" ; charset=latin1\"",
            "text/plain; charset=utf-8; charset=UTF8",
        ] {
            accepted(value, Format::Text, UTF_8);
        }
        let many = format!("text/plain{}", "; a=b".repeat(500));
        accepted(&many, Format::Text, UTF_8);
    }

    #[test]
    fn every_supported_type_has_its_format_and_its_charset() {
        let latin1 = encoding_rs::WINDOWS_1252;
        accepted("Application/JSON; charset=latin1", Format::Json, latin1);
        accepted("application/x-ndjson", Format::Ndjson, UTF_8);
        accepted(
            "application/x-www-form-urlencoded;charset=UTF-8",
            Format::Form,
            UTF_8,
        );
        accepted(
            "Multipart/Form-Data; charset=iso-8859-1; Boundary=x",
            multipart("x"),
            latin1,
        );
        for value in SUPPORTED.split(", ") {
            let value = format!("{value}; boundary=x");
            assert!(parse(&value).is_ok(), "{value:?}");
        }
    }

    #[test]
    fn what_is_no_supported_type_is_answered_with_those_that_are() {
        for value in [
            "",
            ";",
            "text",
            "text/",
            "/plain",
            "textplain",
            "text/plain2",
            "text / plain",
            "text/plain charset=utf-8",
            "text/plain, text/plain",
            "*/*",
            "text/*",
            "application/ld+json",
            "multipart/mixed; boundary=x",
            "text/html; \"",
        ] {
            refused(value, 415);
            assert!(parse(value).is_err_and(|problem| problem.detail.contains(SUPPORTED)));
        }
        assert!(MediaType::parse(None).is_err_and(|problem| problem.status == 415));
    }

    #[test]
    fn parameters_that_are_not_well_formed_are_never_guessed_at() {
        for value in [
            "text/plain; charset",
            "text/plain; charset=",
            "text/plain; charset=;",
            "text/plain; =utf-8",
            "text/plain; charset =utf-8",
            "text/plain; charset= utf-8",
            "text/plain; charset=utf-8 x",
            "text/plain; charset=utf-8, text/html",
            "text/plain; charset=\"utf-8",
            "text/plain; charset=\"utf-8\\",
            "text/plain; charset=\"utf-8\"x",
            "text/plain; charset=ut\"f-8\"",
            "text/plain; \u{1}=x",
            "text/plain; x=\"\u{1}\"",
            "text/plain; x=\"\\\u{0}\"",
            "text/plain; x=ü",
        ] {
            refused(value, 400);
        }
        for value in [
            "text/plain; charset=\"\"",
            "text/plain; charset='utf-8'",
            "text/plain; charset=utf-8; charset=latin1",
        ] {
            refused(value, 415);
        }
    }

    #[test]
    fn a_boundary_is_one_that_rfc_2046_allows() {
        let every = "a'()+_,-./:=? z";
        let long = "B".repeat(70);
        for (written, boundary) in [
            (
                "--------------d74496d66958873e",
                "--------------d74496d66958873e",
            ),
            ("\"BOUND\"", "BOUND"),
            ("===17===", "===17==="),
            (&format!("\"{every}\""), every),
            (&long, &long),
            ("x; boundary=\"x\"", "x"),
        ] {
            accepted(
                &format!("multipart/form-data; boundary={written}"),
                multipart(boundary),
                UTF_8,
            );
        }
        refused("multipart/form-data", 400);
        for written in [
            "",
            "\"\"",
            "\"x \"",
            "\" \"",
            "\"a;b\"",
            "\"ü\"",
            "a*b",
            "x; boundary=y",
            &"B".repeat(71),
        ] {
            refused(&format!("multipart/form-data; boundary={written}"), 400);
        }
    }

    #[test]
    fn parameters_serve_content_disposition_too() {
        let value = br#"form-data; name="a \"b\" \\ c"; x; filename=y"#;
        let (first, mut parameters) = parameters(value);
        assert_eq!(first, b"form-data");
        let quoted: Cow<'_, [u8]> = Cow::Borrowed(br#"a "b" \ c"#);
        assert_eq!(parameters.next(), Some(Ok((&b"name"[..], quoted))));
        assert!(
            parameters
                .next()
                .is_some_and(|parameter| parameter.is_err())
        );
        assert_eq!(parameters.next(), None);
    }

    #[test]
    fn a_charset_has_many_labels_in_any_case() {
        for (labels, name) in [
            ("utf8 UTF-8 unicode-1-1-utf-8 x-unicode20utf8", "UTF-8"),
            (
                "ascii us-ascii latin1 l1 iso-8859-1 ISO_8859-1:1987 cp819",
                "windows-1252",
            ),
            ("unicode ucs-2 utf-16 utf-16le", "UTF-16LE"),
            ("sjis ms_kanji windows-31j", "Shift_JIS"),
            ("x-user-defined", "x-user-defined"),
            ("visual", "ISO-8859-8"),
            ("logical", "ISO-8859-8-I"),
        ] {
            for label in labels.split(' ') {
                for written in [
                    label.to_owned(),
                    label.to_uppercase(),
                    format!("\"{label}\""),
                ] {
                    let found = parse(&format!("text/plain; charset={written}"));
                    let found = found.map(|media_type| media_type.charset.name());
                    assert_eq!(found, Ok(name), "{written:?}");
                }
            }
        }
    }

    #[test]
    fn labels_that_are_unknown_or_never_decoded_are_refused() {
        for label in [
            "klingon",
            "utf-7",
            "utf-32",
            "utf8mb4",
            "cp437",
            "iso-8859-12",
            "x",
            "",
            "replacement",
            "hz-gb-2312",
            "iso-2022-kr",
            "iso-2022-cn-ext",
            "csiso2022kr",
        ] {
            assert!(
                charset(label.as_bytes()).is_err_and(|problem| problem.status == 415),
                "{label:?}"
            );
        }
        assert!(charset(&[0xFF; 5000]).is_err_and(|problem| problem.detail.len() < 400));
    }

    fn decoded(label: &str, bytes: &[u8]) -> Result<String, Problem> {
        decode(charset(label.as_bytes())?, bytes).map(Cow::into_owned)
    }

    #[test]
    fn text_is_read_in_its_charset() {
        for (label, bytes, text) in [
            (
                "utf-8",
                &b"gr\xc3\xbc\xc3\x9fe \xf0\x9f\xa6\x80"[..],
                "grüße 🦀",
            ),
            ("latin1", b"gr\xfc\xdfe \x80", "grüße €"),
            ("iso-8859-15", b"\xa4 \xbd", "€ œ"),
            ("koi8-r", b"\xcd\xc9\xd2", "мир"),
            ("windows-1251", b"\xec\xe8\xf0", "мир"),
            ("ibm866", b"\xac\xa8\xe0", "мир"),
            ("macintosh", b"\x9f\xdb", "ü€"),
            ("hebrew", b"\xf9\xec", "של"),
            ("shift_jis", b"\x93\xfa\x96{\x5c", "日本\\"),
            ("euc-jp", b"\xc6\xfc\xcb\xdc\x8e\xb1", "日本ｱ"),
            ("iso-2022-jp", b"\x1b$BF|K\\\x1b(B.", "日本."),
            ("euc-kr", b"\xbe\xc8", "안"),
            ("gbk", b"\xc4\xe3\xba\xc3", "你好"),
            ("gb18030", b"\xc4\xe3\x94\x39\xda\x34", "你💪"),
            ("big5", b"\xa7A\xa6n", "你好"),
            ("utf-16le", b"\xfc\x00\x3e\xd8\x80\xdd", "ü🦀"),
            ("utf-16be", b"\x00\xfc\xd8\x3e\xdd\x80", "ü🦀"),
            ("x-user-defined", b"a\x80\xff", "a\u{f780}\u{f7ff}"),
        ] {
            assert_eq!(decoded(label, bytes).as_deref(), Ok(text), "{label}");
            assert_eq!(decoded(label, b"").as_deref(), Ok(""), "{label}");
        }
    }

    #[test]
    fn bytes_that_are_not_in_the_charset_are_refused_with_their_offset() {
        let late = [vec![b'x'; 9000], vec![0xC3, b'(']].concat();
        let late_utf16 = [b"\0\xfc".repeat(9000), vec![0xDC, 0, 0, b'b']].concat();
        for (label, bytes, offset) in [
            ("utf-8", &b"12\xff"[..], 2),
            ("utf-8", b"\x80", 0),
            ("utf-8", b"123\xe2\x82", 3),
            ("utf-8", b"123\xed\xa0\x80", 3),
            ("utf-8", b"1\xc0\x80", 1),
            ("utf-8", b"1\xf4\x90\x80\x80", 1),
            ("utf-8", b"\xc3\xbc\xe2\x82\xac\xf0\x9f\xa6\x80\xfe", 9),
            ("utf-8", &late, 9000),
            ("utf-8", b"\xef\xbb\xbf1\xff", 4),
            ("windows-1253", b"12\xaa", 2),
            ("iso-8859-6", b"1\xa1", 1),
            ("shift_jis", b"12\x93", 2),
            ("shift_jis", b"12\x93\x20", 2),
            ("shift_jis", b"12\xa0", 2),
            ("euc-jp", b"12\xc6", 2),
            ("euc-jp", b"12\x8f\xa2", 2),
            ("euc-kr", b"1\xff", 1),
            ("gbk", b"123\xff", 3),
            ("gb18030", b"123\x94", 3),
            ("gb18030", b"123\x94\x39", 3),
            ("gb18030", b"123\x94\x39\xda", 3),
            ("gb18030", b"123\x94\x39\xda\xff", 3),
            ("gb18030", b"123\x94\x39x", 3),
            ("big5", b"123\xa7", 3),
            ("iso-2022-jp", b"12\x1b$Z", 2),
            ("iso-2022-jp", b"12\x1b", 2),
            ("iso-2022-jp", b"12\x1b$", 2),
            ("iso-2022-jp", b"1\x1b$B\x1b(B", 1),
            ("iso-2022-jp", b"1\xfe", 1),
            ("utf-16le", b"1\x002\x003", 4),
            ("utf-16le", b"1\0\0\xd82\0", 2),
            ("utf-16le", b"1\0\0\xd8", 2),
            ("utf-16le", b"1\0\0\xd82", 2),
            ("utf-16le", b"1\0\0\xd8\0\xd8\0\xdc", 2),
            ("utf-16be", b"\x001\xdc\x00\x002", 2),
            ("utf-16be", b"\xfe\xff\x001\xdc\x00", 4),
            ("utf-16be", &late_utf16, 18000),
        ] {
            let problem = decoded(label, bytes).expect_err(label);
            let place = Some(Place::Offset(offset));
            assert_eq!(
                (problem.status, problem.place),
                (400, place),
                "{label} {}",
                bytes.escape_ascii()
            );
            assert!(problem.detail.contains(&offset.to_string()), "{problem}");
        }
    }

    #[test]
    fn a_leading_byte_order_mark_is_dropped_and_only_the_first() {
        for (label, bytes, text) in [
            ("utf-8", &b"\xef\xbb\xbfa"[..], "a"),
            ("utf-8", b"\xef\xbb\xbf", ""),
            ("utf-8", b"\xef\xbb\xbf\xef\xbb\xbfa", "\u{feff}a"),
            ("utf-8", b"a\xef\xbb\xbf", "a\u{feff}"),
            ("utf-16le", b"\xff\xfea\0", "a"),
            ("utf-16be", b"\xfe\xff\0a", "a"),
            ("utf-16", b"\xfe\xff\0a", "a"),
        ] {
            assert_eq!(
                decoded(label, bytes).as_deref(),
                Ok(text),
                "{label} {}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn the_mark_of_another_charset_is_no_mark() {
        for (label, bytes, text) in [
            ("latin1", &b"\xef\xbb\xbfa"[..], "ï»¿a"),
            ("latin1", b"\xff\xfea", "ÿþa"),
            ("utf-16le", b"\xef\xbb\xbf\0", "믯¿"),
        ] {
            assert_eq!(decoded(label, bytes).as_deref(), Ok(text), "{label}");
        }
        assert!(decoded("utf-8", b"\xff\xfea\0").is_err());
    }

    #[test]
    fn utf_8_is_borrowed_with_and_without_a_mark() {
        for bytes in ["ü€".as_bytes(), b"\xef\xbb\xbf\xc3\xbc", b"a"] {
            assert!(matches!(decode(UTF_8, bytes), Ok(Cow::Borrowed(_))));
        }
    }

    fn any_charset() -> impl Strategy<Value = &'static Encoding> {
        let labels = "utf-8 latin1 greek windows-874 gbk gb18030 big5 euc-jp iso-2022-jp shift_jis euc-kr \
                      utf-16le utf-16be x-user-defined";
        let labels: Vec<_> = labels.split_ascii_whitespace().collect();
        proptest::sample::select(labels)
            .prop_map(|label| Encoding::for_label(label.as_bytes()).unwrap_or(UTF_8))
    }

    /// Bytes that get far into the decoders: escapes of ISO-2022-JP, surrogates, leads and trails.
    fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&[u8]> = vec![
            b"\x1b$B",
            b"\x1b(B",
            b"\x1b(J",
            b"\x1b",
            b"\x0e",
            b"F|",
            b"a\0",
            b"\0a",
            b"\0\xd8",
            b"\0\xdc",
            b"\xd8",
            b"\xdc",
            b"\x8f",
            b"\x8e",
            b"\xa1",
            b"\xfe",
            b"\xff",
            b"\x81",
            b"0",
            b"9",
            b"a",
            b"\xc3\xbc",
            b"\xf0\x9f",
            b"\xef\xbb\xbf",
        ];
        let pieces = proptest::sample::select(pieces);
        proptest::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_content_type_panics(value in any::<Vec<u8>>()) {
            let _ = MediaType::parse(Some(&value));
            let _ = MediaType::parse(Some(&[b"text/plain;", &value[..]].concat()));
        }

        #[test]
        fn no_parameters_panic(value in "multipart/form-data(;[ \\t]?[a-z]{0,3}=?\"?[\\\\\"a-z;, \\x00]{0,4}\"?){0,4}") {
            let _ = parse(&value);
        }

        #[test]
        fn a_quoted_parameter_is_read_back(text in "[ -~\\t\u{80}-\u{ffff}]{0,20}") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("x ; name=\"{quoted}\" ; y=z");
            let (first, parameters) = parameters(header.as_bytes());
            prop_assert_eq!(first, b"x");
            let read: Result<Vec<_>, _> = parameters.collect();
            let read = read.unwrap_or_default();
            prop_assert_eq!(read.len(), 2);
            prop_assert_eq!(&*read[0].1, text.as_bytes());
        }

        #[test]
        fn no_bytes_panic_and_what_stands_before_the_offset_can_be_decoded(
            charset in any_charset(), bytes in prop_oneof![any::<Vec<u8>>(), likely_bytes()]
        ) {
            if let Err(problem) = decode(charset, &bytes) {
                let Some(Place::Offset(offset)) = problem.place else { panic!("no offset: {problem:?}") };
                prop_assert!(offset < bytes.len());
                prop_assert!(decode(charset, &bytes[..offset]).is_ok(), "{} {}", charset.name(), offset);
            }
        }

        #[test]
        fn text_survives_every_charset_that_has_its_characters(charset in any_charset(), text in "[a-zäжß日你안]{0,30}") {
            let (bytes, used, lost) = charset.encode(&text);
            if used == charset && !lost {
                let read = decode(charset, &bytes);
                prop_assert_eq!(read.as_deref(), Ok(&text[..]));
            }
        }
    }
}
