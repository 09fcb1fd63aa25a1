use encoding_rs::UTF_8;

use super::*;

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

#[test]
fn a_body_is_text_where_its_program_posts_text() {
    let payload = |bytes: &[u8], form, is_text| {
        let memory = Share::unshared(bytes.len());
        let body = Body {
            bytes,
            charset: UTF_8,
            boundary: None,
            memory: &memory,
        };
        let text = text(&body, form, is_text).unwrap();
        text.map(|text| text.as_str().map(str::to_owned))
    };
    let is = |text: &str| Some(Some(text.to_owned()));
    let (form, never, unless) = (Form::Urlencoded, TextBody::Never, TextBody::UnlessJson);
    assert_eq!(payload(b"a=b", form, never), None);
    assert_eq!(payload(b"a=b", form, unless), is("a=b"));
    assert_eq!(payload(b" {}", form, unless), None);
    assert_eq!(payload(b" {}", form, TextBody::Always), is(" {}"));
    assert_eq!(payload(b"[1]", form, unless), is("[1]"));
    assert_eq!(payload(b"[1]", Form::Json, unless), None);
    assert_eq!(payload(b"\xEF\xBB\xBFa", form, unless), is("a"));
    assert_eq!(payload(b"", form, unless), is(""));
    assert_eq!(payload(b"\xFF", form, unless), Some(None), "a file");
}

#[test]
fn a_token_is_found_in_a_body_of_each_syntax() {
    let token = |content_type: &[u8], body: &[u8]| {
        let member = member(Some(content_type), body, "token");
        member.map(|token| token.as_str().to_owned())
    };
    let a = Some("a+b".to_owned());
    assert_eq!(token(b"application/json", br#"{"token": "a+b"}"#), a);
    assert_eq!(
        token(b"application/x-www-form-urlencoded", b"x=1&token=a%2Bb"),
        a
    );
    let parts = b"--l\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\na+b\r\n--l--\r\n";
    assert_eq!(token(b"multipart/form-data; boundary=l", parts), a);
    assert_eq!(token(b"application/json", br#"{"token": 1}"#), None);
    assert_eq!(token(b"application/json", b"{"), None);
}
