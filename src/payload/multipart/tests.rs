use encoding_rs::{UTF_8, WINDOWS_1252};
use proptest::prelude::*;

use super::*;
use crate::message::limits::EXAMPLE as LIMITS;
use crate::payload::body::drafts_of;

fn read(boundary: &str, charset: &'static Encoding, bytes: &[u8]) -> Result<Draft, Problem> {
    let body = (bytes, charset, Some(boundary.as_bytes()));
    let read = |body: &Body, take: &mut Sink| super::read(body, &LIMITS, take);
    drafts_of(body, read).map(|(mut drafts, _)| drafts.remove(0).known())
}

fn text<'a>(draft: &'a Draft, field: &str) -> Option<&'a str> {
    draft.values[Field::named(field)?].as_deref()
}

/// A part. Several headers are separated by CR LF.
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
        Ok(draft) => assert!(text(&draft, "body") == Some(expected), "{shown}"),
        Err(problem) => panic!("{shown}: {problem:?}"),
    }
}

#[track_caller]
fn assert_refused(form: &[u8], offset: usize) {
    let shown = form.escape_ascii();
    let problem = utf8(form).expect_err(&shown.to_string());
    let facts = (problem.status(), problem.place);
    assert_eq!(
        facts,
        (400, Some(Place::Offset(offset))),
        "{shown}: {problem}"
    );
    assert!(problem.detail.contains(&offset.to_string()), "{problem}");
}

#[track_caller]
fn status(form: &[u8], status: u16) {
    let shown = form.escape_ascii();
    let problem = utf8(form).expect_err(&shown.to_string());
    assert_eq!(problem.status(), status, "{shown}: {problem}");
}

#[test]
fn each_field_gets_its_value() {
    let form = [
        &named("to", "a"),
        &named("type", "chat"),
        &named("body", "ü"),
        &named("to", "b"),
        &named("x", "y"),
        END,
    ]
    .concat();
    let fields = [("to", "a"), ("type", "chat"), ("body", "ü"), ("to", "b")];
    let expected = Draft::of(&fields);
    assert_eq!(utf8(&form), Ok(expected));
    assert_eq!(utf8(END), Ok(Draft::default()));
}

#[test]
fn text_around_the_parts_is_ignored() {
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
fn every_character_of_a_boundary_is_literal() {
    for boundary in [
        "a'()+_,-./:=? z",
        "------------------------d74496d66958873e",
        &"B".repeat(70),
    ] {
        let form = String::from_utf8([&named("body", "x"), END].concat()).unwrap();
        let draft = read(boundary, UTF_8, form.replace("BOUND", boundary).as_bytes());
        assert_eq!(text(&draft.unwrap(), "body"), Some("x"));
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
fn unknown_parts_are_ignored_with_any_content() {
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
    assert_eq!(draft, Draft::of(&[("body", "ü"), ("to", "ü")]));
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
fn broken_framing_is_reported_with_its_place() {
    let form = [&named("body", "never"), END].concat();
    assert_refused(b"", 0);
    assert_refused(&form.escape_ascii().to_string().into_bytes(), 0);
    assert_eq!(
        read("OTHER", UTF_8, &form).map_err(|p| p.status()),
        Err(400)
    );
    let open = named("body", "never");
    for end in [0, 2, 8, 9, 10] {
        assert_refused(&open[..open.len() - end], open.len() - end);
    }
    assert_refused(b"--BOUND\r\nContent-Dispo", 22);
    assert_refused(b"--BOUND\r\nX: y\r\nnever\r\n--BOUND--", 15);
    assert_refused(b"--BOUND\r\nX: y\r\nnever\r\nmore\r\n--BOUND--", 15);
    assert_refused(
        &String::from_utf8(form)
            .unwrap()
            .replace("\r\n", "\n")
            .into_bytes(),
        0,
    );
}

#[test]
fn a_part_may_end_after_its_headers() {
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
        assert_refused(&[&part(headers, "x"), END].concat(), 9);
    }
    assert_refused(b"--BOUND\r\n--BOUND--", 9);
    assert_refused(b"--BOUND\r\n\r\n--BOUND--", 9);
    assert_refused(
        &[&part(&format!("X: y\r\n{BODY}; name=to"), "x"), END].concat(),
        15,
    );
    assert_refused(
        &[&part(&format!("{BODY}\r\n{BODY}"), "x"), END].concat(),
        54,
    );
}

#[test]
fn bytes_that_do_not_decode_are_refused_at_their_place() {
    let unknown = named("x", b"\xFF");
    let form = [&unknown, &named("body", b"in \xFF parts"), END].concat();
    assert_refused(&form, unknown.len() + 59);
    assert_refused(
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
fn a_field_without_text_is_refused() {
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
    let result = utf8(&[&named("body", "1"), &named("body", "2"), END].concat());
    let fault = result.unwrap().fault.map(|p| (p.status(), p.field));
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
    fn an_encoded_message_is_read_unchanged(text in "([a-zü]|\r|\n|-|--BOUN){0,20}", to: Vec<String>) {
        prop_assume!(to.iter().all(|to| !to.starts_with('\u{FEFF}')));
        let tos: Vec<_> = to.iter().flat_map(|to| named("to", to)).collect();
        let form = [&named("body", &text), &tos[..], END].concat();
        let mut fields = vec![("body", text.as_str())];
        fields.extend(to.iter().map(|to| ("to", to.as_str())));
        let expected = Draft::of(&fields);
        prop_assert_eq!(utf8(&form), Ok(expected));
    }
}
