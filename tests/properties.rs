//! Properties of every request, whatever its bytes: it becomes messages or a problem, and the recipient's XML parser
//! reads the same values that the request has.

use std::io::Write;

use post_msg::credentials::authorization::{Credentials, RequestCredentials};
use post_msg::credentials::token::Token;
use post_msg::http::answer;
use post_msg::http::problem::{Place, Problem};
use post_msg::http::query::Query;
use post_msg::message::address::{Address, Parts, Server};
use post_msg::message::limits::Limits;
use post_msg::message::{self, Message};
use post_msg::payload::file::name_in;
use post_msg::payload::query_fields::QueryFields;
use post_msg::payload::reader::{Payload, Reader, Uploads};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const LIMITS: Limits = Limits {
    size: 20_000,
    recipients: 10,
    batch: 20,
    body: 100_000,
};

/// A server with the normal form of the `jid` crate.
struct Known;

impl Server for Known {
    fn host(&self) -> &str {
        "example.com"
    }

    fn normal(&self, address: &str) -> Option<String> {
        jid::Jid::new(address).ok().map(|jid| jid.to_string())
    }

    fn serves(&self, domain: &str) -> bool {
        matches!(domain, "example.com" | "rooms.example.com")
    }

    fn has_rooms(&self, domain: &str) -> bool {
        domain == "rooms.example.com"
    }
}

fn read(
    content_type: Option<&[u8]>,
    coding: Option<&[u8]>,
    body: &[u8],
) -> Result<Payload, Problem> {
    Reader::new(
        content_type,
        coding,
        QueryFields::default(),
        Uploads {
            are_possible: Some(true),
            name: content_type.and_then(name_in),
        },
    )?
    .read(body, true, &LIMITS)
}

/// Every stanza of the payload, as XML.
fn stanzas(payload: &Payload) -> Result<Vec<String>, Problem> {
    let mut stanzas = Vec::new();
    let user = ["user".to_owned()];
    for unaddressed in &payload.messages {
        let to = unaddressed.to.as_deref().unwrap_or(&user);
        let mut recipients = message::Recipients::default();
        for to in to {
            recipients.add(to, &Known, &LIMITS)?;
        }
        for to in &recipients.all()? {
            let content = &unaddressed.content;
            let message = Message::new("me@example.com", to, content, &LIMITS)?;
            let xml = message.element().to_string();
            assert_eq!(xml.len(), message.element().serialised_len(), "{xml}");
            assert!(xml.len() <= LIMITS.size);
            stanzas.push(xml);
        }
    }
    Ok(stanzas)
}

fn legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Checks the result of a request.
fn check(content_type: Option<&[u8]>, coding: Option<&[u8]>, body: &[u8]) {
    let made = read(content_type, coding, body).and_then(|payload| {
        assert!(!payload.messages.is_empty());
        assert!(payload.extras.many || payload.messages.len() == 1);
        stanzas(&payload)
    });
    match made {
        Ok(stanzas) => {
            for xml in stanzas {
                assert!(xml.chars().all(legal), "{xml:?}");
                let parsed = roxmltree::Document::parse(&xml).map(|document| {
                    document
                        .root_element()
                        .children()
                        .any(|child| child.is_element())
                });
                assert_eq!(parsed, Ok(true), "{xml}");
            }
        }
        Err(problem) => {
            assert!(
                matches!(problem.status(), 400 | 413 | 415 | 422),
                "{problem:?}"
            );
            assert!(!problem.detail.is_empty());
            match problem.place {
                // In a compressed body, offsets count the decoded bytes.
                Some(Place::Offset(offset)) if problem.status() == 400 => {
                    let longest = if coding.is_none() {
                        body.len()
                    } else {
                        LIMITS.body
                    };
                    assert!(offset <= longest, "{problem:?}");
                }
                Some(Place::Line { line, column }) => assert!(line > 0 && column > 0),
                _ => {}
            }
            for accept in ["text/plain", "application/problem+json"] {
                let asked = answer::AnswerContext {
                    accept: Some(accept.as_bytes()),
                    content_type,
                    id: None,
                };
                let answer = answer::refusal(&problem, asked);
                let line = answer.body.strip_suffix('\n').unwrap_or(&answer.body);
                let shown = |c: char| !c.is_control() && c != '<' && c != '>';
                assert!(line.chars().all(shown), "{line:?}");
            }
        }
    }
}

fn compress(coding: &str, body: &[u8]) -> Vec<u8> {
    use flate2::{Compression, write};
    let level = Compression::fast();
    match coding {
        "gzip" => {
            let mut encoder = write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        "deflate" => {
            let mut encoder = write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        _ => Ok(body.to_vec()),
    }
    .expect("compressed in memory")
}

fn any_content_type() -> impl Strategy<Value = String> {
    let media_types = vec![
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=B",
        "application/json",
        "application/x-ndjson",
        "Application/JSON ",
        "text/html",
    ];
    let charsets = vec![
        "",
        "",
        "",
        "; charset=utf-8",
        "; charset=utf-16le",
        "; charset=utf-16be",
        "; charset=iso-2022-jp",
        "; charset=shift_jis",
        "; charset=gb18030",
        "; charset=latin1",
        "; charset=klingon",
    ];
    (select(media_types), select(charsets))
        .prop_map(|(media_type, charset)| media_type.to_owned() + charset)
}

/// Pieces of every format, which reach deep into the parsers in any order.
fn likely_body() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b"\n",
        b"\r\n",
        b"\"to\":",
        b"\"user\"",
        b"\"body\":",
        b"\"x\"",
        b"\"html\":",
        b"\"<p>a</p>\"",
        b"\"lang\":",
        b"\"id\":",
        b"\"\\ud83e\\udd80\"",
        b"\"\\ud83e\"",
        b"\"\\u0000\"",
        b"null",
        b"1e999",
        b"-1",
        b"true",
        b"{\"body\":\"a\"}",
        b"{\"to\":[\"a\",\"b\"],\"subject\":\"c\"}\n",
        b"to=user&",
        b"body=x",
        b"&",
        b"=",
        b"+",
        b"%",
        b"%00",
        b"%C3",
        b"%BC",
        b"type=bogus&",
        b"state=gone&",
        b"oob_url=https://a/&",
        b"--B\r\n",
        b"\r\n--B\r\n",
        b"\r\n--B--\r\n",
        b"Content-Disposition: form-data; name=body\r\n\r\n",
        b"Content-Disposition: form-data; name=\"to\"\r\n",
        b"Content-Type: text/plain; charset=utf-16\r\n",
        b"_charset_",
        b"\xEF\xBB\xBF",
        b"\xFF\xFE",
        b"\xFE\xFF",
        b"\xFF",
        b"\xC3\xBC",
        b"\x1B$B",
        b"\x1B(B",
        b"\x1B",
        b"\0",
        b"a\0",
        b"\0a",
        b"\xD8\x3E",
        b"a",
    ];
    vec(select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

/// Text that a message can carry, with characters that need escaping.
fn legal_text() -> impl Strategy<Value = String> {
    let pieces = [
        "&",
        "<",
        ">",
        "'",
        "\"",
        "]]>",
        "<!--",
        "&amp;",
        "&#0;",
        "\t",
        "\n",
        "\u{7F}",
        "\u{85}",
        "\u{FEFF}",
        "\u{1FFFE}",
        "ü",
        "🦀",
    ];
    let piece = prop_oneof![
        select(pieces.to_vec()).prop_map(str::to_owned),
        any::<char>().prop_map(|c| if legal(c) {
            c.to_string()
        } else {
            "x".to_owned()
        }),
    ];
    vec(piece, 1..20).prop_map(|pieces| pieces.concat())
}

fn attribute_text() -> impl Strategy<Value = String> {
    legal_text().prop_map(|text| text.replace(['\t', '\n'], " "))
}

/// The fields of a valid message.
fn right_fields() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let words = |words: &[&str]| select(words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>());
    (
        (
            legal_text(),
            legal_text(),
            legal_text(),
            attribute_text(),
            attribute_text(),
        ),
        words(&["chat", "normal", "headline"]),
        words(&["en", "de-CH", "zh-Hant-TW", "x-a"]),
        words(&["https://example.com/?a=1&b='2'", "urn:a:b", "mailto:a@b"]),
        words(&["active", "composing", "paused", "inactive", "gone"]),
    )
        .prop_map(
            |((body, subject, thread, id, replace), kind, lang, oob_url, state)| {
                vec![
                    ("to", "user@example.com/desk".to_owned()),
                    ("type", kind),
                    ("body", body),
                    ("subject", subject),
                    ("thread", thread),
                    ("id", id),
                    ("replace", replace),
                    ("lang", lang),
                    ("oob_url", oob_url),
                    ("state", state),
                ]
            },
        )
}

fn as_json(fields: &[(&str, String)]) -> String {
    let object: serde_json::Map<_, _> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
        .collect();
    serde_json::Value::from(object).to_string()
}

fn as_multipart(fields: &[(&str, String)]) -> String {
    let parts = fields.iter().map(|(name, value)| {
        format!("--LIMIT\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    });
    parts.collect::<String>() + "--LIMIT--\r\n"
}

/// The only stanza of these bytes.
fn stanza(content_type: &str, body: &str) -> String {
    let payload = read(Some(content_type.as_bytes()), None, body.as_bytes());
    match payload.and_then(|payload| stanzas(&payload)) {
        Ok(stanzas) if stanzas.len() == 1 => stanzas.concat(),
        other => panic!("{other:?} from {body:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_make_messages_or_a_problem_of_the_client(
        content_type: Option<Vec<u8>>, coding: Option<Vec<u8>>, body: Vec<u8>
    ) {
        check(content_type.as_deref(), coding.as_deref(), &body);
        check(content_type.as_deref(), None, &body);
    }

    #[test]
    fn likely_bytes_make_messages_or_a_problem_of_the_client(
        content_type in any_content_type(),
        body in prop_oneof![likely_body(), any::<Vec<u8>>()],
        coding in select(vec!["gzip", "deflate", "identity", "br"]),
        compressed: bool,
    ) {
        let content_type = Some(content_type.as_bytes());
        check(content_type, None, &body);
        let body = if compressed { compress(coding, &body) } else { body };
        check(content_type, Some(coding.as_bytes()), &body);
    }

    #[test]
    fn a_damaged_request_makes_messages_or_a_problem_of_the_client(
        fields in right_fields(), place: prop::sample::Index, written in vec(any::<u8>(), 0..3), removed in 0usize..4,
    ) {
        let form = serde_urlencoded::to_string(&fields).expect("a form");
        for (content_type, body) in [
            ("application/json", as_json(&fields)),
            ("application/x-ndjson", as_json(&fields) + "\n" + &as_json(&fields)),
            ("application/x-www-form-urlencoded", form),
            ("multipart/form-data; boundary=LIMIT", as_multipart(&fields)),
            ("text/plain", fields[2].1.clone()),
        ] {
            let mut body = body.into_bytes();
            let start = place.index(body.len() + 1);
            let end = (start + removed).min(body.len());
            body.splice(start..end, written.iter().copied());
            check(Some(content_type.as_bytes()), None, &body);
        }
    }

    #[test]
    fn every_field_is_read_back_as_it_was_written(fields in right_fields()) {
        let xml = stanza("application/json", &as_json(&fields));
        let document = roxmltree::Document::parse(&xml).map_err(|e| TestCaseError::fail(format!("{e} in {xml}")))?;
        let message = document.root_element();
        let child = |name: &str, namespace: Option<&str>| {
            message.children().find(|c| c.tag_name().name() == name && c.tag_name().namespace() == namespace)
        };
        let text = |name| child(name, None).and_then(|c| c.text()).map(str::to_owned);
        let replace = child("replace", Some("urn:xmpp:message-correct:0"));
        let url = child("x", Some("jabber:x:oob")).and_then(|x| x.first_element_child());
        for (name, value) in &fields {
            let read = match *name {
                "to" | "type" | "id" => message.attribute(*name).map(str::to_owned),
                "lang" => message.attribute(("http://www.w3.org/XML/1998/namespace", "lang")).map(str::to_owned),
                "replace" => replace.and_then(|e| e.attribute("id")).map(str::to_owned),
                "oob_url" => url.and_then(|url| url.text()).map(str::to_owned),
                "state" => child(value, Some("http://jabber.org/protocol/chatstates")).map(|_| value.clone()),
                name => text(name),
            };
            prop_assert_eq!(read.as_ref(), Some(value), "{} in {}", name, xml);
        }
    }

    #[test]
    fn every_format_makes_the_same_message_of_the_same_fields(fields in right_fields()) {
        // At the beginning of a part, a byte-order mark is dropped.
        prop_assume!(fields.iter().all(|(_, value)| !value.starts_with('\u{FEFF}')));
        let from_json = stanza("application/json", &as_json(&fields));
        let form = serde_urlencoded::to_string(&fields).expect("a form");
        prop_assert_eq!(&stanza("application/x-www-form-urlencoded", &form), &from_json);
        prop_assert_eq!(&stanza("multipart/form-data; boundary=LIMIT", &as_multipart(&fields)), &from_json);
        prop_assert_eq!(&stanza("application/x-ndjson", &as_json(&fields)), &from_json);
    }

    #[test]
    fn a_text_arrives_with_lf_as_line_end_or_is_refused_if_xml_cannot_carry_it(text: String, ends in "(\r\n|\r|\n|a){0,6}") {
        let text = text + &ends;
        let body = serde_json::json!({ "to": "user", "subject": text, "state": "active" }).to_string();
        match read(Some(b"application/json"), None, body.as_bytes()).and_then(|payload| stanzas(&payload)) {
            Ok(stanzas) => {
                let xml = stanzas.concat();
                let document = roxmltree::Document::parse(&xml).map_err(|e| TestCaseError::fail(format!("{e} in {xml}")))?;
                let subject = document.descendants().find(|e| e.has_tag_name("subject"));
                let read = subject.and_then(|e| e.text()).unwrap_or_default();
                prop_assert_eq!(read, text.replace("\r\n", "\n").replace('\r', "\n"));
            }
            Err(problem) => {
                let first = text.chars().position(|c| !legal(c) && c != '\r');
                prop_assert_eq!(problem.status(), 422);
                prop_assert_eq!(problem.place, first.map(Place::Offset));
                prop_assert_eq!(problem.field.as_deref(), Some("subject"));
            }
        }
    }

    #[test]
    fn any_html_is_reduced_to_well_formed_xhtml_of_the_profile(
        pieces in vec(select(vec![
            "<p>", "</p>", "<a href='", "https://a/", "javascript:x", "'>", "</a>", "<br/>", "<script>", "</script>", "<x:y xmlns:x='urn:x'>",
            "</x:y>", "<img src='http://a/' alt='\t&#10;'/>", "<span style='color: red; position: fixed'>", "</span>", "<p onclick='x'/>",
            "&amp;", "&#13;", "&nbsp;", "<![CDATA[<&]]>", "<!--", "-->", "<b>", "</b>", "ü", "\r\n", "text",
        ]), 0..12)
    ) {
        let body = serde_json::json!({ "to": "user", "subject": "s", "html": pieces.concat() }).to_string();
        match read(Some(b"application/json"), None, body.as_bytes()).and_then(|payload| stanzas(&payload)) {
            Ok(stanzas) => {
                let xml = stanzas.concat();
                let document = roxmltree::Document::parse(&xml).map_err(|e| TestCaseError::fail(format!("{e} in {xml}")))?;
                for element in document.descendants().filter(|e| e.tag_name().namespace() == Some("http://www.w3.org/1999/xhtml")) {
                    prop_assert!(["body", "p", "a", "br", "img", "span"].contains(&element.tag_name().name()), "{}", xml);
                    for attribute in element.attributes() {
                        prop_assert!(["href", "src", "alt", "style"].contains(&attribute.name()), "{}", xml);
                        prop_assert!(!attribute.value().contains("javascript") && !attribute.value().contains("position"), "{}", xml);
                    }
                }
            }
            Err(problem) => {
                prop_assert_eq!((problem.status(), problem.field.as_deref()), (422, Some("html")));
                prop_assert!(matches!(problem.place, Some(Place::Line { .. })), "{:?}", problem);
            }
        }
    }

    #[test]
    fn any_recipient_is_an_address_that_is_its_own_normal_form_or_refused(
        written in prop_oneof![any::<String>(), "[a-zäA-Z@/:.%\u{0}#? ]{0,12}", "(xmpp:)?[a-z%4]{0,4}@?[a-z.]{0,8}(/.{0,3})?"]
    ) {
        match Address::of_recipient(&written, &Known) {
            Ok(address) => {
                prop_assert_eq!(Known.normal(address.as_str()), Some(address.as_str().to_owned()));
                prop_assert!(!address.as_str().contains(char::is_control));
                let Parts { domain, .. } = address.parts();
                prop_assert!(!domain.is_empty());
            }
            Err(problem) => {
                prop_assert_eq!((problem.status(), problem.field.as_deref()), (422, Some("to")));
                prop_assert!(!problem.detail.contains(char::is_control), "{}", problem);
            }
        }
    }

    #[test]
    fn any_header_and_query_are_credentials_or_none(
        scheme in "(Basic|bearer|Digest|)( |)", value: Vec<u8>, query in vec(any::<u8>(), 0..40), more in "(&?token=[a-z%_]{0,9}){0,3}"
    ) {
        let header = [scheme.as_bytes(), &value].concat();
        let query = Query::parse(&[&query, more.as_bytes()].concat());
        RequestCredentials::of(Some(&header), &query.tokens);
        let presented = RequestCredentials::of(None, &query.tokens);
        prop_assert_eq!(presented == RequestCredentials::Nothing, query.tokens.is_empty());
    }

    #[test]
    fn a_token_is_found_in_any_percent_encoding_unless_it_is_damaged(
        encoded in vec(any::<bool>(), 60), at in 0_usize..55, other: char
    ) {
        let token = Token::new().unwrap();
        let text = token.secret().expose();
        let query: String = text.chars().zip(encoded)
            .map(|(c, encoded)| if encoded { format!("%{:02x}", u32::from(c)) } else { c.to_string() })
            .collect();
        let tokens = Query::parse(format!("x=y&token={query}").as_bytes()).tokens;
        prop_assert_eq!(tokens.iter().map(|token| token.as_str()).collect::<Vec<_>>(), [text]);
        let expected = Credentials::Sending { address: None, token: token.clone() };
        prop_assert_eq!(RequestCredentials::of(None, &tokens), RequestCredentials::One(expected));
        let mut damaged = text.to_owned();
        damaged.replace_range(at..=at, &other.to_string());
        prop_assert_eq!(Token::parse(&damaged).is_some(), damaged == text);
    }
}
