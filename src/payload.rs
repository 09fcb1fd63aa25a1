//! The body of a request → drafts: what the client wrote, field by field.

pub mod form;
pub mod json;
pub mod multipart;
pub mod ndjson;

use crate::content_coding::{self, Coding};
use crate::media_type::{self, Format, MediaType};
use crate::message::{self, Content};
use crate::problem::Problem;
use crate::stanza::escaped_len;

/// One message as the client wrote it: which fields, with which text. Nothing but the types is
/// checked, and what is wrong with them is only noted: how large the message is comes first.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Draft {
    pub to: Option<Vec<String>>,
    pub kind: Option<String>,
    pub body: Option<String>,
    pub subject: Option<String>,
    pub html: Option<String>,
    pub thread: Option<String>,
    pub id: Option<String>,
    pub lang: Option<String>,
    pub oob_url: Option<String>,
    pub state: Option<String>,
    pub replace: Option<String>,
    /// 422: the first field that is given twice or is of another type, if any.
    pub fault: Option<Problem>,
}

impl Draft {
    /// The place of a single-valued field; `None` where no field has this name (`to` is not single-valued).
    pub fn field_mut(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "type" => &mut self.kind,
            "body" => &mut self.body,
            "subject" => &mut self.subject,
            "html" => &mut self.html,
            "thread" => &mut self.thread,
            "id" => &mut self.id,
            "lang" => &mut self.lang,
            "oob_url" => &mut self.oob_url,
            "state" => &mut self.state,
            "replace" => &mut self.replace,
            _ => return None,
        })
    }

    /// Adds one field of a form, whose `to` may be repeated and whose other known fields may not.
    /// A name that no field has is ignored.
    pub fn add(&mut self, name: &str, value: String) {
        if name == "to" {
            self.to.get_or_insert_default().push(value);
            return;
        }
        match self.field_mut(name) {
            None => (),
            Some(field @ None) => *field = Some(value),
            Some(Some(_)) => self.note(
                Problem::meaning(format!(
                    "`{name}` is given twice; only `to` may be repeated"
                ))
                .field(name.to_owned()),
            ),
        }
    }

    /// Notes a fault, unless there was one before.
    pub fn note(&mut self, fault: Problem) {
        self.fault.get_or_insert(fault);
    }

    /// Bytes of the texts that the stanza will hold, serialised; of `html` nothing yet.
    pub fn bytes(&self) -> usize {
        let texts = [
            &self.body,
            &self.subject,
            &self.thread,
            &self.id,
            &self.oob_url,
            &self.replace,
        ];
        let line_ends = |text: &String| memchr::memmem::find_iter(text.as_bytes(), "\r\n").count();
        texts
            .into_iter()
            .flatten()
            .map(|text| escaped_len(text) - line_ends(text))
            .sum()
    }
}

/// How much is too much.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one message, serialised.
    pub size: usize,
    /// Recipients of one message, each counted once.
    pub recipients: usize,
    /// Messages × recipients of one array or NDJSON body.
    pub batch: usize,
    /// Bytes of a request's body, whatever its content coding.
    pub body: usize,
}

/// A message of which all is checked but the addresses, which only the event loop can resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unaddressed {
    /// As written; absent where the path names the recipient.
    pub to: Option<Vec<String>>,
    pub content: Content,
}

/// 422: an array or NDJSON with more than `limit` messages × recipients.
pub fn too_many(limit: usize) -> Problem {
    Problem::meaning(format!(
        "the request makes more than {limit} messages, the most that one may make (post_msg_batch_limit)"
    ))
}

/// Recipients as written, each spelling once.
///
/// # Errors
/// 422 where there are too many spellings for `limit` recipients.
fn once_each(to: Vec<String>, limit: usize) -> Result<Vec<String>, Problem> {
    let mut known = std::collections::HashSet::new();
    let kept: Vec<bool> = to.iter().map(|to| known.insert(to.as_str())).collect();
    // `user`, `user@host`, `xmpp:user@host` and one with capitals may be the same.
    if known.len() > limit.saturating_mul(4) {
        return Err(message::too_many_recipients(limit));
    }
    let spellings = to.into_iter().zip(kept);
    Ok(spellings
        .filter_map(|(to, keep)| keep.then_some(to))
        .collect())
}

/// What a body held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    pub messages: Vec<Unaddressed>,
    /// Whether it was an array or NDJSON, which is answered with an array.
    pub many: bool,
}

/// What the headers say of the body.
#[derive(Debug, Clone)]
pub struct Reader {
    media_type: MediaType,
    codings: Vec<Coding>,
}

impl Reader {
    /// # Errors
    /// 415 where the media type, charset or content coding is not supported.
    pub fn new(
        content_type: Option<&[u8]>,
        content_encoding: Option<&[u8]>,
    ) -> Result<Reader, Problem> {
        // A parameter that cannot be read (400) is told behind a coding that is not supported (415).
        let codings = content_coding::parse(content_encoding)?;
        Ok(Reader {
            media_type: MediaType::parse(content_type)?,
            codings,
        })
    }

    /// Whether a body may take longer to read than the event loop can wait: a millisecond.
    pub fn is_slow(&self, body: &[u8]) -> bool {
        // Many small things take longer than one large.
        let quick = match self.media_type.format {
            Format::Text => 64,
            Format::Json if body.trim_ascii_start().starts_with(b"[") => 8,
            Format::Json if memchr::memmem::find(body, b"html").is_none() => 64,
            Format::Ndjson => 8,
            _ => 16,
        };
        !self.codings.is_empty() || body.len() > quick * 1024
    }

    /// Reads and checks a whole body. `receipt` asks for delivery receipts.
    ///
    /// # Errors
    /// 413, 400 and 422, in this order of what is looked at.
    pub fn read(&self, body: &[u8], receipt: bool, limits: &Limits) -> Result<Payload, Problem> {
        let body = content_coding::undo(&self.codings, body, limits.body)?;
        let charset = self.media_type.charset;
        let (drafts, many) = match &self.media_type.format {
            Format::Text => {
                // No charset takes more than four bytes for a character of one.
                if body.len() > limits.size.saturating_mul(4) {
                    return Err(Problem::too_large(format!(
                        "the text is larger than a message may be, {} bytes (post_msg_size_limit)",
                        limits.size
                    )));
                }
                let draft = Draft {
                    body: Some(media_type::decode(charset, &body)?.into_owned()),
                    ..Draft::default()
                };
                (vec![draft], false)
            }
            Format::Form => (vec![form::read(charset, &body)?], false),
            Format::Multipart { boundary } => {
                (vec![multipart::read(boundary, charset, &body)?], false)
            }
            Format::Json => json::read(&media_type::decode(charset, &body)?, limits.batch)?,
            Format::Ndjson => {
                let text = media_type::decode(charset, &body)?;
                (ndjson::read(&text, limits.batch)?, true)
            }
        };

        let mut messages = Vec::with_capacity(drafts.len());
        let mut fault = None;
        for (index, mut draft) in drafts.into_iter().enumerate() {
            let to = draft.to.take().map(|to| once_each(to, limits.recipients));
            let content = Content::of(draft, receipt, limits.size);
            match content.and_then(|content| Ok((to.transpose()?, content))) {
                Ok((to, content)) => messages.push(Unaddressed { to, content }),
                Err(problem) => {
                    let status = problem.status;
                    let problem = if many {
                        problem.of_message(index)
                    } else {
                        problem
                    };
                    // What is too large is told before what is wrong otherwise.
                    if status == 413 {
                        return Err(problem);
                    }
                    fault.get_or_insert(problem);
                }
            }
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        Ok(Payload { messages, many })
    }
}
