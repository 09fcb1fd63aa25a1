//! From the bytes of a request to its messages, with the cost.
//!
//! The first line of the input is the Content-Type, the second the Content-Encoding (an empty line means no header),
//! and the rest is the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mod_post_msg_fuzz::recipe::Request;
use mod_post_msg_fuzz::{hold_to_rules, way};
use post_msg::message::address::Server;
use post_msg::http::answer;
use post_msg::message::{self, Message};
use post_msg::message::limits::Limits;
use post_msg::payload::file::name_in;
use post_msg::payload::query_fields::QueryFields;
use post_msg::payload::reader::{Reader, Uploads};
use post_msg::http::problem::{Place, Problem};

const LIMITS: Limits = Limits {
    size: 196_608,
    recipients: 100,
    batch: 100,
    body: 1 << 20,
};

/// A server with lower case as normal form. It refuses the characters that every stringprep profile prohibits (RFC
/// 3454, section C.4).
struct AnyAddress;

impl Server for AnyAddress {
    fn host(&self) -> &str {
        "example.com"
    }

    fn normal(&self, address: &str) -> Option<String> {
        let address = address.to_lowercase();
        (!address.contains(['\u{FFFE}', '\u{FFFF}'])).then_some(address)
    }

    fn serves(&self, domain: &str) -> bool {
        domain.ends_with(".com")
    }

    fn has_rooms(&self, domain: &str) -> bool {
        domain.starts_with("rooms.")
    }
}

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(3, |&byte| byte == b'\n');
    let mut header = || lines.next().filter(|line| !line.is_empty());
    let (content_type, coding) = (header(), header());
    let body = lines.next().unwrap_or_default();
    if let Err(problem) = compose(content_type, coding, body) {
        assert_described(&problem, content_type, body);
    }
    hold_to_rules(&request(content_type, coding, body));
});

/// The same request, for measuring the cost.
fn request(content_type: Option<&[u8]>, coding: Option<&[u8]>, body: &[u8]) -> Request {
    let header = |name: &str, value: Option<&[u8]>| Some((name.to_owned(), String::from_utf8_lossy(value?).into_owned()));
    Request {
        headers: [header("Content-Type", content_type), header("Content-Encoding", coding)].into_iter().flatten().collect(),
        body: body.to_vec(),
        // A compressed body may have the largest size after decoding.
        unpacked: if coding.is_some() { way::LIMITS.body } else { body.len() },
    }
}

/// Each stanza must be readable for the recipient's XML parser.
fn compose(
    content_type: Option<&[u8]>,
    coding: Option<&[u8]>,
    body: &[u8],
) -> Result<(), Problem> {
    let payload = Reader::new(content_type, coding, QueryFields::default(), Uploads { are_possible: Some(true), name: content_type.and_then(name_in) })?.read(body, body.len() % 2 == 0, &LIMITS)?;
    assert!(!payload.messages.is_empty());
    let files = payload.extras.files.len();
    assert!(payload.extras.many || payload.messages.len() == files.max(1));
    assert!(files == 0 || payload.messages.len() == files);
    for unaddressed in &payload.messages {
        let to = unaddressed.to.as_deref();
        let to: Vec<&str> = match to {
            Some(to) => to.iter().map(String::as_str).collect(),
            None => vec!["user"],
        };
        let mut recipients = message::Recipients::default();
        for to in to {
            recipients.add(to, &AnyAddress, &LIMITS)?;
        }
        for to in &recipients.all()? {
            let from = "me@example.com";
            // Each message gets the link to its file.
            let mut content = unaddressed.content.clone();
            if !payload.extras.files.is_empty() {
                content.link("https://upload.example.com/file")?;
            }
            let element = Message::new(from, to, &content, &LIMITS)?.element();
            let xml = element.to_string();
            assert_eq!(xml.len(), element.serialised_len());
            assert!(xml.len() <= LIMITS.size);
            let legal = |c| matches!(c, '\t' | '\n' | ' '..='\u{FFFD}' | '\u{10000}'..);
            assert!(xml.chars().all(legal), "{xml:?}");
            let document = roxmltree::Document::parse(&xml).expect(&xml);
            let message = document.root_element();
            assert_eq!(message.attribute("to"), Some(to.address().as_str()));
            assert!(message.children().any(|child| child.is_element()), "{xml}");
        }
    }
    Ok(())
}

/// Every detail is one line, and every offset is inside the body.
fn assert_described(problem: &Problem, content_type: Option<&[u8]>, body: &[u8]) {
    assert!(
        matches!(problem.status(), 400 | 413 | 415 | 422),
        "{problem:?}"
    );
    if let (400, Some(Place::Offset(offset))) = (problem.status(), problem.place) {
        // In a compressed body, offsets count the decoded bytes.
        assert!(offset <= body.len().max(LIMITS.body), "{problem:?}");
    }
    if let Some(Place::Line { line, column }) = problem.place {
        assert!(line > 0 && column > 0, "{problem:?}");
    }
    let told = |accept: &str| {
        let asked = answer::AnswerContext { accept: Some(accept.as_bytes()), content_type, id: None };
        answer::refusal(problem, asked)
    };
    let answer = told("text/plain");
    assert_eq!(answer.body.find('\n'), Some(answer.body.len() - 1));
    let answer = told("application/problem+json");
    assert!(!answer.body.contains(['<', '\n']), "{}", answer.body);
}
