//! The body that another program posts → the payload that a template sees: text, JSON or a form.

use std::collections::BTreeMap;
use std::fmt::Write;

use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE};
use minijinja::value::Value;
use zeroize::Zeroizing;

use super::body::Body;
use super::json::not_json;
use super::{form, multipart};
use crate::http::charset;
use crate::http::media_type::MediaType;
use crate::http::memory::Share;
use crate::http::problem::{Problem, ProblemKind};
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

/// The bytes that a field of a form takes in addition to its name and value: in a map of lists, and in the values made
/// from it.
const PAIR: usize = 450;

/// Whether a body is text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum TextBody {
    #[default]
    Never,
    /// Unless it is a JSON object, or its media type is JSON.
    UnlessJson,
    Always,
}

/// The payload that is text; undefined if it is not UTF-8. `None` if the payload has a syntax.
pub fn text(body: &Body, form: Form, is_text: TextBody) -> Result<Option<Value>, Problem> {
    let is_json = form == Form::Json;
    if is_text == TextBody::Never || is_text == TextBody::UnlessJson && is_json {
        return Ok(None);
    }
    if body.charset == UTF_8 && std::str::from_utf8(body.bytes).is_err() {
        return Ok(Some(Value::UNDEFINED));
    }
    let text = charset::decode(body.charset, body.bytes)?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    if is_text == TextBody::UnlessJson && text.trim_start().starts_with('{') {
        return Ok(None);
    }
    body.memory.take(text.len())?;
    Ok(Some(Value::from(text)))
}

/// The text of a member of a payload, if it has one.
pub fn member(content_type: Option<&[u8]>, bytes: &[u8], name: &str) -> Option<Zeroizing<String>> {
    let media_type = content_type.map(MediaType::of);
    let form = Form::of(media_type.as_ref().map(|media_type| media_type.essence));
    let parameters = media_type.map(MediaType::lenient_parameters).transpose();
    let parameters = parameters.ok()?;
    let memory = Share::unshared(bytes.len());
    let body = Body {
        bytes,
        charset: parameters
            .as_ref()
            .and_then(|known| known.charset)
            .unwrap_or(UTF_8),
        boundary: parameters
            .as_ref()
            .and_then(|known| known.boundary.as_deref()),
        memory: &memory,
    };
    let (payload, _) = payload(&body, form).ok()?;
    let member = payload.get_attr(name).ok()?;
    member.as_str().map(|text| Zeroizing::new(text.to_owned()))
}

/// The payload, and a description of how it was read.
pub fn payload(body: &Body, form: Form) -> Result<(Value, &'static str), Problem> {
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
        for (name, value) in multipart::parts(&body)? {
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

#[cfg(test)]
mod tests;
