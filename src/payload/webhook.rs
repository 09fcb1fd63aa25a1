//! A webhook's payload → draft, made by a template.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE};
use minijinja::value::{Value, ValueKind};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::body::Body;
use super::file::{Content, File};
use super::json::not_json;
use super::query_fields::QueryFields;
use super::{form, multipart};
use crate::http::answer::Answer;
use crate::http::charset;
use crate::http::media_type::MediaType;
use crate::http::memory::Share;
use crate::http::problem::{Problem, ProblemKind, names};
use crate::http::query::Query;
use crate::message::draft::Draft;
use crate::message::element::escaped_len;
use crate::message::field::{FIELDS, Field, LONGEST_ID, TooLong};
use crate::message::limits::Limits;
use crate::template::context::{Call, Headers, Occasion};
use crate::template::engine::{Declarations, Templates};
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
    template: Option<String>,
    /// Templates in the query.
    fields: QueryFields,
    url: UrlParts,
    occasion: Occasion,
}

/// What the URL and the headers say about the body and its recipient.
#[derive(Debug, Default)]
pub struct UrlParts {
    /// The recipient as the path names it.
    pub recipient: Option<String>,
    /// Whether the URL, or the sender's token, names recipients.
    pub has_recipients: bool,
    pub text: TextBody,
    /// The name of the file that the body is.
    pub file_name: Option<String>,
    /// The media type of the file.
    pub media_type: Option<Vec<u8>>,
    /// Whether neither headers nor the query have a parameter of the program.
    pub is_bare: bool,
}

impl UrlParts {
    /// `recipient`: as the path names it. `is_of_token`: whether the sender's token names the format, and not the query.
    pub fn new(
        declared: &Declarations,
        recipient: Option<String>,
        is_of_token: bool,
        (headers, query, content_type): (&Headers, &Query, Option<&[u8]>),
    ) -> UrlParts {
        if !declared.takes_text {
            return UrlParts {
                recipient,
                ..UrlParts::default()
            };
        }
        // curl sends the type of a form with each body.
        let media_type = content_type.map(|header| MediaType::of(header).essence.to_vec());
        let media_type = media_type.filter(|name| Form::of(Some(name)) != Form::Urlencoded);
        UrlParts {
            text: match recipient.is_some() && is_of_token {
                true => TextBody::Always,
                false => TextBody::UnlessJson,
            },
            file_name: headers.parameter(&declared.file_names, &query.unknown),
            is_bare: query.unknown.is_empty() && !headers.has_any(&declared.parameters),
            media_type,
            recipient,
            has_recipients: false,
        }
    }
}

/// Whether a body is text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum TextBody {
    #[default]
    Never,
    /// Unless it is a JSON object, or its media type is JSON.
    UnlessJson,
    Always,
}

/// What a webhook's payload makes.
#[derive(Debug)]
pub struct Reaction {
    /// The message. `None` if the template decides that the event makes none.
    pub draft: Option<Draft>,
    /// The answer that the program expects for success.
    pub answer: Option<Answer>,
    /// The file that the body is.
    pub file: Option<File>,
}

impl Webhook {
    /// `name` is the name of the template.
    pub fn new(
        templates: Arc<Templates>,
        name: String,
        headers: Headers,
        query: Query,
        occasion: Occasion,
    ) -> Webhook {
        Webhook {
            templates,
            name,
            headers,
            query,
            template: None,
            fields: QueryFields::default(),
            url: UrlParts::default(),
            occasion,
        }
    }

    /// The same with what the URL and the headers say.
    pub fn with_url(self, url: UrlParts) -> Webhook {
        Webhook { url, ..self }
    }

    /// Whether the body may be a file. `is_long`: it is too long to be looked at.
    pub fn may_be_file(&self, is_long: bool, body: &[u8]) -> bool {
        self.url.text != TextBody::Never
            && (is_long || self.url.file_name.is_some() || std::str::from_utf8(body).is_err())
    }

    /// The same with the source of a template, which takes the place of the named one, and with templates in the query, which take the
    /// place of its fields.
    pub fn with_templates(self, template: Option<String>, fields: QueryFields) -> Webhook {
        Webhook {
            template,
            fields,
            ..self
        }
    }

    /// Whether it may take longer than the event loop can wait. An administrator's template may take as long as its
    /// fuel lasts.
    pub fn is_slow(&self, body: &[u8]) -> bool {
        body.len() > QUICK
            || memchr::memchr_iter(b',', body).count() > QUICK_COMMAS
            || memchr::memchr2_iter(b'{', b'[', body).count() > QUICK_BRACKETS
            || self.template.is_some()
            || !self.fields.fields.is_empty()
            || self.templates.is_own(&self.name)
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// 415 for a body that is neither JSON nor a form; 400 for a malformed body, and for unknown or repeated parameters
    /// of the query; 422 for a payload with nothing to show; 503 for a broken template.
    pub fn read(self, body: &Body, form: Form, limits: &Limits) -> Result<Reaction, Problem> {
        let (payload, read_as) = match text(body, form, self.url.text)? {
            Some(text) => (text, "as text"),
            None => payload(body, form)?,
        };
        if let Some(name) = self.query.repeated {
            return Err(Problem::syntax(format!(
                "the query gives `{name}` twice; only `to` may be repeated"
            )));
        }
        let may_print_nothing =
            self.template.is_some() || self.templates.may_print_nothing(&self.name);
        // Bytes that are no text are a file, whatever the program says.
        let is_named = self.url.file_name.is_some() && !body.bytes.is_empty();
        let may_be_file = payload.is_undefined() || is_named && payload.as_str().is_some();
        let call = Call {
            payload: payload.clone(),
            headers: self.headers,
            query: self.query.unknown,
            template: self.template,
            fields: self.fields.fields,
            recipient: self.url.recipient,
            file_name: self.url.file_name.clone(),
            is_bare: self.url.is_bare,
            occasion: self.occasion,
        };
        let mut rendered = self.templates.render(&self.name, call)?;
        // A message has one file: the one to which it links already, or the body.
        let is_file = may_be_file && rendered.draft.values[Field::OobUrl].is_none();
        if payload.is_undefined() && !is_file {
            return Err(Problem::meaning(
                "the body is not UTF-8, and the message links to a file already; send a text, or the file alone",
            ));
        }
        let file = is_file.then(|| {
            let name = self.url.file_name.as_deref();
            let content = Content::InBody(0..body.bytes.len());
            File::new(name, self.url.media_type.as_deref(), content)
        });
        rendered.draft.files = usize::from(is_file);
        if let (Some(to), false) = (rendered.to, self.url.has_recipients) {
            rendered.draft.add(Field::To, to, limits);
        }
        let says_something =
            is_file || rendered.draft.values.iter().any(|(row, _)| row.suffices);
        let draft = match (rendered.is_silent, says_something) {
            (true, _) => None,
            (false, true) => Some(fit(rendered.draft, limits)),
            (false, false) if !rendered.has_tried && may_print_nothing => None,
            (false, false) => {
                self.templates.count_as_failed(&self.name);
                return Err(Problem::meaning(format!(
                    "the template {} finds nothing to show in the payload, which was read {read_as}{}; see docs/programs.md for what the program must post",
                    self.name,
                    members(&payload)
                )));
            }
        };
        let file = file.filter(|_| draft.is_some());
        Ok(Reaction {
            draft,
            answer: rendered.answer.as_deref().map(Answer::expected),
            file,
        })
    }
}

/// The payload that is text; undefined if it is not UTF-8. `None` if the payload has a syntax.
fn text(body: &Body, form: Form, is_text: TextBody) -> Result<Option<Value>, Problem> {
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
        charset: parameters.as_ref().and_then(|known| known.charset).unwrap_or(UTF_8),
        boundary: parameters.as_ref().and_then(|known| known.boundary.as_deref()),
        memory: &memory,
    };
    let (payload, _) = payload(&body, form).ok()?;
    let member = payload.get_attr(name).ok()?;
    member.as_str().map(|text| Zeroizing::new(text.to_owned()))
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
