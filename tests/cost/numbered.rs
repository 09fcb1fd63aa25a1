//! Families with different pieces: numbered keys, messages, recipients, parts. Each is measured plain and compressed,
//! and has an expected status.

use std::fmt::Write as _;

use super::recipe::Request;
use super::way::cost;

/// The media type of a body, and the template.
#[derive(Clone, Copy)]
struct Way {
    media_type: &'static str,
    template: Option<&'static str>,
}

const JSON: Way = Way {
    media_type: "application/json",
    template: None,
};
const NDJSON: Way = Way {
    media_type: "application/x-ndjson",
    ..JSON
};
const FORM: Way = Way {
    media_type: "application/x-www-form-urlencoded",
    ..JSON
};
const MULTIPART: Way = Way {
    media_type: "multipart/form-data; boundary=B",
    ..JSON
};
const SLACK: Way = Way {
    template: Some("slack"),
    ..JSON
};
const SLACK_FORM: Way = Way {
    template: Some("slack"),
    ..FORM
};
const DISCORD_MULTIPART: Way = Way {
    template: Some("discord"),
    ..MULTIPART
};

/// Checks a body against the rules, plain and compressed.
#[track_caller]
fn holds(name: &str, way: Way, body: &str, expected: u16) {
    let mut request = Request::new(way.media_type, body);
    if let Some(template) = way.template {
        request = request.with("as", template);
    }
    for request in [request.clone(), request.packed("gzip")] {
        let cost = cost(&request);
        let faults = cost.faults(request.bytes());
        let coding = request.header("Content-Encoding");
        assert!(
            faults.is_empty(),
            "{name}, {coding:?}: {faults:?}, {}",
            cost.status
        );
        assert_eq!(cost.status, expected, "{name}, {coding:?}");
    }
}

/// A body of at most `bytes` bytes: pieces between `before` and `after`.
fn repeated(before: &str, piece: impl Fn(usize) -> String, after: &str, bytes: usize) -> String {
    let mut body = before.to_owned();
    for number in 0.. {
        let piece = piece(number);
        if body.len() + piece.len() + after.len() > bytes {
            break;
        }
        body += &piece;
    }
    body + after
}

const SIZES: [usize; 3] = [8 << 10, 64 << 10, 256 << 10];

#[track_caller]
fn family(
    name: &str,
    way: Way,
    before: &str,
    piece: fn(usize) -> String,
    after: &str,
    statuses: [u16; 3],
) {
    for (size, status) in SIZES.into_iter().zip(statuses) {
        let body = repeated(before, piece, after, size);
        holds(&format!("{name} of {size}"), way, &body, status);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn values_of_json_that_are_not_messages() {
    let zeros = |_| "0,".to_owned();
    family("zeros", JSON, "[", zeros, "0]", [422; 3]);
    family(
        "empty objects",
        JSON,
        "[",
        |_| "{},".to_owned(),
        "{}]",
        [422; 3],
    );
    let keys = |number| format!("\"{number:x}\":0,");
    family("keys", JSON, "{", keys, "\"body\":\"x\"}", [200; 3]);
    family("lines", NDJSON, "", |_| "0\n".to_owned(), "", [422; 3]);
    family(
        "one key twice",
        JSON,
        "{",
        |_| "\"a\":0,".to_owned(),
        "\"a\":0}",
        [422; 3],
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn messages_of_json() {
    let small = |_| "{\"body\":\"1\"},".to_owned();
    family(
        "small",
        JSON,
        "[",
        small,
        "{\"body\":\"1\"}]",
        [200, 200, 422],
    );
    let line = |number| format!("{{\"body\":\"{number}\",\"id\":\"{number}\"}}\n");
    family("lines", NDJSON, "", line, "", [200, 200, 200]);
    let full = |number| {
        format!(
            "{{\"to\":[\"a{number}\",\"b\"],\"type\":\"chat\",\"subject\":\"s\",\"body\":\"b\",\"thread\":\"t\"}},"
        )
    };
    family(
        "full",
        JSON,
        "[",
        full,
        "{\"body\":\"1\"}]",
        [200, 200, 200],
    );
    let state = |_| "{\"state\":\"gone\"},".to_owned();
    family(
        "states",
        JSON,
        "[",
        state,
        "{\"body\":\"1\"}]",
        [200, 200, 422],
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn recipients() {
    let to = |number| format!("\"{number:x}\",");
    family(
        "recipients",
        JSON,
        "{\"body\":\"x\",\"to\":[",
        to,
        "\"a\"]}",
        [422; 3],
    );
    let lists = |number| {
        let names: Vec<_> = (0..100).map(|name| format!("\"{name}\"")).collect();
        format!("{{\"body\":\"{number}\",\"to\":[{}]}},", names.join(","))
    };
    family(
        "lists",
        JSON,
        "[",
        lists,
        "{\"body\":\"x\"}]",
        [200, 422, 413],
    );
    family(
        "in a form",
        FORM,
        "body=x",
        |number| format!("&to={number:x}"),
        "",
        [422; 3],
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn markup() {
    let html = |_| "<p/>".to_owned();
    family(
        "elements",
        JSON,
        "{\"html\":\"",
        html,
        "x\"}",
        [422, 422, 422],
    );
    family(
        "comments",
        JSON,
        "{\"html\":\"",
        |_| "<!---->".to_owned(),
        "x\"}",
        [200, 200, 413],
    );
    family(
        "equals signs",
        JSON,
        "{\"html\":\"",
        |_| "=".to_owned(),
        "x\"}",
        [200, 413, 413],
    );
    let line = |_| format!("{{\"html\":\"{}x\"}}\n", "<p/>".repeat(1500));
    family("in lines", NDJSON, "", line, "", [200, 200, 200]);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn forms_for_templates() {
    let pair = |number| format!("{number:x}=&");
    family("pairs", SLACK_FORM, "", pair, "text=x", [200, 413, 413]);
    family(
        "one name",
        SLACK_FORM,
        "",
        |_| "a&".to_owned(),
        "text=x",
        [413; 3],
    );
    let part = |number| format!("--B\r\nContent-Disposition: form-data; name={number}\r\n\r\n\r\n");
    let end = "--B\r\nContent-Disposition: form-data; name=content\r\n\r\nx\r\n--B--\r\n";
    family("parts", DISCORD_MULTIPART, "", part, end, [200; 3]);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn trees_for_templates() {
    let before = "{\"text\":\"x\",\"z\":[";
    let maps = |_| "{\"\":0},".to_owned();
    family("maps", SLACK, before, maps, "0]}", [200, 413, 413]);
    family(
        "zeros",
        SLACK,
        before,
        |_| "0,".to_owned(),
        "0]}",
        [200, 200, 413],
    );
    family(
        "lists",
        SLACK,
        before,
        |_| "[0],".to_owned(),
        "0]}",
        [200, 413, 413],
    );
    family(
        "texts",
        SLACK,
        before,
        |_| "\"\",".to_owned(),
        "0]}",
        [200; 3],
    );
    let keys = |number| format!("\"{number}\":\"\",");
    family(
        "keys",
        SLACK,
        "{\"text\":\"x\",",
        keys,
        "\"a\":0}",
        [200; 3],
    );
    let rows = |number| {
        format!(
            "{{\"labels\":{{\"alertname\":\"Disk {number}\",\"severity\":\"warning\"}},\"startsAt\":\"2026-11-22T05:14:23.117Z\"}},"
        )
    };
    family("rows", SLACK, before, rows, "0]}", [200; 3]);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn files_of_a_form() {
    for (field, len) in [
        ("to", 150_000),
        ("thread", 150_000),
        ("lang", 150_000),
        ("to", 3000),
        ("lang", 1000),
    ] {
        let mut body = String::new();
        let value = "x-".to_owned() + &"a-".repeat(len / 2) + "a";
        for (name, value) in [
            (format!("name={field}"), value.as_str()),
            ("name=body".to_owned(), "x"),
        ] {
            write!(
                body,
                "--B\r\nContent-Disposition: form-data; {name}\r\n\r\n{value}\r\n"
            )
            .expect("a string");
        }
        for files in [100, 101] {
            let file = "--B\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\nx\r\n";
            let body = body.clone() + &file.repeat(files) + "--B--\r\n";
            let expected = match (files, field, len) {
                (100, _, ..10_000) => 200,
                (100, "lang", _) => 413,
                _ => 422,
            };
            holds(
                &format!("{files} files with {len} of {field}"),
                MULTIPART,
                &body,
                expected,
            );
        }
    }
}
