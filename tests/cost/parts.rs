//! The parts of a request besides its body: headers, query, path, addresses. All are read on the event loop.

use post_msg::credentials::authorization::RequestCredentials;
use post_msg::http::answer::{AnswerContext, refusal};
use post_msg::http::media_type::MediaType;
use post_msg::http::parameters::parameters;
use post_msg::http::problem::Problem;
use post_msg::http::query::Query;
use post_msg::http::{accept, content_coding, path, prefer};
use post_msg::message::address::Address;
use post_msg::message::allowed::Allowed;
use post_msg::payload::file::name_in;

use super::rules::{Cost, least_cost};
use super::way::AnyAddress;

type Part = (&'static str, fn(&str));

const PARTS: &[Part] = &[
    ("Accept", |text| {
        accept::wants_json(text.as_bytes());
        accept::wants_html(text.as_bytes());
    }),
    ("Accept of a refusal", |text| {
        let asked = AnswerContext {
            accept: Some(text.as_bytes()),
            content_type: Some(text.as_bytes()),
            id: None,
        };
        refusal(&Problem::meaning(text), asked);
    }),
    ("Prefer", |text| {
        prefer::wait(text.as_bytes());
    }),
    ("Content-Type", |text| {
        let _ = MediaType::of(text.as_bytes()).parameters();
        let _ = MediaType::of(format!("text/plain{text}").as_bytes()).parameters();
    }),
    ("Content-Encoding", |text| {
        let _ = content_coding::parse(Some(text.as_bytes()));
        let _ = content_coding::parse(Some(format!("gzip{text}").as_bytes()));
    }),
    ("Content-Disposition", |text| {
        name_in(text.as_bytes());
        name_in(format!("attachment; filename=\"{text}\"").as_bytes());
    }),
    ("parameters", |text| {
        parameters(text.as_bytes()).1.for_each(drop);
    }),
    ("Authorization", |text| {
        RequestCredentials::of(Some(text.as_bytes()), &[]);
        RequestCredentials::of(Some(format!("Basic {text}").as_bytes()), &[]);
        RequestCredentials::of(Some(format!("Bearer {text}").as_bytes()), &[]);
    }),
    ("query", |text| {
        let query = Query::parse(text.as_bytes());
        query.meaning(post_msg::message::field::Field::is_name);
        RequestCredentials::of(None, &query.tokens);
    }),
    ("path", |text| {
        let _ = path::recipient(format!("/msg/{text}").as_bytes(), "/msg");
    }),
    ("sender", |text| {
        Address::of_sender(text, &AnyAddress);
    }),
    ("recipient", |text| {
        for written in [
            text.to_owned(),
            format!("a@{text}"),
            format!("a@b/{text}"),
            format!("xmpp:{text}"),
        ] {
            let _ = Address::of_recipient(&written, &AnyAddress).map(|address| {
                let _ = Allowed::new(String::new(), [text.to_owned()]).check(&address);
            });
        }
    }),
];

/// The cost of each part with this text.
pub fn costs(text: &str) -> Vec<(&'static str, Cost)> {
    let cost = |&(name, part): &Part| {
        (
            name,
            least_cost(text.len(), |cost| cost.hold(name, || part(text))),
        )
    };
    PARTS.iter().map(cost).collect()
}
