//! Times reading a request, from its headers and body to checked content and stanzas.
//!
//! `cargo bench --bench reading`. Aims: 48 KB of JSON in under 0.25 ms, 10 alerts of Alertmanager in under 0.15 ms.

use std::sync::Arc;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};

use post_msg::credentials::authorization::RequestCredentials;
use post_msg::http::query::Query;
use post_msg::message::address::{Address, Server};
use post_msg::message::limits::Limits;
use post_msg::message::{Message, Recipient};
use post_msg::payload::query_fields::QueryFields;
use post_msg::payload::reader::{Payload, Reader, Uploads};
use post_msg::payload::webhook::{UrlParts, Webhook};
use post_msg::template::context::{Headers, Occasion, Posted};
use post_msg::template::engine::Templates;

fn main() {
    divan::main();
}

const LIMITS: Limits = Limits {
    size: 196_608,
    recipients: 100,
    batch: 10_000,
    body: 10 << 20,
};

/// Text with characters that take time: line ends, quotes, letters beyond ASCII.
fn prose(bytes: usize) -> String {
    let line =
        "Backup of \"db-1\" finished: 12 tables & 3 views in 42 s <ok> – größer als gestern.\n";
    let mut text = line.repeat(bytes / line.len() + 1);
    let end = (0..=bytes).rev().find(|&at| text.is_char_boundary(at));
    text.truncate(end.unwrap_or_default());
    text
}

fn json(bytes: usize) -> String {
    serde_json::json!({ "to": "recipient@example.com", "body": prose(bytes) }).to_string()
}

fn form(bytes: usize) -> String {
    let fields = [("to", "recipient@example.com"), ("body", &prose(bytes))];
    serde_urlencoded::to_string(fields).expect("a form")
}

fn multipart(bytes: usize) -> String {
    let part = |name: &str, value: &str| {
        format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    part("to", "recipient@example.com") + &part("body", &prose(bytes)) + "--limit--\r\n"
}

fn read(content_type: &str, body: &str) -> Payload {
    let reader = Reader::new(
        Some(content_type.as_bytes()),
        None,
        QueryFields::default(),
        Uploads::default(),
    )
    .expect("a media type");
    reader
        .read(body.as_bytes(), false, &LIMITS)
        .expect("a message")
}

fn reading(bencher: Bencher, content_type: &str, body: &str) {
    bencher
        .counter(BytesCount::of_str(body))
        .bench_local(|| read(black_box(content_type), black_box(body)));
}

#[divan::bench(args = [100, 100_000])]
fn text(bencher: Bencher, bytes: usize) {
    reading(bencher, "text/plain; charset=utf-8", &prose(bytes));
}

#[divan::bench(args = [100, 48 * 1024])]
fn json_object(bencher: Bencher, bytes: usize) {
    reading(bencher, "application/json", &json(bytes));
}

#[divan::bench(args = [100])]
fn urlencoded(bencher: Bencher, bytes: usize) {
    reading(bencher, "application/x-www-form-urlencoded", &form(bytes));
}

#[divan::bench(args = [100, 48 * 1024])]
fn multipart_form(bencher: Bencher, bytes: usize) {
    reading(
        bencher,
        "multipart/form-data; boundary=limit",
        &multipart(bytes),
    );
}

#[divan::bench(args = [10_000])]
fn ndjson(bencher: Bencher, lines: usize) {
    reading(
        bencher,
        "application/x-ndjson",
        &(json(100) + "\n").repeat(lines),
    );
}

/// Alertmanager's payload for a group of alerts.
fn alerts(count: usize) -> String {
    let alert = |number: usize| {
        serde_json::json!({
            "status": "firing",
            "labels": {
                "alertname": "DiskWillFillIn4Hours", "instance": format!("db{number}.example.com:9100"), "job": "node",
                "mountpoint": "/srv", "severity": "warning", "team": "storage",
            },
            "annotations": {
                "summary": format!("/srv of db{number}.example.com fills within 4 hours"),
                "description": "Only 7.4 % are free, and it shrinks by 1.2 GB an hour.",
                "runbook_url": "https://runbooks.example.com/disk",
            },
            "startsAt": "2026-11-22T05:14:23.117Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus.example.com:9090/graph?g0.expr=predict_linear%28node_filesystem_free%5B1h%5D%29&g0.tab=1",
            "fingerprint": format!("{number:016x}"),
        })
    };
    let alerts: Vec<_> = (0..count).map(alert).collect();
    serde_json::json!({
        "receiver": "team", "status": "firing", "alerts": alerts, "groupLabels": { "alertname": "DiskWillFillIn4Hours" },
        "commonLabels": { "alertname": "DiskWillFillIn4Hours", "job": "node" }, "commonAnnotations": {},
        "externalURL": "http://alerts.example.com:9093", "version": "4",
        "groupKey": "{}:{alertname=\"DiskWillFillIn4Hours\"}", "truncatedAlerts": 0,
    })
    .to_string()
}

/// A text to a topic of ntfy, with the headers that curl sends.
#[divan::bench]
fn ntfy(bencher: Bencher) {
    let templates = Arc::new(Templates::new(None));
    let body = "The backup of db1 has failed: no space left on the device\n";
    bencher.counter(BytesCount::of_str(body)).bench_local(|| {
        let headers = [
            "accept",
            "content_length",
            "content_type",
            "host",
            "user_agent",
        ];
        let headers = headers.map(|name| (name.to_owned(), "a value".to_owned()));
        let (headers, query) = (Headers::new(headers), Query::default());
        let declared = templates.declarations("ntfy");
        let topic = Posted {
            recipient: Some("topic".to_owned()),
            ..Posted::default()
        };
        let url = UrlParts::new(&declared, topic, true, (&headers, &query, None));
        let (name, now) = ("ntfy".to_owned(), Occasion::now());
        let webhook = Webhook::new(Arc::clone(&templates), name, headers, query, now);
        let reader = Reader::of_webhook(None, None, webhook.with_url(url), false);
        let reader = reader.expect("a media type");
        reader
            .read(black_box(body.as_bytes()), false, &LIMITS)
            .expect("a message")
    });
}

#[divan::bench(args = [1, 10, 50])]
fn alertmanager(bencher: Bencher, count: usize) {
    let templates = Arc::new(Templates::new(None));
    let body = alerts(count);
    bencher.counter(BytesCount::of_str(&body)).bench_local(|| {
        let (name, now) = ("alertmanager".to_owned(), Occasion::now());
        let (headers, query) = (Headers::default(), Query::default());
        let webhook = Webhook::new(Arc::clone(&templates), name, headers, query, now);
        let reader = Reader::of_webhook(Some(b"application/json"), None, webhook, false);
        let reader = reader.expect("a media type");
        reader
            .read(black_box(body.as_bytes()), false, &LIMITS)
            .expect("a message")
    });
}

#[divan::bench]
fn authorization() -> RequestCredentials {
    RequestCredentials::of(
        black_box(Some(b"Basic c2VuZGVyQGV4YW1wbGUuY29tOnNlY3JldA==")),
        &[],
    )
}

/// A server that takes every address as its normal form.
struct Example;

impl Server for Example {
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

#[divan::bench]
fn recipient() -> Address {
    Address::of_recipient(black_box("recipient@example.com"), &Example).expect("an address")
}

/// The last step before Lua makes tables of the element. Its length is computed instead of using it.
#[divan::bench(args = [100, 48 * 1024])]
fn element(bencher: Bencher, bytes: usize) {
    let to = Recipient::of("recipient@example.com", &Example).expect("an address");
    let payload = read("text/plain", &prose(bytes));
    let content = &payload.messages[0].content;
    bencher.bench_local(|| {
        let message = Message::new("sender@example.com", &to, content, &LIMITS);
        message.expect("a message").element().serialised_len()
    });
}
