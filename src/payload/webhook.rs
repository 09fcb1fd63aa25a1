//! What another program's webhook posts → draft, by a template.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::Value;
use sha2::{Digest, Sha256};

use super::body::{Body, Drafts};
use super::{form, multipart, tree};
use crate::http::answer::Answer;
use crate::http::charset;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::message::draft::Draft;
use crate::message::element::escaped_len;
use crate::message::field::{BODY, FIELDS, LONGEST_ID, Takes, named};
use crate::message::limits::Limits;
use crate::template::context::{Call, Headers};
use crate::template::engine::Templates;

/// How the payload is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Urlencoded,
    Multipart,
    /// It is not said, or as plain text: JSON, or nothing that is read.
    Unsaid,
}

impl Form {
    /// Of a media type.
    ///
    /// # Errors
    /// 415, listing what is supported.
    pub fn of(essence: Option<&[u8]>) -> Result<Form, Problem> {
        let Some(essence) = essence else {
            return Ok(Form::Unsaid);
        };
        let essence = essence.to_ascii_lowercase();
        match essence.as_slice() {
            b"application/json" | b"text/json" => Ok(Form::Json),
            b"application/x-www-form-urlencoded" => Ok(Form::Urlencoded),
            b"multipart/form-data" => Ok(Form::Multipart),
            b"text/plain" => Ok(Form::Unsaid),
            other if other.starts_with(b"application/") && other.ends_with(b"+json") => {
                Ok(Form::Json)
            }
            _ => Err(unsupported()),
        }
    }
}

fn unsupported() -> Problem {
    Problem::unsupported(
        "with ?as= the Content-Type is one of application/json, multipart/form-data, application/x-www-form-urlencoded",
    )
}

/// Fields of a form that hold the payload in JSON: of Slack, GitHub and Gitea; Discord; Uptime Kuma.
const IN_JSON: [&str; 3] = ["payload", "payload_json", "data"];

/// A payload within these bounds is read and rendered within a millisecond by a template that comes with the module:
/// bytes; commas, for the values between them; and opening brackets, since templates do most of their work for each
/// object and list.
const QUICK: usize = 6 * 1024;
const QUICK_COMMAS: usize = 300;
const QUICK_BRACKETS: usize = 40;

/// What a field of a form takes beside its name and value: in a map of lists, and in the values made of it.
const PAIR: usize = 450;

/// A request in the format of another program.
pub struct Webhook {
    templates: Arc<Templates>,
    name: String,
    headers: Headers,
    query: Query,
    now: String,
}

impl Webhook {
    /// `name` is the template's, `now` when it is (RFC 3339).
    pub fn new(
        templates: Arc<Templates>,
        name: String,
        headers: Headers,
        query: Query,
        now: String,
    ) -> Webhook {
        Webhook {
            templates,
            name,
            headers,
            query,
            now,
        }
    }

    /// Whether it may take longer than the event loop can wait. An administrator's own template may take as
    /// long as its fuel lasts.
    pub fn is_slow(&self, body: &[u8]) -> bool {
        body.len() > QUICK
            || memchr::memchr_iter(b',', body).count() > QUICK_COMMAS
            || memchr::memchr2_iter(b'{', b'[', body).count() > QUICK_BRACKETS
            || self.templates.is_own(&self.name)
    }

    /// Reads the payload, and makes a message of it; none where the template prints nothing.
    ///
    /// # Errors
    /// 415 for a body that is not said to be JSON and is none; 400 for one that cannot be read, and for the
    /// parameters of the query; 422 for a payload that does not fit the template, 503 for a broken template.
    pub fn read(self, body: &Body, form: Form, limits: &Limits) -> Result<Drafts, Problem> {
        let payload = payload(body, form)?;
        if let Some(name) = self.query.repeated {
            return Err(Problem::syntax(format!(
                "the query gives `{name}` twice; only `to` may be repeated"
            )));
        }
        let call = Call {
            payload,
            headers: self.headers,
            query: self.query.others,
            now: self.now,
        };
        let rendered = self.templates.render(&self.name, call)?;
        let says_something = FIELDS
            .iter()
            .zip(&rendered.draft.values)
            .any(|(field, value)| field.suffices && value.is_some());
        Ok(Drafts {
            drafts: match says_something {
                true => vec![fitted(rendered.draft, limits)],
                false => Vec::new(),
            },
            answer: rendered.answer.as_deref().map(Answer::expected),
        })
    }
}

fn payload(body: &Body, form: Form) -> Result<Value, Problem> {
    let is_json = |text: &str| text.trim_start().starts_with(['{', '[']);
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |name: &str, value: String| {
        body.memory.take(PAIR + name.len() + value.len())?;
        fields.entry(name.to_owned()).or_default().push(value);
        Ok(())
    };
    match form {
        Form::Multipart => {
            for (name, value) in multipart::parts(body, |_, is_file| !is_file)? {
                add(&name, value)?;
            }
        }
        Form::Json => return tree::read(&charset::decode(body.charset, body.bytes)?, body.memory),
        // Many a program posts JSON and says that it is a form, as curl -d does, or nothing.
        Form::Urlencoded if !body.bytes.trim_ascii_start().starts_with(b"{") => {
            form::each_pair(body, add)?;
        }
        Form::Urlencoded | Form::Unsaid => {
            let text = charset::decode(body.charset, body.bytes)?;
            return match is_json(&text) {
                true => tree::read(&text, body.memory),
                false => Err(unsupported()),
            };
        }
    }
    for name in IN_JSON {
        if let Some([text]) = fields.get(name).map(Vec::as_slice) {
            if is_json(text) {
                return tree::read(text, body.memory);
            }
        }
    }
    // A list, where a form has a field more than once.
    let value = |mut values: Vec<String>| match values.len() {
        1 => values.pop().map(Value::from).unwrap_or_default(),
        _ => Value::from_iter(values),
    };
    let fields = fields
        .into_iter()
        .map(|(name, values)| (name, value(values)));
    Ok(Value::from(fields.collect::<BTreeMap<_, _>>()))
}

/// Cuts what is too long for a message.
fn fitted(mut draft: Draft, limits: &Limits) -> Draft {
    // What stands around the texts: addresses, names of elements, and the markers of those below.
    let mut room = limits.size - (limits.size / 4).min(8 * 1024);
    let html = named("html").unwrap_or(BODY);
    for (at, (field, value)) in FIELDS.iter().zip(&mut draft.values).enumerate() {
        let Some(text) = value else { continue };
        match field.takes {
            Takes::Reference | Takes::AttributeText if text.len() > LONGEST_ID => {
                // Another text has another hash, and the same one the same.
                *text = format!("{:x}", Sha256::digest(text.as_bytes()));
            }
            Takes::Text if at != BODY => cut(text, limits.size / 8),
            _ => {}
        }
        if at != BODY && at != html {
            room = room.saturating_sub(escaped_len(text));
        }
    }
    if let Some(body) = &mut draft.values[BODY] {
        cut(body, room);
        room -= escaped_len(body).min(room);
    }
    // The body says the same.
    let is_too_long = |html: &String| html.len() > room;
    if draft.values[BODY].is_some() && draft.values[html].as_ref().is_some_and(is_too_long) {
        draft.values[html] = None;
    }
    draft
}

/// Cuts a text to so many bytes, escaped, with `…` at its end.
fn cut(text: &mut String, room: usize) {
    if escaped_len(text) <= room {
        return;
    }
    let mut left = room.saturating_sub('…'.len_utf8());
    let end = text
        .char_indices()
        .find(|(at, c)| {
            let length = escaped_len(&text[*at..*at + c.len_utf8()]);
            let fits = length <= left;
            left -= length.min(left);
            !fits
        })
        .map_or(text.len(), |(at, _)| at);
    text.truncate(end);
    text.push('…');
}

#[cfg(test)]
mod tests;
