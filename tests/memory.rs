//! A request takes memory in proportion to its body, whatever the body is made of: at its peak at most 20 times the
//! bytes, and 2 MB.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use post_msg::http::query::Query;
use post_msg::message::address::Server;
use post_msg::message::limits::Limits;
use post_msg::payload::batch::Batch;
use post_msg::payload::reader::{Reader, Uploads};
use post_msg::payload::webhook::Webhook;
use post_msg::template::context::Headers;
use post_msg::template::engine::Templates;

const LIMITS: Limits = Limits {
    size: 196_608,
    recipients: 100,
    batch: 10_000,
    body: 10 << 20,
};

const PER_BYTE: u64 = 20;
const BESIDE: u64 = 2 << 20;

/// A server that takes every address as it is.
struct AnyAddress;

impl Server for AnyAddress {
    fn host(&self) -> &str {
        "example.com"
    }

    fn normal(&self, address: &str) -> Option<String> {
        Some(address.to_owned())
    }

    fn serves(&self, _domain: &str) -> bool {
        false
    }

    fn has_rooms(&self, _domain: &str) -> bool {
        false
    }
}

/// How a body is read: its media type, and the template.
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

/// What became of a body: the status (200 for messages), and the bytes of memory at the peak.
fn cost(way: Way, coding: Option<&[u8]>, body: &[u8]) -> (u16, u64) {
    let templates = Arc::new(Templates::new(None));
    if let Some(name) = way.template {
        templates.source(name).expect("a template"); // which is parsed once
    }
    let mut status = 0;
    let measured = allocation_counter::measure(|| {
        status = match resolved(&templates, way, coding, body) {
            Ok(()) => 200,
            Err(problem) => problem,
        };
    });
    (status, measured.bytes_max)
}

fn resolved(
    templates: &Arc<Templates>,
    way: Way,
    coding: Option<&[u8]>,
    body: &[u8],
) -> Result<(), u16> {
    let uploads = Uploads::Somewhere {
        disposition: None,
        name: None,
    };
    let webhook = way.template.map(|name| {
        let now = "2026-11-22T06:00:00Z".to_owned();
        let templates = Arc::clone(templates);
        Webhook::new(
            templates,
            name.to_owned(),
            Headers::default(),
            Query::default(),
            now,
        )
    });
    let media_type = Some(way.media_type.as_bytes());
    let reader = Reader::new(media_type, coding, webhook, uploads);
    let read = reader.and_then(|reader| reader.read(body, false, &LIMITS));
    let in_url = Ok(vec!["user".to_owned()]);
    let mut batch = Batch::new("me@example.com".to_owned(), in_url, LIMITS, None);
    let resolved = batch
        .take(read)
        .and_then(|()| batch.resolve(&AnyAddress, || true));
    resolved.map(|_| ()).map_err(|problem| problem.status)
}

/// Holds a body against the rule: as it is, and compressed.
#[track_caller]
fn holds(name: &str, way: Way, body: &str, expected: u16) {
    let most = PER_BYTE * body.len() as u64 + BESIDE;
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(body.as_bytes()).expect("compressed");
    let packed = packed.finish().expect("compressed");
    for (coding, body) in [(None, body.as_bytes()), (Some(&b"gzip"[..]), &packed)] {
        let (status, peak) = cost(way, coding, body);
        assert!(
            peak <= most,
            "{name}, {coding:?}: {peak} bytes for {}, {status}",
            body.len()
        );
        assert_eq!(status, expected, "{name}, {coding:?}");
    }
}

/// Pieces up to so many bytes, between `before` and `after`.
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
fn values_of_json_that_are_no_messages() {
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
