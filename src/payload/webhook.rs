//! A webhook's payload → draft, made by a template.

use std::sync::Arc;

use minijinja::value::{Value, ValueKind};
use sha2::{Digest, Sha256};

use super::body::Body;
use super::file::{Content, File};
use super::foreign::{Form, TextBody, payload, text};
use super::query_fields::QueryFields;
use crate::http::answer::Answer;
use crate::http::media_type::MediaType;
use crate::http::problem::{Problem, ProblemKind, names};
use crate::http::query::Query;
use crate::message::draft::Draft;
use crate::message::element::escaped_len;
use crate::message::field::{FIELDS, Field, LONGEST_ID, TooLong};
use crate::message::limits::Limits;
use crate::template::context::{Call, Headers, Occasion, Posted};
use crate::template::declarations::Declarations;
use crate::template::engine::Templates;

/// The bounds of a payload that a built-in template renders within a millisecond: bytes; commas, which stand between
/// values; and opening brackets, because the work of templates grows with the number of objects and lists.
const QUICK: usize = 6 * 1024;
const QUICK_COMMAS: usize = 300;
const QUICK_BRACKETS: usize = 40;

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
    pub posted: Posted,
    /// Whether the URL names recipients.
    pub has_recipients: bool,
    /// Whether a topic is a name, and no recipient, because the sender may reach only one address.
    pub has_free_topic: bool,
    pub text: TextBody,
    /// The media type of the file that the body may be.
    pub media_type: Option<Vec<u8>>,
}

impl UrlParts {
    /// Whether a body is text that was taken for JSON: it was posted to a topic.
    fn may_be_text(&self, form: Form, problem: &Problem) -> bool {
        problem.kind == ProblemKind::BadRequest
            && self.text == TextBody::UnlessJson
            && form != Form::Json
            && self.posted.recipient.is_some()
    }

    /// `posted`: recipient, appended text, method, and the file name in Content-Disposition. `is_of_token`: whether the sender's token names the format, and not the query.
    pub fn new(
        declared: &Declarations,
        posted: Posted,
        is_of_token: bool,
        (headers, query, content_type): (&Headers, &Query, Option<&[u8]>),
    ) -> UrlParts {
        let file_name = posted.file_name.clone();
        if !declared.takes_text {
            return UrlParts {
                posted,
                ..UrlParts::default()
            };
        }
        // curl sends the type of a form with each body.
        let media_type = content_type.map(|header| MediaType::of(header).essence.to_vec());
        let media_type = media_type.filter(|name| Form::of(Some(name)) != Form::Urlencoded);
        UrlParts {
            text: match posted.recipient.is_some() && is_of_token {
                true => TextBody::Always,
                false => TextBody::UnlessJson,
            },
            media_type,
            has_recipients: false,
            has_free_topic: false,
            posted: Posted {
                file_name: headers
                    .parameter(&declared.file_names, &query.unknown)
                    .or(file_name),
                is_bare: query.unknown.is_empty() && !headers.has_any(&declared.parameters),
                ..posted
            },
        }
    }
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
            && (is_long
                || self.url.posted.file_name.is_some()
                || std::str::from_utf8(body).is_err())
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
        let parameters = self.query.unknown.iter();
        let in_query: usize = parameters.map(|(_, value)| value.len()).sum();
        body.len() + self.headers.bytes() + in_query > QUICK
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
        if self.template.is_none() && self.templates.is_own(&self.name) {
            // A broken template does not say how the body is read.
            self.templates.check_ancestors(&self.name)?;
        }
        let takes_text = self.url.text != TextBody::Never;
        let is_named = takes_text && self.url.posted.file_name.is_some() && !body.bytes.is_empty();
        let is_text = match self.url.text {
            // To a topic; otherwise JSON names the topic.
            TextBody::UnlessJson if is_named && self.url.posted.recipient.is_some() => {
                TextBody::Always
            }
            is_text => is_text,
        };
        let (payload, read_as) = match text(body, form, is_text)? {
            Some(text) => (text, "as text"),
            None => match payload(body, form) {
                // A text may begin with a brace.
                Err(problem) if self.url.may_be_text(form, &problem) => {
                    let text = text(body, form, TextBody::Always)?;
                    (text.unwrap_or_default(), "as text")
                }
                read => read?,
            },
        };
        if let Some(name) = self.query.repeated {
            return Err(Problem::syntax(format!(
                "the query gives `{name}` twice; only `to` may be repeated"
            )));
        }
        let may_print_nothing =
            self.template.is_some() || self.templates.may_print_nothing(&self.name);
        // Bytes that are no text are a file, whatever the program says.
        let may_be_file = payload.is_undefined() || is_named && payload.as_str().is_some();
        let fields = &self.fields.fields;
        if may_be_file && fields.iter().any(|(field, _)| *field == Field::OobUrl) {
            return Err(Problem::meaning(
                "the body is a file, and the query's `oob_url` links to another; a message has one",
            )
            .field("oob_url"));
        }
        let call = Call {
            payload: payload.clone(),
            headers: self.headers,
            query: self.query.unknown,
            template: self.template,
            fields: self.fields.fields,
            posted: self.url.posted.clone(),
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
            let name = self.url.posted.file_name.as_deref();
            let content = Content::InBody(0..body.bytes.len());
            File::new(name, self.url.media_type.as_deref(), content)
        });
        rendered.draft.files = usize::from(is_file);
        let is_name = |to: &String| self.url.has_free_topic && !to.contains('@');
        let to = rendered
            .to
            .filter(|to| !self.url.has_recipients && !is_name(to));
        if let Some(to) = to {
            rendered.draft.add(Field::To, to, limits);
        }
        let says_something = is_file || rendered.draft.values.iter().any(|(row, _)| row.suffices);
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
