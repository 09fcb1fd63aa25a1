//! Any payload through every template, with the cost.
//!
//! The input is a case as in `templates/NAME/*.case`: lines of headers, an empty line, and the payload, which ends before a
//! line that begins with `=> `.

#![no_main]

use std::sync::{Arc, LazyLock};

use encoding_rs::UTF_8;
use libfuzzer_sys::fuzz_target;
use mod_post_msg_fuzz::hold_to_rules;
use mod_post_msg_fuzz::recipe::Request;
use post_msg::http::memory::Share;
use post_msg::http::query::Query;
use post_msg::message::content::Content;
use post_msg::message::kind::Kind;
use post_msg::message::limits::Limits;
use post_msg::payload::body::Body;
use post_msg::payload::foreign::Form;
use post_msg::payload::webhook::{UrlParts, Webhook};
use post_msg::template::context::{Headers, Occasion, Posted};
use post_msg::template::engine::Templates;
use post_msg::template::source::BUILT_IN;

const LIMITS: Limits = Limits {
    size: 196_608,
    recipients: 100,
    batch: 100,
    body: 1 << 20,
};

static TEMPLATES: LazyLock<Arc<Templates>> = LazyLock::new(|| Arc::new(Templates::new(None)));

fuzz_target!(|input: &[u8]| {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
    let (head, payload) = input.split_once("\n\n").unwrap_or(("", input));
    let payload = payload.split("\n=> ").next().unwrap_or_default();
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let is_form = head.contains("urlencoded");
    // With a recipient in the path, and a format of the token: a body is text where its program posts text.
    let to_topics = BUILT_IN.iter().map(|(name, _)| (name, true));
    for (name, has_topic) in BUILT_IN.iter().map(|(name, _)| (name, false)).chain(to_topics) {
        let (posted_headers, query) = (Headers::new(headers.clone()), Query::parse(b""));
        let posted = Posted {
            recipient: has_topic.then(|| "topic".to_owned()),
            ..Posted::default()
        };
        let declared = TEMPLATES.declarations(name);
        if has_topic && !declared.takes_text {
            continue;
        }
        let url = UrlParts::new(&declared, posted, has_topic, (&posted_headers, &query, None));
        let webhook = Webhook::new(
            Arc::clone(&TEMPLATES),
            (*name).to_owned(),
            posted_headers,
            query,
            Occasion::now(),
        )
        .with_url(url);
        let memory = Share::unshared(payload.len());
        let body = Body {
            memory: &memory,
            bytes: payload.as_bytes(),
            charset: UTF_8,
            boundary: None,
        };
        let content_type = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
        let mut request = Request::new(content_type, payload).with("as", *name);
        request.headers.extend(headers.clone());
        hold_to_rules(&request);
        let form = if is_form { Form::Urlencoded } else { Form::Json };
        let draft = match webhook.read(&body, form, &LIMITS) {
            Ok(reaction) => reaction.draft,
            Err(problem) => {
                assert!(matches!(problem.status(), 400 | 415 | 422), "{name}: {problem:?}");
                continue;
            }
        };
        if let Some(draft) = draft {
            // Every message of a template is valid.
            let content = Content::of(draft, false, &LIMITS);
            let content = content.unwrap_or_else(|problem| panic!("{name}: {problem:?}"));
            let xml = content.element("me@example.com", "user@example.com", Kind::Chat).to_string();
            assert!(xml.len() <= LIMITS.size, "{name}: {} bytes", xml.len());
            let legal = |c| matches!(c, '\t' | '\n' | ' '..='\u{FFFD}' | '\u{10000}'..);
            assert!(xml.chars().all(legal), "{name}: {xml:?}");
            roxmltree::Document::parse(&xml).unwrap_or_else(|error| panic!("{name}: {error}: {xml}"));
        }
    }
});
