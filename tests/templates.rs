//! The messages that each template makes from its sample payloads: `templates/NAME.j2` and `templates/NAME/*.case`.
//!
//! A case has the request of another program, and its result:
//!
//! ```text
//! # A sentence. Source: where the payload is from
//! X-GitHub-Event: push
//!
//! { the payload }
//! => body
//! the text of the message
//! => thread
//! a section for each field that the message has
//! ```
//!
//! Headers are optional; the default `Content-Type` is `application/json`. `=> answer` is the answer for the program,
//! `=> nothing` means that no message is sent, and `=> 422` is a problem with its text. `TEMPLATE=NAME` runs the cases
//! of one template, and `WRITE=1` writes the results into the files.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding_rs::UTF_8;
use post_msg::http::media_type::MediaType;
use post_msg::http::memory::Share;
use post_msg::http::problem::Problem;
use post_msg::http::query::Query;
use post_msg::message::content::Content;
use post_msg::message::field::Field;
use post_msg::message::kind::Kind;
use post_msg::message::limits::Limits;
use post_msg::payload::body::Body;
use post_msg::payload::foreign::Form;
use post_msg::payload::query_fields::QueryFields;
use post_msg::payload::webhook::{Reaction, UrlParts, Webhook};
use post_msg::template::context::{Headers, Occasion, Posted};
use post_msg::template::engine::Templates;
use post_msg::template::source::{BUILT_IN, Folder};
use serde_json::{Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
const NOW: &str = "2026-11-22T06:00:00Z";
const RANDOM: u64 = 1234567890123456;
const LIMITS: Limits = Limits {
    size: 196_608,
    recipients: 100,
    batch: 10_000,
    body: 10 << 20,
};

/// The template files, read now: a change of one needs no compilation.
fn templates() -> Arc<Templates> {
    Arc::new(Templates::new(Some(Folder::new(FOLDER))))
}

fn names() -> Vec<String> {
    let only = std::env::var("TEMPLATE").ok();
    let names = Folder::new(FOLDER).names().into_iter();
    names
        .filter(|name| only.as_ref().is_none_or(|only| only == name))
        .collect()
}

fn cases(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(FOLDER).join(name));
    let paths = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut cases: Vec<_> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "case")
        })
        .collect();
    cases.sort();
    cases
}

/// The request of a case: its query, headers and body, and its end in the file.
struct Request<'a> {
    query: &'a str,
    headers: Vec<(String, String)>,
    body: &'a str,
    end: usize,
}

fn request(text: &str) -> Request<'_> {
    let head_and_rest = text.split_once("\n\n");
    // An empty body needs no empty line.
    let head_and_rest = head_and_rest.filter(|(head, _)| !head.contains("\n=> "));
    let (head, rest) = head_and_rest.unwrap_or_else(|| {
        let end = text.find("\n=> ").expect("what comes of it");
        (&text[..end], &text[end + 1..])
    });
    let length = if rest.starts_with("=> ") {
        0
    } else {
        rest.find("\n=> ").map_or(rest.len(), |at| at + 1)
    };
    let mut query = "";
    let mut headers = Vec::new();
    for line in head.lines().filter(|line| !line.starts_with('#')) {
        if let Some(line) = line.strip_prefix('?') {
            query = line;
        } else {
            let (name, value) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("no header: {line}"));
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    Request {
        query,
        headers,
        body: rest[..length].trim_end_matches('\n'),
        end: text.len() - rest.len() + length,
    }
}

fn run(templates: &Arc<Templates>, name: &str, request: &Request) -> Result<Reaction, Problem> {
    let is_type = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("content-type");
    let content_type = request.headers.iter().find(is_type);
    let content_type = content_type.map_or("application/json", |(_, value)| value);
    let media_type = MediaType::of(content_type.as_bytes());
    let form = Form::of(Some(media_type.essence));
    let parameters = media_type.lenient_parameters()?;
    let mut query = Query::parse(request.query.as_bytes());
    let fields = QueryFields::of(&mut query, false)?;
    let headers = Headers::new(request.headers.clone());
    let url = UrlParts::new(
        &templates.declarations(name),
        Posted::default(),
        false,
        (&headers, &query, Some(content_type.as_bytes())),
    );
    let occasion = Occasion {
        now: NOW.to_owned(),
        random: RANDOM,
    };
    let webhook = Webhook::new(
        Arc::clone(templates),
        name.to_owned(),
        headers,
        query,
        occasion,
    )
    .with_templates(None, fields)
    .with_url(url);
    let crlf;
    let body = match form {
        Form::Multipart => {
            crlf = request.body.replace('\n', "\r\n");
            &crlf
        }
        _ => request.body,
    };
    let memory = Share::unshared(body.len());
    let body = Body {
        memory: &memory,
        bytes: body.as_bytes(),
        charset: parameters.charset.unwrap_or(UTF_8),
        boundary: parameters.boundary.as_deref(),
    };
    webhook.read(&body, form, &LIMITS)
}

/// The result in the form of a case. The message is checked like any other.
fn shown(result: Result<Reaction, Problem>) -> String {
    let mut shown = String::new();
    let mut section = |name: &str, text: &str| {
        writeln!(shown, "=> {name}\n{text}").expect("a string takes all");
    };
    let Reaction { draft, answer, .. } = match result {
        Ok(reaction) => reaction,
        Err(problem) => {
            section(&problem.status().to_string(), &problem.detail);
            return shown;
        }
    };
    if draft.is_none() {
        section("nothing", "");
    }
    if let Some(draft) = draft {
        let mut fields: Vec<_> = draft.values.iter().collect();
        fields.sort_by_key(|(row, _)| row.field != Field::Body);
        for (row, value) in fields {
            section(row.name, value);
        }
        match Content::of(draft, false, &LIMITS) {
            Ok(content) => {
                let stanza = content.element("a@b", "c@d", Kind::Chat).to_string();
                roxmltree::Document::parse(&stanza).expect(&stanza);
            }
            Err(problem) => section(&problem.status().to_string(), &problem.detail),
        }
    }
    if let Some(answer) = answer {
        section("answer", &format!("{} {}", answer.status, answer.body));
    }
    shown
}

fn tidy(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_owned() + "\n"
}

#[test]
fn each_payload_makes_its_message() {
    let templates = templates();
    let mut faults = Vec::new();
    let mut count = 0;
    for name in names() {
        for path in cases(&name) {
            let text = fs::read_to_string(&path).expect("a case");
            let request = request(&text);
            let comes = tidy(&shown(run(&templates, &name, &request)));
            let expected = tidy(&text[request.end..]);
            if std::env::var_os("WRITE").is_some() {
                let case = text[..request.end].trim_end().to_owned() + "\n" + &comes;
                fs::write(&path, case).expect("written");
            } else if comes != expected {
                faults.push(format!(
                    "{}\n--- expected\n{expected}--- comes\n{comes}",
                    path.display()
                ));
            }
            count += 1;
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(count > 0, "no cases");
}

/// The paths of all members and items of a payload.
fn places(value: &Value, at: &mut Vec<String>, all: &mut Vec<Vec<String>>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), member))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| (index.to_string(), item))
            .collect(),
        _ => return,
    };
    for (name, value) in inner {
        at.push(name);
        all.push(at.clone());
        places(value, at, all);
        at.pop();
    }
}

/// Replaces the value at a path, or removes it.
fn change(payload: &mut Value, place: &[String], how: u64) {
    let Some((last, before)) = place.split_last() else {
        return;
    };
    let pointer: String = before
        .iter()
        .map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")))
        .collect();
    let Some(parent) = payload.pointer_mut(&pointer) else {
        return;
    };
    let there = match parent {
        Value::Object(members) if how == 0 => {
            members.remove(last);
            return;
        }
        Value::Array(items) if how == 0 => {
            let index = last.parse().unwrap_or(0);
            if index < items.len() {
                items.remove(index);
            }
            return;
        }
        Value::Object(members) => members.get_mut(last),
        Value::Array(items) => last
            .parse()
            .ok()
            .and_then(|index: usize| items.get_mut(index)),
        _ => None,
    };
    let Some(there) = there else { return };
    let was = there.take();
    *there = match how {
        1 => Value::Null,
        2 => json!(true),
        3 => json!(7),
        4 => json!(-1.5e300),
        5 => json!(""),
        6 => json!("another text"),
        7 => json!([]),
        8 => json!({}),
        9 => json!([1, null, "x", [], {}]),
        10 => json!({"a": 1, "b": {}}),
        11 => json!([was]),
        12 => json!({"1": was}),
        13 => json!(was.to_string()),
        14 => json!(false),
        _ => json!([[[{}]]]),
    };
}
const WAYS: u64 = 16;

fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        // The name of the sender is not a text of the message.
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != "username");
            members.for_each(|(_, member)| texts(member, found));
        }
        _ => {}
    }
}

/// If a member is missing or has another type, the rest of the message stays. `PAYLOADS` is the number of payloads that
/// are tried for each template.
#[test]
fn a_member_of_another_type_does_not_lose_the_message() {
    let templates = templates();
    let count = std::env::var("PAYLOADS")
        .ok()
        .and_then(|count| count.parse().ok());
    let count: u64 = count.unwrap_or(300);
    let mut state = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(0x9E37_79B9_7F4A_7C15_u64);
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    let mut faults = BTreeMap::new();
    for name in names() {
        let files: Vec<String> = cases(&name)
            .iter()
            .map(|path| fs::read_to_string(path).expect("a case"))
            .collect();
        let mut payloads = Vec::new();
        for text in &files {
            let request = request(text);
            let (Ok(payload), Ok(Reaction { draft, .. })) = (
                serde_json::from_str::<Value>(request.body),
                run(&templates, &name, &request),
            ) else {
                continue;
            };
            let mut all = Vec::new();
            places(&payload, &mut Vec::new(), &mut all);
            if all.is_empty() {
                continue; // a text or a number has no members
            }
            let said = draft.and_then(|draft| draft.values[Field::Body].clone());
            payloads.push((request, payload, all, said.unwrap_or_default()));
        }
        for number in 0..count {
            let (request, payload, all, said) = &payloads[random(payloads.len() as u64) as usize];
            let (mut changed, mut without) = (payload.clone(), payload.clone());
            for _ in 0..=number % 2 {
                let place = &all[random(all.len() as u64) as usize];
                change(&mut changed, place, random(WAYS));
                change(&mut without, place, 1);
            }
            let body = changed.to_string();
            let request = Request {
                query: request.query,
                headers: request.headers.clone(),
                body: &body,
                end: 0,
            };
            let mut left = Vec::new();
            texts(&without, &mut left);
            let is_text = |text: &&str| text.trim().len() > 5 && said.contains(text.trim());
            match run(&templates, &name, &request) {
                Ok(Reaction { draft, .. }) => {
                    if let Some(draft) = draft {
                        if let Err(problem) = Content::of(draft, false, &LIMITS) {
                            faults
                                .entry(problem.detail)
                                .or_insert(format!("{name}: {body}"));
                        }
                    }
                }
                Err(problem) if problem.status() == 422 && !left.iter().any(is_text) => {}
                Err(problem) => {
                    let what = problem
                        .detail
                        .split(", which was read")
                        .next()
                        .unwrap_or_default();
                    faults.entry(what.to_owned()).or_insert(format!(
                        "{name}: {:?}: {body}",
                        left.iter().find(|text| is_text(text))
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn payloads_that_no_program_posts_are_refused() {
    let templates = templates();
    let mut faults = Vec::new();
    // `json` shows every payload.
    for name in names().into_iter().filter(|name| name != "json") {
        for body in [
            "{}",
            r#"{"hello": "world"}"#,
            "[]",
            "[1]",
            r#""x""#,
            "1",
            "null",
        ] {
            if body.starts_with('"') && templates.declarations(&name).takes_text {
                continue;
            }
            let request = Request {
                query: "",
                headers: Vec::new(),
                body,
                end: 0,
            };
            match run(&templates, &name, &request) {
                Err(problem) if problem.status() == 422 => {}
                other => faults.push(format!("{name}: {body}: {other:?}")),
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn each_template_has_cases_of_several_payloads() {
    for (name, _) in BUILT_IN {
        assert!(cases(name).len() > 2, "templates/{name}/*.case");
    }
}
