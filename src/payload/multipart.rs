//! `multipart/form-data` → draft.

use std::borrow::Cow;

use encoding_rs::Encoding;
use memchr::memchr;
use memchr::memmem::{self, Finder};

use super::Draft;
use crate::media_type::{self, parameters};
use crate::problem::{Place, Problem};

/// Reads the fields of a form in parts (RFC 7578), framed as RFC 2046, section 5.1.1, has it.
///
/// The text of a part is in the charset that its own `Content-Type` names, or else the form's field
/// `_charset_` (RFC 7578, section 4.6), or else the request. A part that is a file gives its text to
/// the field it is named after. Parts with unknown names are ignored, whatever is in them.
///
/// # Errors
///
/// 400 with the offset in the body: framing or part headers that are broken, a part without a name,
/// bytes that are not valid in the charset. 415: a charset that is unknown, a field that is itself
/// multipart or has a transfer encoding.
pub fn read(boundary: &str, charset: &'static Encoding, body: &[u8]) -> Result<Draft, Problem> {
    let delimiter = format!("\r\n--{boundary}");
    let delimiter = Finder::new(&delimiter);
    let mut charset = charset;
    let mut fields = Vec::new();

    let mut line = first_line(&delimiter, body).ok_or_else(|| {
        broken(
            0,
            "no line of the body is -- and the boundary that Content-Type names",
        )
    })?;
    while !line.closes {
        // The line end of one delimiter may be the one before the next.
        let next = delimiter_line(&delimiter, body, line.end - 2).ok_or_else(|| {
            broken(
                body.len(),
                "the body ends without the closing boundary, which has -- at its end",
            )
        })?;
        let part = Part::read(Piece {
            at: line.end,
            bytes: body.get(line.end..next.start).unwrap_or_default(),
        })?;
        let name = part.name()?;
        if *name == *b"_charset_" {
            charset = media_type::charset(part.content.bytes.trim_ascii())?;
        } else if let Some(name) = field(&name) {
            fields.push((name, part.charset()?, part.content));
        }
        line = next;
    }

    let mut draft = Draft::default();
    for (name, own, content) in fields {
        draft.add(&name, content.decode(own.unwrap_or(charset))?);
    }
    Ok(draft)
}

/// A name that is the name of a field.
fn field(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let known = name == "to" || Draft::default().field_mut(name).is_some();
    known.then(|| name.to_owned())
}

fn broken(offset: usize, fault: &str) -> Problem {
    Problem::syntax(format!("multipart, at byte {offset}: {fault}")).offset(offset)
}

/// A line that separates parts, with the line end before it, which is its own.
struct DelimiterLine {
    start: usize,
    end: usize,
    /// It is the last; otherwise it ends in CR LF.
    closes: bool,
}

/// The delimiter line behind the preamble.
fn first_line(delimiter: &Finder, body: &[u8]) -> Option<DelimiterLine> {
    let at_once = delimiter.needle().strip_prefix(b"\r\n")?;
    if body.starts_with(at_once) {
        if let Some((end, closes)) = rest_of_line(body, at_once.len()) {
            return Some(DelimiterLine {
                start: 0,
                end,
                closes,
            });
        }
    }
    delimiter_line(delimiter, body, 0)
}

fn delimiter_line(delimiter: &Finder, body: &[u8], from: usize) -> Option<DelimiterLine> {
    delimiter.find_iter(body.get(from..)?).find_map(|found| {
        let start = from + found;
        let (end, closes) = rest_of_line(body, start + delimiter.needle().len())?;
        Some(DelimiterLine { start, end, closes })
    })
}

/// Where the line ends of which the boundary has been read, and whether it is the closing one. `None`
/// where more follows than padding: a line of text that only begins like a boundary.
fn rest_of_line(body: &[u8], at: usize) -> Option<(usize, bool)> {
    let rest = body.get(at..)?;
    let (rest, closes) = match rest.strip_prefix(b"--") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let padding = rest
        .iter()
        .take_while(|&&byte| matches!(byte, b' ' | b'\t'));
    let rest = rest.get(padding.count()..)?;
    let end = match rest {
        [b'\r', b'\n', behind @ ..] => behind,
        [] | [b'\n', ..] if closes => rest,
        _ => return None,
    };
    Some((body.len() - end.len(), closes))
}

/// Bytes of the body, and where they stand in it.
#[derive(Clone, Copy)]
struct Piece<'a> {
    at: usize,
    bytes: &'a [u8],
}

impl<'a> Piece<'a> {
    fn split(self, index: usize) -> Option<(Piece<'a>, Piece<'a>)> {
        let (before, behind) = self.bytes.split_at_checked(index)?;
        let at = self.at + index;
        Some((
            Piece {
                bytes: before,
                ..self
            },
            Piece { at, bytes: behind },
        ))
    }

    /// One header with its line end, folded lines (RFC 5322, section 2.2.3) included, and what follows.
    fn split_header(self) -> Option<(Piece<'a>, Piece<'a>)> {
        let mut end = 0;
        loop {
            end += memmem::find(self.bytes.get(end..)?, b"\r\n")? + 2;
            let folded = end > 2 && matches!(self.bytes.get(end), Some(b' ' | b'\t'));
            if !folded {
                return self.split(end);
            }
        }
    }

    fn decode(self, charset: &'static Encoding) -> Result<String, Problem> {
        match media_type::decode(charset, self.bytes) {
            Ok(text) => Ok(text.into_owned()),
            Err(Problem {
                place: Some(Place::Offset(offset)),
                ..
            }) => Err(media_type::undecodable(charset, self.at + offset)),
            Err(problem) => Err(problem),
        }
    }
}

/// The value of a part's header, unfolded.
struct Header<'a> {
    at: usize,
    value: Cow<'a, [u8]>,
}

struct Part<'a> {
    at: usize,
    disposition: Option<Header<'a>>,
    content_type: Option<Header<'a>>,
    transfer_encoding: Option<Header<'a>>,
    content: Piece<'a>,
}

impl<'a> Part<'a> {
    fn read(piece: Piece<'a>) -> Result<Part<'a>, Problem> {
        let mut part = Part {
            at: piece.at,
            disposition: None,
            content_type: None,
            transfer_encoding: None,
            content: piece,
        };
        // A part may end with its headers.
        while !part.content.bytes.is_empty() {
            let (line, behind) = part.content.split_header().ok_or_else(|| {
                broken(
                    part.content.at,
                    "no empty line separates the headers of a part from its content",
                )
            })?;
            part.content = behind;
            if line.bytes == b"\r\n" {
                break;
            }
            part.header(line)?;
        }
        Ok(part)
    }

    fn header(&mut self, line: Piece<'a>) -> Result<(), Problem> {
        let colon = memchr(b':', line.bytes).and_then(|at| line.bytes.split_at_checked(at));
        let (name, value) = match colon {
            Some((name, [_, value @ ..]))
                if !name.is_empty() && name.iter().all(u8::is_ascii_graphic) =>
            {
                (name, value)
            }
            _ => {
                return Err(broken(
                    line.at,
                    "a header of a part, NAME: VALUE, or an empty line is needed",
                ));
            }
        };
        let is = |header: &str| name.eq_ignore_ascii_case(header.as_bytes());
        let place = if is("Content-Disposition") {
            &mut self.disposition
        } else if is("Content-Type") {
            &mut self.content_type
        } else if is("Content-Transfer-Encoding") {
            &mut self.transfer_encoding
        } else {
            return Ok(());
        };
        let value = value.trim_ascii();
        let value = match memmem::find(value, b"\r\n") {
            None => Cow::Borrowed(value),
            Some(_) => value
                .iter()
                .copied()
                .filter(|byte| !b"\r\n".contains(byte))
                .collect(),
        };
        match place.replace(Header { at: line.at, value }) {
            None => Ok(()),
            Some(_) => Err(broken(line.at, "a part has this header twice")),
        }
    }

    /// RFC 7578, section 4.2. What else the header says, such as a file name, has no bearing.
    fn name(&self) -> Result<Cow<'_, [u8]>, Problem> {
        const NEEDED: &str = "Content-Disposition: form-data; name=\"…\" is needed in each part";
        let Some(Header { at, value }) = &self.disposition else {
            return Err(broken(self.at, NEEDED));
        };
        let (kind, parameters) = parameters(value);
        if !kind.eq_ignore_ascii_case(b"form-data") {
            return Err(broken(*at, NEEDED));
        }
        let mut name = None;
        for parameter in parameters {
            match parameter {
                Ok((key, value)) if key.eq_ignore_ascii_case(b"name") => {
                    if name.replace(value).is_some() {
                        return Err(broken(*at, "Content-Disposition has two names"));
                    }
                }
                Ok(_) => {}
                Err(_) if name.is_some() => break,
                Err(fault) => return Err(broken(*at, &format!("Content-Disposition: {fault}"))),
            }
        }
        name.ok_or_else(|| broken(*at, NEEDED))
    }

    /// The charset that the part names for itself (RFC 7578, section 4.5).
    ///
    /// # Errors
    /// Also where the content is anything but the text of a field: RFC 7578, sections 4.3 and 4.7.
    fn charset(&self) -> Result<Option<&'static Encoding>, Problem> {
        let plain = |encoding: &[u8]| {
            ["7bit", "8bit", "binary"]
                .iter()
                .any(|name| encoding.eq_ignore_ascii_case(name.as_bytes()))
        };
        if self
            .transfer_encoding
            .as_ref()
            .is_some_and(|header| !plain(&header.value))
        {
            return Err(Problem::unsupported(
                "a part has a Content-Transfer-Encoding, which is not supported; its content is needed as it is",
            ));
        }
        let Some(Header { at, value }) = &self.content_type else {
            return Ok(None);
        };
        let (essence, parameters) = parameters(value);
        if essence.to_ascii_lowercase().starts_with(b"multipart/") {
            return Err(Problem::unsupported(
                "a part is multipart itself, which is not supported; text is needed in it",
            ));
        }
        let mut charset = None;
        for parameter in parameters {
            match parameter {
                Ok((name, label)) if name.eq_ignore_ascii_case(b"charset") => {
                    charset = Some(media_type::charset(&label)?);
                }
                Ok(_) => {}
                Err(fault) => return Err(broken(*at, &format!("Content-Type: {fault}"))),
            }
        }
        Ok(charset)
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{UTF_8, WINDOWS_1252};
    use proptest::prelude::*;

    use super::*;

    /// A part in whose headers, if there are more, CR LF stands between them.
    fn part(headers: &str, content: impl AsRef<[u8]>) -> Vec<u8> {
        let head = format!("--BOUND\r\n{headers}\r\n\r\n");
        [head.as_bytes(), content.as_ref(), b"\r\n"].concat()
    }

    fn named(name: &str, content: impl AsRef<[u8]>) -> Vec<u8> {
        part(
            &format!("Content-Disposition: form-data; name=\"{name}\""),
            content,
        )
    }

    const END: &[u8] = b"--BOUND--\r\n";
    const BODY: &str = "Content-Disposition: form-data; name=\"body\"";

    fn utf8(form: &[u8]) -> Result<Draft, Problem> {
        read("BOUND", UTF_8, form)
    }

    #[track_caller]
    fn body(form: &[u8], expected: &str) {
        let shown = form.get(..1000).unwrap_or(form).escape_ascii();
        match utf8(form) {
            Ok(draft) => assert!(draft.body.as_deref() == Some(expected), "{shown}"),
            Err(problem) => panic!("{shown}: {problem:?}"),
        }
    }

    #[track_caller]
    fn refused(form: &[u8], offset: usize) {
        let shown = form.escape_ascii();
        let problem = utf8(form).expect_err(&shown.to_string());
        let told = (problem.status, problem.place);
        assert_eq!(
            told,
            (400, Some(Place::Offset(offset))),
            "{shown}: {problem}"
        );
        assert!(problem.detail.contains(&offset.to_string()), "{problem}");
    }

    #[track_caller]
    fn status(form: &[u8], status: u16) {
        let shown = form.escape_ascii();
        let problem = utf8(form).expect_err(&shown.to_string());
        assert_eq!(problem.status, status, "{shown}: {problem}");
    }

    #[test]
    fn fields_land_where_they_are_named() {
        let form = [
            &named("to", "a"),
            &named("type", "chat"),
            &named("body", "ü"),
            &named("to", "b"),
            &named("x", "y"),
            END,
        ]
        .concat();
        let expected = Draft {
            to: Some(vec!["a".to_owned(), "b".to_owned()]),
            kind: Some("chat".to_owned()),
            body: Some("ü".to_owned()),
            ..Draft::default()
        };
        assert_eq!(utf8(&form), Ok(expected));
        assert_eq!(utf8(END), Ok(Draft::default()));
    }

    #[test]
    fn what_stands_around_the_parts_is_ignored() {
        let form = [&named("body", "x"), END].concat();
        body(
            &[
                b"preamble\r\n--BOUNDARY\r\n",
                &form[..],
                b"epilogue\r\n--BOUND\r\n",
            ]
            .concat(),
            "x",
        );
        body(&[b"\r\n", &form[..]].concat(), "x");
        body(&form[..form.len() - 2], "x");
        body(&[&form[..form.len() - 2], b" \t\nx"].concat(), "x");
    }

    #[test]
    fn a_boundary_may_be_followed_by_padding() {
        let form = String::from_utf8([&named("body", "x"), END].concat()).unwrap();
        body(
            form.replace("BOUND\r\n", "BOUND \t \r\n")
                .replace("--\r\n", "-- \r\n")
                .as_bytes(),
            "x",
        );
    }

    #[test]
    fn every_character_of_a_boundary_is_taken_as_it_is() {
        for boundary in [
            "a'()+_,-./:=? z",
            "------------------------d74496d66958873e",
            &"B".repeat(70),
        ] {
            let form = String::from_utf8([&named("body", "x"), END].concat()).unwrap();
            let draft = read(boundary, UTF_8, form.replace("BOUND", boundary).as_bytes());
            assert_eq!(draft.unwrap().body.as_deref(), Some("x"));
        }
    }

    #[test]
    fn text_that_resembles_a_boundary_is_text() {
        for text in [
            "--BOUN\r\n--BOUN x\r\n -- BOUND--",
            "\r\n--BOUNDARY\r\n--BOUND x\r\n",
            "--BOUND\n",
            "x--BOUND--",
            "\r\n--BOUND--x",
            "",
        ] {
            body(&[&named("body", text), END].concat(), text);
        }
    }

    #[test]
    fn part_headers_are_read_in_every_form() {
        for headers in [
            "content-disposition: Form-Data; NAME=body",
            "Content-Disposition:form-data;name=\"body\"",
            "Content-Type: text/plain\r\nContent-Length: 8\r\nContent-Disposition: form-data; name=\"body\"\r\nX-A: b",
            "Content-Disposition: form-data; name=\"body\"; filename=\"x \\\"y.txt\"",
            "Content-Disposition: form-data; filename=\"a;name=to\"; name=body",
            "Content-Disposition: form-data; name=\"body\"; filename=not a token",
            "Content-Disposition: form-data;\r\n name=\"bo\\dy\";\r\n\tfilename=x",
            "Content-Disposition: form-data; name=\"body\"\r\nContent-Transfer-Encoding: 8BIT",
        ] {
            body(&[&part(headers, " x"), END].concat(), " x");
        }
    }

    #[test]
    fn unknown_parts_are_ignored_whatever_is_in_them() {
        let unknown = [
            part(
                "Content-Disposition: form-data; name=\"file\"\r\nContent-Type: application/octet-stream",
                b"\xFF\0\xFE",
            ),
            part(
                "Content-Disposition: form-data; name=\"a\\\"b%22ü\"\r\nContent-Type: ;;; charset=klingon",
                "",
            ),
            part(
                "Content-Disposition: form-data; name=x\r\nContent-Transfer-Encoding: base64",
                "",
            ),
            part("Content-Disposition: form-data; name=\"\"", "x"),
        ];
        body(&[&unknown.concat(), &named("body", "x"), END].concat(), "x");
    }

    #[test]
    fn a_part_may_have_a_charset_of_its_own() {
        let latin = part(
            &format!("{BODY}\r\nContent-Type: text/plain; charset=\"iso-8859-1\""),
            b"x \xFC",
        );
        body(&[&latin, END].concat(), "x ü");
        let utf8_in_latin = part(
            &format!("{BODY}\r\nContent-Type: text/plain; charset=utf-8"),
            "ü",
        );
        let form = [&utf8_in_latin, &named("to", b"\xFC"), END].concat();
        let draft = read("BOUND", WINDOWS_1252, &form).unwrap();
        assert_eq!(
            (draft.body.as_deref(), draft.to),
            (Some("ü"), Some(vec!["ü".to_owned()]))
        );
        let utf16 = part(
            &format!("{BODY}\r\nContent-Type: text/plain; charset=utf-16"),
            b"\xFF\xFEx\0",
        );
        body(&[&utf16, END].concat(), "x");
        status(
            &[
                &part(
                    &format!("{BODY}\r\nContent-Type: text/plain; charset=klingon"),
                    "x",
                ),
                END,
            ]
            .concat(),
            415,
        );
    }

    #[test]
    fn the_form_may_name_a_charset_for_all_parts() {
        body(
            &[
                &named("body", b"\xFC"),
                &named("_charset_", "iso-8859-1"),
                END,
            ]
            .concat(),
            "ü",
        );
        status(&[&named("_charset_", "klingon"), END].concat(), 415);
    }

    #[test]
    fn broken_framing_is_told_with_its_place() {
        let whole = [&named("body", "never"), END].concat();
        refused(b"", 0);
        refused(&whole.escape_ascii().to_string().into_bytes(), 0);
        assert_eq!(read("OTHER", UTF_8, &whole).map_err(|p| p.status), Err(400));
        let open = named("body", "never");
        for end in [0, 2, 8, 9, 10] {
            refused(&open[..open.len() - end], open.len() - end);
        }
        refused(b"--BOUND\r\nContent-Dispo", 22);
        refused(b"--BOUND\r\nX: y\r\nnever\r\n--BOUND--", 15);
        refused(b"--BOUND\r\nX: y\r\nnever\r\nmore\r\n--BOUND--", 15);
        refused(
            &String::from_utf8(whole)
                .unwrap()
                .replace("\r\n", "\n")
                .into_bytes(),
            0,
        );
    }

    #[test]
    fn a_part_may_end_with_its_headers() {
        body(format!("--BOUND\r\n{BODY}\r\n\r\n--BOUND--").as_bytes(), "");
    }

    #[test]
    fn a_part_without_a_name_is_refused() {
        for headers in [
            "X: y",
            "Content-Disposition: form-data",
            "Content-Disposition: inline; name=body",
            "Content-Disposition: form-data; name=\"x",
        ] {
            refused(&[&part(headers, "x"), END].concat(), 9);
        }
        refused(b"--BOUND\r\n--BOUND--", 9);
        refused(b"--BOUND\r\n\r\n--BOUND--", 9);
        refused(
            &[&part(&format!("X: y\r\n{BODY}; name=to"), "x"), END].concat(),
            15,
        );
        refused(
            &[&part(&format!("{BODY}\r\n{BODY}"), "x"), END].concat(),
            54,
        );
    }

    #[test]
    fn bytes_that_do_not_decode_are_refused_at_their_place() {
        let unknown = named("x", b"\xFF");
        let form = [&unknown, &named("body", b"in \xFF parts"), END].concat();
        refused(&form, unknown.len() + 59);
        refused(
            &[
                &named("body", b"\xEF\xBB\xBFx\xFF"),
                &named("body", ""),
                END,
            ]
            .concat(),
            60,
        );
    }

    #[test]
    fn a_field_that_is_no_text_is_refused() {
        for header in [
            "Content-Transfer-Encoding: base64",
            "Content-Transfer-Encoding: quoted-printable",
            "Content-Type: Multipart/mixed; boundary=I",
        ] {
            status(
                &[&part(&format!("{BODY}\r\n{header}"), "x"), END].concat(),
                415,
            );
        }
    }

    #[test]
    fn only_to_may_be_repeated() {
        let twice = utf8(&[&named("body", "1"), &named("body", "2"), END].concat());
        let fault = twice.unwrap().fault.map(|p| (p.status, p.field));
        assert_eq!(fault, Some((422, Some("body".into()))));
    }

    #[test]
    fn many_headers_and_many_parts_are_read_quickly() {
        let headers = part(&("X: y\r\n".repeat(20_000) + BODY), "x");
        body(&[&headers, END].concat(), "x");
        let folded = part(&format!("{BODY}\r\nX: y{}", "\r\n y".repeat(100_000)), "x");
        body(&[&folded, END].concat(), "x");
        let parts = named("x", "").repeat(20_000);
        body(&[&parts, &named("body", "x"), END].concat(), "x");
        let almost = "\r\n--BOUND x".repeat(100_000);
        body(&[&named("body", &almost), END].concat(), &almost);
    }

    prop_compose! {
        fn damaged()(
            text in "([a-z \r\n-]|--BOUND|ü){0,10}",
            place: prop::sample::Index,
            length in 0usize..4,
            written in prop::collection::vec(prop::sample::select(b"\r\n-:;\"\\ B\x00\xFF".to_vec()), 0..4),
        ) -> Vec<u8> {
            let headers = format!("{BODY}; filename=x\r\nContent-Type: text/plain; charset=utf-8");
            let mut form = [b"pre\r\n", &part(&headers, text)[..], &named("to", "a"), END].concat();
            let place = place.index(form.len());
            let end = (place + length).min(form.len());
            form.splice(place..end, written);
            form
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(form: Vec<u8>) {
            let _ = utf8(&form);
            let _ = utf8(&[b"--BOUND\r\n", &form[..], b"\r\n--BOUND--"].concat());
        }

        #[test]
        fn a_damaged_form_does_not_panic(form in damaged()) {
            if let Err(Problem { place: Some(Place::Offset(offset)), .. }) = utf8(&form) {
                prop_assert!(offset <= form.len());
            }
        }

        #[test]
        fn what_is_encoded_is_read_again(text in "([a-zü]|\r|\n|-|--BOUN){0,20}", to: Vec<String>) {
            prop_assume!(to.iter().all(|to| !to.starts_with('\u{FEFF}')));
            let tos: Vec<_> = to.iter().flat_map(|to| named("to", to)).collect();
            let form = [&named("body", &text), &tos[..], END].concat();
            let expected = Draft { to: (!to.is_empty()).then_some(to), body: Some(text), ..Draft::default() };
            prop_assert_eq!(utf8(&form), Ok(expected));
        }
    }
}
