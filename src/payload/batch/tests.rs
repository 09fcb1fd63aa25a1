use std::cell::Cell;

use super::*;
use crate::payload::query_fields::QueryFields;
use crate::payload::reader::{Reader, Uploads};

/// A server that counts the requests for normal forms.
#[derive(Default)]
struct Counting(Cell<usize>);

impl Server for Counting {
    fn host(&self) -> &str {
        "example.com"
    }

    fn normal(&self, address: &str) -> Option<String> {
        self.0.set(self.0.get() + 1);
        Some(address.to_owned())
    }

    fn serves(&self, _: &str) -> bool {
        true
    }

    fn has_rooms(&self, domain: &str) -> bool {
        domain == "rooms.example.com"
    }
}

const LIMITS: Limits = Limits {
    size: 196_608,
    recipients: 100,
    batch: 10_000,
    body: 10 << 20,
};

fn batch(from: &str, body: &str) -> Batch {
    let mut batch = Batch::new(from.to_owned(), Ok(Vec::new()), LIMITS, None);
    let reader = Reader::new(
        Some(b"application/json"),
        None,
        QueryFields::default(),
        Uploads::default(),
    )
    .unwrap();
    batch
        .take(reader.read(body.as_bytes(), false, &LIMITS))
        .unwrap();
    batch
}

fn to(count: usize, domain: &str) -> String {
    let to: Vec<_> = (0..count).map(|i| format!("\"u{i}@{domain}\"")).collect();
    format!("[{}]", to.join(","))
}

#[test]
fn a_step_resolves_one_recipient() {
    let to = to(100, "example.com");
    let body = format!("[{{\"to\":{to},\"body\":\"a\"}},{{\"to\":{to},\"body\":\"b\"}}]");
    let mut batch = batch("me@example.com", &body);
    let server = Counting::default();
    let mut steps = 0;
    loop {
        let count = server.0.get();
        let is_done = batch.resolve(&server, || false).unwrap();
        steps += 1;
        assert!(server.0.get() - count <= 2, "step {steps}");
        assert!(!batch.is_single());
        if is_done {
            break;
        }
    }
    assert_eq!((steps, batch.total()), (200, 200));
    assert!(!batch.is_to_rooms());
    let first = batch.next_message().unwrap().element().to_string();
    assert!(first.contains("to='u0@example.com'"), "{first}");
}

#[test]
fn unread_answers_of_an_account_are_bounded() {
    let to = to(100, "example.com");
    let id = "i".repeat(1000);
    let message = format!("{{\"to\":{to},\"id\":\"{id}\",\"body\":\"a\"}}");
    let body = format!("[{}]", vec![message; 90].join(","));
    let resolved = |from: &str| {
        let mut batch = batch(from, &body);
        assert!(batch.resolve(&Counting::default(), || true).unwrap());
        batch
    };
    let batch = resolved("unread@example.com/a");
    let mut unread: Vec<_> = (0..4)
        .map(|_| batch.answer_memory().unwrap().unwrap())
        .collect();
    let problem = batch.answer_memory().err().unwrap();
    assert_eq!(problem.status(), 503);
    assert!(problem.detail.contains("not read"), "{problem:?}");
    assert!(
        resolved("reader@example.com")
            .answer_memory()
            .unwrap()
            .is_some()
    );
    unread.pop();
    assert!(batch.answer_memory().unwrap().is_some());
    drop(unread);
}

#[test]
fn the_memory_of_a_short_answer_is_not_counted() {
    let mut batch = batch("short@example.com", r#"[{"to":"you","body":"a"}]"#);
    assert!(batch.resolve(&Counting::default(), || true).unwrap());
    assert!(batch.answer_memory().unwrap().is_none());
}

#[test]
fn the_length_of_an_answer_is_checked_before_anything_is_sent() {
    let to = to(100, "rooms.example.com");
    let (from, id) = (
        format!("me@example.com/{}", "r".repeat(900)),
        "i".repeat(900),
    );
    let message = format!("{{\"to\":{to},\"body\":\"a\",\"id\":\"{id}\"}}");
    let resolved = |messages: usize| {
        let mut batch = batch(
            &from,
            &format!("[{}]", vec![message.as_str(); messages].join(",")),
        );
        let is_done = batch.resolve(&Counting::default(), || true);
        is_done.map(|is_done| (is_done, batch.total(), batch.is_to_rooms()))
    };
    assert_eq!(resolved(90), Ok((true, 9000, true)));
    assert_eq!(resolved(100).unwrap_err().status(), 413);
}

#[test]
fn shared_recipients_are_resolved_once() {
    let in_url = Ok(vec!["user@example.com".to_owned(), "user".to_owned()]);
    let mut batch = Batch::new("me@example.com".to_owned(), in_url, LIMITS, None);
    let body = "{\"body\":\"a\"}\n{\"body\":\"b\",\"to\":\"u@h\"}\n".repeat(2000);
    let reader = Reader::new(
        Some(b"application/x-ndjson"),
        None,
        QueryFields::default(),
        Uploads::default(),
    )
    .unwrap();
    let read = reader.read(body.as_bytes(), false, &LIMITS);
    batch.take(read).unwrap();
    let server = Counting::default();
    assert!(batch.resolve(&server, || true).unwrap());
    assert_eq!(server.0.get(), 2 * (2 + 2000)); // a normal form is compared with its own
    assert_eq!(batch.total(), 3 * 2000);
    let next = || {
        batch
            .next_message()
            .map(|message| message.element().to_string())
    };
    let to: Vec<_> = std::iter::from_fn(next)
        .map(|xml| xml.split('\'').nth(3).unwrap().to_owned())
        .collect();
    assert_eq!(to.len(), 6000);
    assert_eq!(
        to[..4],
        ["user@example.com", "user", "u@h", "user@example.com"]
    );
}

#[test]
fn the_bytes_of_all_stanzas_are_checked_before_anything_is_sent() {
    let text = "x".repeat(196_000);
    let resolved = |messages: usize, recipients: usize| {
        let to = to(recipients, "example.com");
        let message = format!("{{\"to\":{to},\"body\":\"{text}\"}}");
        let body = format!("[{}]", vec![message.as_str(); messages].join(","));
        let mut batch = batch("me@example.com", &body);
        let is_done = batch.resolve(&Counting::default(), || true);
        is_done.map(|_| batch.total())
    };
    assert_eq!(resolved(3, 100), Ok(300));
    assert_eq!(resolved(50, 6), Ok(300));
    let problem = resolved(4, 100).unwrap_err();
    assert_eq!(problem.status(), 413);
    assert!(problem.detail.contains("67108864 bytes"), "{problem}");
}

#[test]
fn after_its_contents_are_taken_a_batch_is_empty() {
    let body = format!("[{{\"to\":{},\"body\":\"a\"}}]", to(3, "example.com"));
    let mut batch = batch("me@example.com", &body);
    batch.resolve(&Counting::default(), || true).unwrap();
    drop(batch.take_contents());
    assert!(batch.next_message().is_none());
    assert_eq!((batch.total(), batch.is_many()), (3, true));
}
