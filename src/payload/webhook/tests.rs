use encoding_rs::UTF_8;

use super::*;
use crate::http::memory::Share;
use crate::message::content::Content;
use crate::message::field::Field;
use crate::message::kind::Kind;
use crate::message::limits::EXAMPLE as LIMITS;

fn read(bytes: &[u8], form: Form) -> Result<String, u16> {
    let memory = Share::unshared(bytes.len());
    let body = Body {
        bytes,
        charset: UTF_8,
        boundary: Some(b"limit"),
        memory: &memory,
    };
    let payload = payload(&body, form);
    let json = payload.map(|(payload, _)| serde_json::to_string(&payload).unwrap());
    json.map_err(|problem| problem.status())
}

#[test]
fn json_is_read_under_every_media_type() {
    let json = br#" {"a": [1, null, "x"]}"#;
    let read_as = r#"{"a":[1,null,"x"]}"#.to_owned();
    for form in [Form::Json, Form::Urlencoded, Form::Multipart, Form::Unknown] {
        assert_eq!(read(json, form), Ok(read_as.clone()), "{form:?}");
    }
    assert_eq!(read(b"[1]", Form::Unknown), Ok("[1]".to_owned()));
    assert_eq!(read(b"\"x\"", Form::Json), Ok("\"x\"".to_owned()));
    assert_eq!(
        read(
            b"{\"a\": \"size:19\" x\ny\", \"b\": \"c\\\"d\"}",
            Form::Json
        ),
        Ok(r#"{"a":"size:19\" x\ny","b":"c\"d"}"#.to_owned())
    );
    assert_eq!(read(b"hello", Form::Unknown), Err(415));
    assert_eq!(read(b"{\"a\": 1", Form::Urlencoded), Err(400));
    assert_eq!(read(b" \n", Form::Json), Ok("{}".to_owned()));
    assert_eq!(
        read(b"\xEF\xBB\xBF{\"a\":1}", Form::Unknown),
        Ok(r#"{"a":1}"#.to_owned())
    );
    assert_eq!(read(b"\xFF", Form::Json), Err(400));
}

#[test]
fn json_that_is_read_twice_takes_its_memory_once() {
    let lists = "[],".repeat(8000);
    let json = format!(r#"{{"a": [{lists}0], "b": "x" y"}}"#);
    assert!(read(json.as_bytes(), Form::Json).is_ok());
    let form = format!(r#"x={{"a": [{lists}0]"#);
    assert!(read(form.as_bytes(), Form::Urlencoded).is_ok());
    // JSON escapes each control character in six bytes.
    let text = format!("\"{}", "\u{1}".repeat(1 << 20));
    let taken = |bytes| {
        let memory = Share::unshared(1 << 20);
        memory.take(bytes).expect("enough memory");
        let problem = Problem::syntax("malformed");
        repaired_json(&text, &memory, problem)
            .expect_err("no JSON")
            .status()
    };
    assert_eq!(taken(0), 400);
    assert_eq!(taken(10 << 20), 413);
}

#[test]
fn fields_of_a_form_are_members_and_json_in_one_is_the_payload() {
    let form = |form: &str| read(form.as_bytes(), Form::Urlencoded);
    let ok = |json: &str| Ok(json.to_owned());
    assert_eq!(form("b=1&a=x+y"), ok(r#"{"a":"x y","b":"1"}"#));
    assert_eq!(form("a=1&a=2&a=3"), ok(r#"{"a":["1","2","3"]}"#));
    assert_eq!(form("payload=%7B%22a%22:1%7D"), ok(r#"{"a":1}"#));
    let many = |count| form(&"a=1&".repeat(count)).map(|json| json.len());
    assert_eq!(many(2000), Ok(8007));
    assert_eq!(many(200_000), Err(413));
    assert_eq!(form("data=plain"), ok(r#"{"data":"plain"}"#));
    assert_eq!(form("payload=%7B"), Err(400));
    assert_eq!(
        form("\u{FEFF}text=95% of 100%"),
        ok(r#"{"text":"95% of 100%"}"#)
    );
    assert_eq!(
        form(r#"payload={"a":"x+y & 5% = z"}"#),
        ok(r#"{"a":"x+y & 5% = z"}"#)
    );
    assert_eq!(form(r#"x={"a":1}"#), ok(r#"{"a":1}"#));
    assert_eq!(form("[x]=1"), ok(r#"{"[x]":"1"}"#));
    assert_eq!(form("hello"), Err(415));
    for other in [Form::Json, Form::Unknown] {
        assert_eq!(
            read(b"text=a+b", other),
            ok(r#"{"text":"a b"}"#),
            "{other:?}"
        );
        assert!(read(b"text of = a", other).is_err(), "{other:?}");
    }
    let parts = "--limit\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\r\n{\"a\": 1}\r\n\
        --limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n\u{1}\r\n--limit--\r\n";
    for declared in [Form::Multipart, Form::Json, Form::Urlencoded, Form::Unknown] {
        assert_eq!(read(parts.as_bytes(), declared), ok(r#"{"a":1}"#));
    }
}

#[test]
fn media_types_are_known_in_any_case() {
    let form = |essence: &str| Form::of(Some(essence.as_bytes()));
    assert_eq!(form("Application/JSON"), Form::Json);
    assert_eq!(form("application/vnd.x+json"), Form::Json);
    assert_eq!(form("multipart/form-data"), Form::Multipart);
    assert_eq!(form("applications/json"), Form::Unknown);
    assert_eq!(Form::of(None), Form::Unknown);
}

/// The length of the stanza with addresses of usual length.
fn sent(draft: Draft) -> usize {
    let content = Content::of(fit(draft, &LIMITS), false, &LIMITS).expect("a message");
    let element = content.element("sender@example.com", "recipient@example.com", Kind::Chat);
    element.serialised_len()
}

#[test]
fn a_message_that_is_too_long_is_cut_to_fit() {
    for text in ["x", "&", "ü", "🦀", "'\n"] {
        let text = text.repeat(5000);
        for fields in [
            vec![("body", &text)],
            vec![("body", &text), ("subject", &text), ("thread", &text)],
            vec![("body", &text), ("html", &text), ("lang", &text)],
        ] {
            let mut draft = Draft::default();
            for (name, value) in fields {
                let value = if name == "lang" { "en" } else { value };
                draft.values[Field::named(name).unwrap()] = Some(value.to_owned());
            }
            let length = sent(draft);
            assert!(
                length <= LIMITS.size && length > LIMITS.size / 2,
                "{length}"
            );
        }
    }
}

#[test]
fn a_message_that_fits_is_unchanged() {
    let draft = Draft::of(&[
        ("body", "a & b"),
        ("html", "<p>a &amp; b</p>"),
        ("subject", "s"),
    ]);
    assert_eq!(fit(draft.clone(), &LIMITS), draft);
}

#[test]
fn a_cut_is_at_a_character() {
    let cut_to = |text: &str, room| {
        let mut text = text.to_owned();
        cut(&mut text, room);
        text
    };
    assert_eq!(cut_to("abcdef", 6), "abcdef");
    assert_eq!(cut_to("abcdefg", 6), "abc…");
    assert_eq!(cut_to("üüüü", 7), "üü…");
    assert_eq!(cut_to("a&bcdef", 8), "a…");
    assert_eq!(cut_to("abc", 0), "…");
}

#[test]
fn large_and_dense_payloads_are_slow() {
    let webhook = || {
        let templates = Arc::new(Templates::new(None));
        let (headers, query) = (Headers::default(), Query::default());
        let occasion = Occasion::default();
        Webhook::new(templates, "slack".to_owned(), headers, query, occasion)
    };
    assert!(!webhook().is_slow(&[b'a'; 6 * 1024]));
    assert!(webhook().is_slow(&[b'a'; 6 * 1024 + 1]));
    assert!(!webhook().is_slow(&[b','; 300]));
    assert!(webhook().is_slow(&[b','; 301]));
    assert!(!webhook().is_slow(&[b'{'; 40]));
    assert!(webhook().is_slow(&[b'['; 41]));
}

#[test]
fn an_id_or_thread_that_is_too_long_is_replaced_by_its_hash() {
    for field in ["id", "replace", "thread"] {
        let read_thread = |text: &str| {
            let draft = fit(Draft::of(&[("body", "x"), (field, text)]), &LIMITS);
            draft.values[Field::named(field).expect(field)]
                .clone()
                .expect(field)
        };
        let long = "x".repeat(LONGEST_ID + 1);
        assert_eq!(read_thread(&long).len(), 64, "{field}");
        assert_eq!(read_thread(&long), read_thread(&long), "{field}");
        assert_ne!(
            read_thread(&long),
            read_thread(&(long.clone() + "x")),
            "{field}"
        );
        assert_eq!(read_thread(&long[1..]), long[1..], "{field}");
    }
}
