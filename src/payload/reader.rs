//! The headers and the body of a request → the content of its messages.

use std::borrow::Cow;
use std::sync::Arc;

use encoding_rs::{Encoding, UTF_8};

use super::body::{Body, Extras};
use super::file::{Content as FileContent, File};
use super::foreign::Form;
use super::format::{Format, TEXT, media_types};
use super::query_fields::QueryFields;
use super::webhook::Webhook;
use crate::http::content_coding::{self, Coding};
use crate::http::media_type::{BodyParameters, MediaType, is_media_type};
use crate::http::memory::Share;
use crate::http::problem::Problem;
use crate::message::content::Content;
use crate::message::draft::Draft;
use crate::message::limits::{ELEMENTS, Limits};

/// How to read a body, by its headers.
pub struct Reader {
    what: What,
    fields: QueryFields,
    charset: &'static Encoding,
    boundary: Option<Vec<u8>>,
    codings: Vec<Coding>,
    takes_files: bool,
}

/// The files of a request.
#[derive(Debug, Default, Clone)]
pub struct Uploads {
    /// Whether there is a service to which they can be uploaded. `None`: not known yet, so a body that may hold a file is refused.
    pub are_possible: Option<bool>,
    /// The name that Content-Disposition or the query gives to the body.
    pub name: Option<String>,
}

/// The kind of a body.
enum What {
    /// Messages, in one of this module's formats.
    Messages(&'static Format),
    /// A file: its name and its media type.
    File(Option<String>, Vec<u8>),
    /// A body without a media type: text, or a file with this name if it is not UTF-8.
    TextOrFile(Option<String>),
    /// A webhook's payload, and its syntax.
    Webhook(Box<Webhook>, Form),
}

/// A message whose recipients are not resolved yet. Everything else is checked. Only the event loop can resolve
/// addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnaddressedMessage {
    /// The recipients as written, each spelling once. Absent if the path names the recipient. The messages of several
    /// files share them.
    pub to: Option<Arc<[String]>>,
    /// The checked values.
    pub content: Content,
}

/// The content of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The messages, in order.
    pub messages: Vec<UnaddressedMessage>,
    pub extras: Extras,
}

impl Reader {
    /// `fields`: of the query. `uploads`: if there is a service, a body of another media type is a file, and parts of a form may be
    /// files.
    ///
    /// # Errors
    /// 415 if the media type, the charset or the content coding is not supported, with the supported ones; 400 for malformed
    /// parameters.
    pub fn new(
        content_type: Option<&[u8]>,
        content_encoding: Option<&[u8]>,
        fields: QueryFields,
        uploads: Uploads,
    ) -> Result<Reader, Problem> {
        // A coding that is not supported (415) is reported before a malformed parameter (400).
        let codings = content_coding::parse(content_encoding)?;
        let media_type = content_type.map(MediaType::of);
        let essence = media_type.as_ref().map(|media_type| media_type.essence);
        let takes_files = uploads.are_possible == Some(true);
        let what = What::of(essence.unwrap_or_default(), uploads)?;
        let parameters = match what {
            What::Messages(_) => media_type.map(MediaType::parameters).transpose()?,
            _ => None,
        };
        Ok(Reader {
            fields,
            takes_files,
            ..Reader::of(what, codings, parameters)
        })
    }

    /// Reads the payload of another program. A template turns it into the message.
    ///
    /// # Errors
    /// 415 if the charset or the content coding is not supported.
    pub fn of_webhook(
        content_type: Option<&[u8]>,
        content_encoding: Option<&[u8]>,
        webhook: Webhook,
        takes_files: bool,
    ) -> Result<Reader, Problem> {
        let codings = content_coding::parse(content_encoding)?;
        let media_type = content_type.map(MediaType::of);
        let form = Form::of(media_type.as_ref().map(|media_type| media_type.essence));
        let parameters = media_type.map(MediaType::lenient_parameters).transpose()?;
        let what = What::Webhook(Box::new(webhook), form);
        Ok(Reader {
            takes_files,
            ..Reader::of(what, codings, parameters)
        })
    }

    fn of(what: What, codings: Vec<Coding>, parameters: Option<BodyParameters>) -> Reader {
        let (charset, boundary) = match parameters {
            Some(parameters) => (parameters.charset, parameters.boundary),
            None => (None, None),
        };
        Reader {
            what,
            fields: QueryFields::default(),
            charset: charset.unwrap_or(UTF_8),
            boundary: boundary.map(Cow::into_owned),
            codings,
            takes_files: false,
        }
    }

    /// Whether a body that is text or a file may be a file: it is so long that the event loop cannot wait until it is looked at, or it
    /// is not UTF-8, or it has a name.
    pub fn may_be_file(&self, body: &[u8]) -> bool {
        const LONG: usize = 256 * 1024;
        let is_long = !self.codings.is_empty() || body.len() > LONG;
        match &self.what {
            What::TextOrFile(_) => is_long || std::str::from_utf8(body).is_err(),
            What::Webhook(webhook, _) => webhook.may_be_file(is_long, body),
            What::Messages(_) | What::File(..) => false,
        }
    }

    /// Whether reading a body may take longer than a millisecond: the event loop cannot wait longer.
    pub fn is_slow(&self, body: &[u8]) -> bool {
        !self.codings.is_empty()
            || match &self.what {
                What::Messages(format) => format.is_slow(body),
                What::TextOrFile(_) => TEXT.is_slow(body),
                What::File(..) => false,
                What::Webhook(webhook, _) => webhook.is_slow(body),
            }
    }

    /// Reads and checks a body that is small, or the only one that is read. `receipt` asks for delivery receipts.
    ///
    /// # Errors
    /// As [`Reader::read_within`].
    pub fn read(self, body: &[u8], receipt: bool, limits: &Limits) -> Result<Payload, Problem> {
        self.read_within(body, receipt, limits, &Share::unshared(body.len()))
    }

    /// The same, with memory that other requests share. Afterwards, the memory of the messages stays taken.
    ///
    /// # Errors
    /// 413, 400 and 422, checked in this order; 503 if other requests have taken the memory.
    pub fn read_within(
        self,
        body: &[u8],
        receipt: bool,
        limits: &Limits,
        memory: &Share,
    ) -> Result<Payload, Problem> {
        let held_before = memory.taken();
        let bytes = content_coding::undo(&self.codings, body, limits.body, memory)?;
        let body = Body {
            bytes: &bytes,
            charset: self.charset,
            boundary: self.boundary.as_deref(),
            memory,
        };
        let mut messages = Messages {
            fields: &self.fields,
            receipt,
            limits,
            memory,
            checked: Vec::new(),
            count: 0,
            taken: 0,
            elements: 0,
            fault: None,
        };
        let mut extras = match self.what {
            What::Messages(_) | What::TextOrFile(_) | What::File(..)
                if body.bytes.is_empty() && self.fields.are_enough() =>
            {
                messages.add(Draft {
                    read_as: "an empty body",
                    ..Draft::default()
                })?;
                Extras::default()
            }
            What::Messages(format) => {
                let extras = (format.read)(&body, limits, &mut |draft| messages.add(draft))?;
                if !extras.files.is_empty() && !self.takes_files {
                    return Err(nowhere_to_upload());
                }
                extras
            }
            What::TextOrFile(_) if std::str::from_utf8(body.bytes).is_ok() => {
                (TEXT.read)(&body, limits, &mut |draft| messages.add(draft))?
            }
            What::TextOrFile(_) if !self.takes_files => {
                return Err(Problem::unsupported(format!(
                    "the body has no Content-Type and is not UTF-8 text, and there is no service to which a file could be uploaded (XEP-0363); these types are supported: {}",
                    media_types()
                )));
            }
            What::TextOrFile(name) => messages.add_file(&body, name.as_deref(), None)?,
            What::File(name, media_type) => {
                messages.add_file(&body, name.as_deref(), Some(&media_type))?
            }
            What::Webhook(webhook, form) => {
                let reaction = webhook.read(&body, form, limits)?;
                if reaction.file.is_some() && !self.takes_files {
                    return Err(nowhere_to_upload());
                }
                let draft = reaction.draft;
                draft.map(|draft| messages.add(draft)).transpose()?;
                Extras {
                    answer: reaction.answer,
                    files: reaction.file.into_iter().collect(),
                    ..Extras::default()
                }
            }
        };
        if let Some(problem) = self.fields.beside_several().filter(|_| extras.many) {
            return Err(match messages.fault {
                Some((index, fault)) if fault.kind < problem.kind => fault.of_message(index),
                _ => problem,
            });
        }
        if let Some((index, fault)) = messages.fault {
            return Err(match extras.many {
                true => fault.of_message(index),
                false => fault,
            });
        }
        let mut bytes = messages.taken;
        if !self.codings.is_empty() {
            // The received body does not hold the bytes of the files.
            for file in &mut extras.files {
                bytes += file.unpack(body.bytes, memory)?;
            }
        }
        memory.give_back((memory.taken() - held_before).saturating_sub(bytes));
        Ok(Payload {
            messages: messages.checked,
            extras,
        })
    }
}

/// The messages of a body. Each is checked when it is read. If one has a fault, none is kept.
struct Messages<'a> {
    fields: &'a QueryFields,
    receipt: bool,
    limits: &'a Limits,
    memory: &'a Share,
    checked: Vec<UnaddressedMessage>,
    /// The number of messages that were read.
    count: usize,
    /// The bytes of memory, and the XHTML elements, of the kept messages together.
    taken: usize,
    elements: usize,
    /// The fault to report, and the index of its message.
    fault: Option<(usize, Problem)>,
}

/// The bytes that a recipient takes in addition to its text, as written and as an address.
const RECIPIENT: usize = 112;

impl Messages<'_> {
    /// Checks a message. Its fault is kept until all messages are read, because the fault of a later message may have
    /// to be reported first.
    ///
    /// # Errors
    /// If all messages together need too much memory, or have too many XHTML elements.
    fn add(&mut self, mut draft: Draft) -> Result<(), Problem> {
        self.count += 1;
        self.fields.add_to(&mut draft);
        let to = draft.to.take();
        let (more, other) = match draft.files {
            0 | 1 => (0, None),
            files => (files - 1, Some(draft.of_another_file())),
        };
        let message = Content::of(draft, self.receipt, self.limits).and_then(|content| {
            let to = to.map(|to| to.into_spellings(self.limits)).transpose()?;
            Ok((content, to.map(Arc::from)))
        });
        let (content, to) = match message {
            Ok(message) if self.fault.is_none() => message,
            Ok(_) => return Ok(()),
            Err(problem) => {
                self.note(problem);
                return Ok(());
            }
        };
        let to: Option<Arc<[String]>> = to;
        let spellings = to.iter().flat_map(|to| to.iter());
        self.take(spellings.map(|to| 2 * to.len() + RECIPIENT).sum())?;
        self.keep(to.clone(), content)?;
        for draft in other.iter().cycle().take(more) {
            match Content::of(draft.clone(), self.receipt, self.limits) {
                Ok(content) => self.keep(to.clone(), content)?,
                Err(problem) => self.note(problem),
            }
        }
        Ok(())
    }

    /// Adds the message for a body that is a file.
    ///
    /// # Errors
    /// As [`Messages::add`]; 422 for an empty file.
    fn add_file(
        &mut self,
        body: &Body,
        name: Option<&str>,
        media_type: Option<&[u8]>,
    ) -> Result<Extras, Problem> {
        if body.bytes.is_empty() {
            return Err(Problem::meaning("the file is empty"));
        }
        self.add(Draft {
            files: 1,
            ..Draft::default()
        })?;
        let content = FileContent::InBody(0..body.bytes.len());
        Ok(Extras {
            files: vec![File::new(name, media_type, content)],
            ..Extras::default()
        })
    }

    fn keep(&mut self, to: Option<Arc<[String]>>, content: Content) -> Result<(), Problem> {
        self.elements += content.elements();
        if self.elements > ELEMENTS {
            return Err(self.limits.too_many_elements());
        }
        let message = UnaddressedMessage { to, content };
        // A vector that has grown may have room for twice as many.
        self.take(2 * size_of::<UnaddressedMessage>() + message.content.memory())?;
        self.checked.push(message);
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<(), Problem> {
        self.memory.take(bytes)?;
        self.taken += bytes;
        Ok(())
    }

    /// Keeps a fault, unless a known one is reported first: by its kind, or else because it was found first.
    fn note(&mut self, problem: Problem) {
        self.checked = Vec::new();
        let is_before = |(_, known): &(usize, Problem)| problem.kind < known.kind;
        if self.fault.as_ref().is_none_or(is_before) {
            self.fault = Some((self.count - 1, problem));
        }
    }
}

/// The body may hold a file, and there is no service, or it is not known yet.
pub fn nowhere_to_upload() -> Problem {
    Problem::unsupported(
        "a part is a file, and there is no service to which it could be uploaded (XEP-0363)",
    )
    .field("file")
}

/// The top-level media types that IANA has registered.
const TOP_LEVEL_TYPES: [&[u8]; 11] = [
    b"application",
    b"audio",
    b"example",
    b"font",
    b"haptics",
    b"image",
    b"message",
    b"model",
    b"multipart",
    b"text",
    b"video",
];

/// Whether a body of this media type can be a file. A misspelled type cannot; JSON or XML of an unknown kind only if it has a name.
fn can_be_file(essence: &[u8], has_name: bool) -> bool {
    let essence = essence.to_ascii_lowercase();
    let top_level = essence.split(|&byte| byte == b'/').next();
    let is_data = essence.starts_with(b"application/")
        && (essence.ends_with(b"json") || essence.ends_with(b"xml"));
    is_media_type(&essence)
        && top_level.is_some_and(|name| TOP_LEVEL_TYPES.contains(&name))
        && (has_name || !is_data)
}

impl What {
    /// The kind of a body with this media type, which is empty if the client names none.
    fn of(essence: &[u8], uploads: Uploads) -> Result<What, Problem> {
        let Uploads { are_possible, name } = uploads;
        if essence.is_empty() {
            return Ok(What::TextOrFile(name));
        }
        match Format::named(essence, name.is_some()) {
            Some(format) if format.holds_files && are_possible.is_none() => {
                Err(nowhere_to_upload())
            }
            Some(format) => Ok(What::Messages(format)),
            None if are_possible == Some(true) && can_be_file(essence, name.is_some()) => {
                Ok(What::File(name, essence.to_vec()))
            }
            None => Err(Problem::unsupported(format!(
                "this Content-Type is not supported; these are: {}",
                media_types()
            ))),
        }
    }
}
