//! What each template makes of the payloads beside it: `templates/NAME.j2` and `templates/NAME/*.case`.
//!
//! A case is what another program posts, and what comes of it:
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
//! Headers need to be there only where they count; without a `Content-Type` it is `application/json`. `=> answer` is what the
//! program is answered, `=> nothing` means that nothing is sent, and `=> 422` is a problem with its text. `TEMPLATE=NAME`
//! runs the cases of one template, and `WRITE=1` writes what comes out into the files.

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
use post_msg::message::field::FIELDS;
use post_msg::message::kind::Kind;
use post_msg::message::limits::Limits;
use post_msg::payload::body::{Body, Drafts};
use post_msg::payload::webhook::{Form, Webhook};
use post_msg::template::context::Headers;
use post_msg::template::engine::Templates;
use post_msg::template::source::{BUILT_IN, Folder};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
const NOW: &str = "2026-11-22T06:00:00Z";
const LIMITS: Limits = Limits {
    size: 196_608,
    recipients: 100,
    batch: 10_000,
    body: 10 << 20,
};

/// The template files, as they are now: nothing needs to be compiled for a change of one.
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

/// The request of a case: its query, headers and body, and where it ends in the file.
struct Request<'a> {
    query: &'a str,
    headers: Vec<(String, String)>,
    body: &'a str,
    end: usize,
}

fn request(text: &str) -> Request<'_> {
    let (head, rest) = text
        .split_once("\n\n")
        .expect("an empty line behind the headers");
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
        end: head.len() + 2 + length,
    }
}

fn run(templates: &Arc<Templates>, name: &str, request: &Request) -> Result<Drafts, Problem> {
    let is_type = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("content-type");
    let content_type = request.headers.iter().find(is_type);
    let content_type = content_type.map_or("application/json", |(_, value)| value);
    let media_type = MediaType::of(content_type.as_bytes());
    let form = Form::of(Some(media_type.essence))?;
    let parameters = media_type.parameters()?;
    let webhook = Webhook::new(
        Arc::clone(templates),
        name.to_owned(),
        Headers::new(request.headers.clone()),
        Query::parse(request.query.as_bytes()),
        NOW.to_owned(),
    );
    let crlf;
    let body = match form {
        Form::Multipart => {
            crlf = request.body.replace('\n', "\r\n");
            &crlf
        }
        _ => request.body,
    };
    let memory = Share::alone(body.len());
    let body = Body {
        memory: &memory,
        bytes: body.as_bytes(),
        charset: parameters.charset.unwrap_or(UTF_8),
        boundary: parameters.boundary.as_deref(),
    };
    webhook.read(&body, form, &LIMITS)
}

/// What comes out, as a case has it; checked, as what is sent is.
fn shown(result: Result<Drafts, Problem>) -> String {
    let mut shown = String::new();
    let mut section = |name: &str, text: &str| {
        writeln!(shown, "=> {name}\n{text}").expect("a string takes all");
    };
    let drafts = match result {
        Ok(drafts) => drafts,
        Err(problem) => {
            section(&problem.status.to_string(), &problem.detail);
            return shown;
        }
    };
    if drafts.drafts.is_empty() {
        section("nothing", "");
    }
    for draft in drafts.drafts {
        let body_first = |(field, _): &(&post_msg::message::field::Field, _)| field.name != "body";
        let mut fields: Vec<_> = FIELDS.iter().zip(draft.values.clone()).collect();
        fields.sort_by_key(body_first);
        for (field, value) in fields {
            if let Some(value) = value {
                section(field.name, &value);
            }
        }
        match Content::of(draft, false, &LIMITS) {
            Ok(content) => {
                let stanza = content.element("a@b", "c@d", Kind::Chat).to_string();
                roxmltree::Document::parse(&stanza).expect(&stanza);
            }
            Err(problem) => section(&problem.status.to_string(), &problem.detail),
        }
    }
    if let Some(answer) = drafts.answer {
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

#[test]
fn what_is_no_payload_of_a_program_is_refused() {
    let templates = templates();
    let mut faults = Vec::new();
    for name in names() {
        for body in [
            "{}",
            r#"{"hello": "world"}"#,
            "[]",
            "[1]",
            r#""x""#,
            "1",
            "null",
        ] {
            let request = Request {
                query: "",
                headers: Vec::new(),
                body,
                end: 0,
            };
            match run(&templates, &name, &request) {
                Err(problem) if problem.status == 422 => {}
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
