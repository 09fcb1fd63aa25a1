//! A webhook's payload → draft, made by a template.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use encoding_rs::{UTF_16BE, UTF_16LE};
use minijinja::value::{Value, ValueKind};
use sha2::{Digest, Sha256};

use super::body::Body;
use super::json::not_json;
use super::query_fields::QueryFields;
use super::{form, multipart};
use crate::http::answer::Answer;
use crate::http::charset;
use crate::http::memory::Share;
use crate::http::problem::{Problem, ProblemKind, names};
use crate::http::query::Query;
use crate::message::draft::Draft;
use crate::message::element::escaped_len;
use crate::message::field::{FIELDS, Field, LONGEST_ID, TooLong};
use crate::message::limits::Limits;
use crate::template::context::{Call, Headers};
use crate::template::engine::Templates;
use crate::template::tree;

/// The syntax of a payload by its Content-Type. The payload itself may have another syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Urlencoded,
    Multipart,
    /// No media type, or another one.
    Unknown,
}

impl Form {
    /// The syntax of a media type.
    pub fn of(essence: Option<&[u8]>) -> Form {
        let essence = essence.unwrap_or_default().to_ascii_lowercase();
        match essence.as_slice() {
            b"application/json" | b"text/json" => Form::Json,
            b"application/x-www-form-urlencoded" => Form::Urlencoded,
            b"multipart/form-data" => Form::Multipart,
            other if other.starts_with(b"application/") && other.ends_with(b"+json") => Form::Json,
            _ => Form::Unknown,
        }
    }
}

/// The fields of a form that hold the payload in JSON: of Slack, GitHub and Gitea; of Discord; of Uptime Kuma.
const JSON_FIELDS: [&str; 3] = ["payload", "payload_json", "data"];

/// The bounds of a payload that a built-in template renders within a millisecond: bytes; commas, which stand between
/// values; and opening brackets, because the work of templates grows with the number of objects and lists.
const QUICK: usize = 6 * 1024;
const QUICK_COMMAS: usize = 300;
const QUICK_BRACKETS: usize = 40;

/// The bytes that a field of a form takes in addition to its name and value: in a map of lists, and in the values made
/// from it.
const PAIR: usize = 450;

/// A request in the format of another program.
pub struct Webhook {
    templates: Arc<Templates>,
    name: String,
    headers: Headers,
    query: Query,
    /// Templates in the query.
    fields: QueryFields,
    now: String,
}

impl Webhook {
    /// `name` is the name of the template, `now` the current time (RFC 3339).
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
            fields: QueryFields::default(),
            now,
        }
    }

    /// The same, with templates in the query, which take the place of the fields of the named template.
    pub fn with_fields(self, fields: QueryFields) -> Webhook {
        Webhook { fields, ..self }
    }

    /// Whether it may take longer than the event loop can wait. An administrator's template may take as long as its
    /// fuel lasts.
    pub fn is_slow(&self, body: &[u8]) -> bool {
        body.len() > QUICK
            || memchr::memchr_iter(b',', body).count() > QUICK_COMMAS
            || memchr::memchr2_iter(b'{', b'[', body).count() > QUICK_BRACKETS
            || !self.fields.fields.is_empty()
            || self.templates.is_own(&self.name)
    }

    /// Reads the payload. Returns the message, unless the template decides that the event makes no message, and the
    /// answer that the program expects for success.
    ///
    /// # Errors
    /// 415 for a body that is neither JSON nor a form; 400 for a malformed body, and for unknown or repeated parameters
    /// of the query; 422 for a payload with nothing to show; 503 for a broken template.
    pub fn read(
        self,
        body: &Body,
        form: Form,
        limits: &Limits,
    ) -> Result<(Option<Draft>, Option<Answer>), Problem> {
        let (payload, read_as) = payload(body, form)?;
        if let Some(name) = self.query.repeated {
            return Err(Problem::syntax(format!(
                "the query gives `{name}` twice; only `to` may be repeated"
            )));
        }
        let call = Call {
            payload: payload.clone(),
            headers: self.headers,
            query: self.query.unknown,
            fields: self.fields.fields,
            now: self.now,
        };
        let rendered = self.templates.render(&self.name, call)?;
        let says_something = rendered.draft.values.iter().any(|(row, _)| row.suffices);
        let draft = match (rendered.is_silent, says_something) {
            (true, _) => None,
            (false, true) => Some(fit(rendered.draft, limits)),
            (false, false)
                if !rendered.has_tried && self.templates.may_print_nothing(&self.name) =>
            {
                None
            }
            (false, false) => {
                self.templates.count_as_failed(&self.name);
                return Err(Problem::meaning(format!(
                    "the template {} finds nothing to show in the payload, which was read {read_as}{}; see docs/programs.md for what the program must post",
                    self.name,
                    members(&payload)
                )));
            }
        };
        Ok((draft, rendered.answer.as_deref().map(Answer::expected)))
    }
}

/// The end of a detail: ` with the members …`.
fn members(payload: &Value) -> String {
    if payload.kind() != ValueKind::Map {
        return format!(" and is no object but a {}", payload.kind());
    }
    let keys = payload.try_iter().into_iter().flatten();
    match names(keys.map(|key| key.to_string())) {
        Some(names) => format!(" with the members {names}"),
        None => " and has no members".to_owned(),
    }
}

/// The payload, and a description of how it was read.
fn payload(body: &Body, form: Form) -> Result<(Value, &'static str), Problem> {
    let bytes = body
        .bytes
        .strip_prefix(b"\xEF\xBB\xBF")
        .unwrap_or(body.bytes);
    let start = bytes.trim_ascii_start();
    if start.is_empty() {
        return Ok((
            Value::from(BTreeMap::<String, Value>::new()),
            "as an empty body",
        ));
    }
    let boundary = boundary(body, start);
    if boundary.is_some()
        && (form == Form::Multipart && !is_json_bytes(start) || is_multipart(start))
    {
        let body = Body { boundary, ..*body };
        let mut fields = Fields::new(body.memory);
        for (name, value) in multipart::parts(&body, |_, is_file| !is_file)? {
            fields.add(&name, value)?;
        }
        return Ok((fields.payload()?, "as multipart/form-data"));
    }
    let is_form =
        form == Form::Urlencoded && memchr::memchr(b'=', start).is_some() || is_form(start);
    let is_utf16 = body.charset == UTF_16LE || body.charset == UTF_16BE;
    if is_utf16 || form == Form::Json && !is_form || is_json_bytes(start) {
        let text = charset::decode(body.charset, body.bytes)?;
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
        if form == Form::Json || is_json(text) {
            match json(text, body.memory)
                .or_else(|problem| repaired_json(text, body.memory, problem))
            {
                Ok(payload) => return Ok((payload, "as JSON")),
                // A field of a form may begin with a bracket: [x]=1.
                Err(problem)
                    if problem.kind == ProblemKind::BadRequest
                        && is_form
                        && text.starts_with('[') => {}
                Err(problem) => return Err(problem),
            }
        }
    }
    if is_form {
        if let Some(json) = unescaped_json(body)? {
            return Ok((json, "as JSON in a form"));
        }
        let mut fields = Fields::new(body.memory);
        form::each_pair(body, |name, value| fields.add(name, value))?;
        return Ok((fields.payload()?, "as a form"));
    }
    Err(Problem::unsupported(
        "with ?as= the body must be JSON or a form, whatever its Content-Type; these are supported: application/json, multipart/form-data, application/x-www-form-urlencoded",
    ))
}

/// # Errors
/// 400 for malformed JSON, whose memory is given back; 413 or 503 if there is not enough memory.
fn json(text: &str, memory: &Share) -> Result<Value, Problem> {
    let taken_before = memory.taken();
    tree::read(text, memory, |error| {
        memory.give_back(memory.taken() - taken_before);
        not_json(text, 1, error)
    })
}

/// Reads JSON whose texts are not escaped.
///
/// # Errors
/// `problem` if it is still malformed; 413 or 503 if there is not enough memory.
fn repaired_json(text: &str, memory: &Share, problem: Problem) -> Result<Value, Problem> {
    if problem.kind != ProblemKind::BadRequest {
        return Err(problem);
    }
    let bytes = repaired_len(text);
    memory.take(bytes)?;
    let read = json(&repair(text), memory);
    memory.give_back(bytes);
    read.map_err(|other| match other.kind {
        ProblemKind::BadRequest => problem,
        _ => other,
    })
}

/// The bytes of an escaped control character.
const ESCAPED_CONTROL: usize = r"\u0000".len();

/// The maximum number of bytes of a repaired text.
fn repaired_len(text: &str) -> usize {
    let longer = text.bytes().map(|byte| match byte {
        b'"' => 1,
        byte if byte.is_ascii_control() => ESCAPED_CONTROL - 1,
        _ => 0,
    });
    text.len() + longer.sum::<usize>()
}

/// Repairs JSON that a user has written around unescaped texts. Control characters are escaped, and quotes that cannot
/// end a string: `"tags": "size:19" rack"` has a text with a quote in it.
fn repair(text: &str) -> String {
    let mut repaired = String::with_capacity(repaired_len(text));
    let (mut in_string, mut is_escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' if !in_string => in_string = true,
            '"' if !is_escaped => {
                let tail = text[at + 1..].trim_ascii_start();
                in_string = !(tail.is_empty() || tail.starts_with([',', ':', '}', ']']));
                if in_string {
                    repaired.push('\\');
                }
            }
            c if in_string && c.is_ascii_control() => {
                // Writing to a string cannot fail.
                let _ = write!(repaired, "\\u{:04x}", u32::from(c));
                is_escaped = false;
                continue;
            }
            _ => {}
        }
        is_escaped = in_string && c == '\\' && !is_escaped;
        repaired.push(c);
    }
    repaired
}

fn is_json_bytes(start: &[u8]) -> bool {
    start.starts_with(b"{") || start.starts_with(b"[")
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// The boundary from Content-Type, or else from the first line of the body.
fn boundary<'a>(body: &Body<'a>, start: &'a [u8]) -> Option<&'a [u8]> {
    let line = start
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let first = line.trim_ascii_end().strip_prefix(b"--");
    body.boundary
        .or(first)
        .filter(|boundary| !boundary.is_empty())
}

/// Whether it begins like multipart/form-data (RFC 7578).
fn is_multipart(start: &[u8]) -> bool {
    let head = start.get(..1024).unwrap_or(start).to_ascii_lowercase();
    head.starts_with(b"--")
        && memchr::memmem::find(&head, b"\ncontent-disposition: form-data").is_some()
}

/// Whether it begins like a form: with a name of characters that need no escape, and `=`.
fn is_form(start: &[u8]) -> bool {
    let name = start
        .iter()
        .position(|&byte| byte == b'=')
        .map(|end| &start[..end]);
    name.is_some_and(|name| {
        !name.is_empty()
            && name
                .iter()
                .all(|&byte| byte.is_ascii_alphanumeric() || b"_-.*+%[]:&".contains(&byte))
    })
}

/// The payload in a form whose first field holds it without escapes.
fn unescaped_json(body: &Body) -> Result<Option<Value>, Problem> {
    let has_json = |name: &str| {
        let rest = body.bytes.strip_prefix(name.as_bytes());
        let rest = rest.and_then(|rest| rest.strip_prefix(b"="));
        rest.is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"))
    };
    let Some(name) = JSON_FIELDS.iter().find(|name| has_json(name)) else {
        return Ok(None);
    };
    let text = charset::decode(body.charset, &body.bytes[name.len() + 1..])?;
    json_if_any(&text, body.memory)
}

/// # Errors
/// 413 or 503 if there is not enough memory.
fn json_if_any(text: &str, memory: &Share) -> Result<Option<Value>, Problem> {
    match json(text, memory) {
        Ok(payload) => Ok(Some(payload)),
        Err(problem) if problem.kind == ProblemKind::BadRequest => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// The fields of a form, each with its values.
struct Fields<'a> {
    values: BTreeMap<String, Vec<String>>,
    memory: &'a Share,
}

impl<'a> Fields<'a> {
    fn new(memory: &'a Share) -> Fields<'a> {
        Fields {
            values: BTreeMap::new(),
            memory,
        }
    }

    fn add(&mut self, name: &str, value: String) -> Result<(), Problem> {
        self.memory.take(PAIR + name.len() + value.len())?;
        self.values.entry(name.to_owned()).or_default().push(value);
        Ok(())
    }

    /// The JSON in one of the fields, or else an object of them.
    fn payload(self) -> Result<Value, Problem> {
        let json_in = |texts: &'_ Vec<String>| match texts.as_slice() {
            [text] => {
                let text = text.trim_start_matches('\u{FEFF}');
                is_json(text).then(|| json(text, self.memory))
            }
            _ => None,
        };
        let mut in_json = JSON_FIELDS.iter().filter_map(|name| self.values.get(*name));
        if let Some(payload) = in_json.find_map(json_in) {
            return payload;
        }
        if self.values.len() == 1 {
            match self.values.values().find_map(json_in) {
                Some(Err(problem)) if problem.kind == ProblemKind::BadRequest => {}
                Some(payload) => return payload,
                None => {}
            }
        }
        // A repeated field becomes a list.
        let value = |mut values: Vec<String>| match values.len() {
            1 => values.pop().map(Value::from).unwrap_or_default(),
            _ => Value::from_iter(values),
        };
        let fields = self.values.into_iter();
        let fields = fields.map(|(name, values)| (name, value(values)));
        Ok(Value::from(fields.collect::<BTreeMap<_, _>>()))
    }
}

/// Shortens the values that are too long for a message.
fn fit(mut draft: Draft, limits: &Limits) -> Draft {
    // Room for addresses, names of elements, and the marks of cut texts.
    let mut room = limits.size - (limits.size / 4).min(8 * 1024);
    for (row, text) in draft.values.iter_mut() {
        match row.if_too_long {
            TooLong::Hash if text.len() > LONGEST_ID => {
                *text = format!("{:x}", Sha256::digest(text.as_bytes()));
            }
            TooLong::Cut => cut(text, limits.size / 8),
            TooLong::CutToRest | TooLong::LeaveOut => continue,
            TooLong::Hash | TooLong::Refuse => (),
        }
        room = room.saturating_sub(escaped_len(text));
    }
    for (row, text) in draft.values.iter_mut() {
        if row.if_too_long == TooLong::CutToRest {
            cut(text, room);
            room -= escaped_len(text).min(room);
        }
    }
    if draft.values[Field::Body].is_some() {
        for row in FIELDS
            .iter()
            .filter(|row| row.if_too_long == TooLong::LeaveOut)
        {
            draft.values[row.field].take_if(|text| text.len() > room);
        }
    }
    draft
}

/// Cuts a text to `room` escaped bytes, with `…` at its end.
fn cut(text: &mut String, room: usize) {
    if escaped_len(text) <= room {
        return;
    }
    let mut free = room.saturating_sub('…'.len_utf8());
    let end = text
        .char_indices()
        .find(|(at, c)| {
            let length = escaped_len(&text[*at..*at + c.len_utf8()]);
            let is_short_enough = length <= free;
            free -= length.min(free);
            !is_short_enough
        })
        .map_or(text.len(), |(at, _)| at);
    text.truncate(end);
    text.push('…');
}

#[cfg(test)]
mod tests;
