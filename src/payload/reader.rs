//! The headers and the body of a request → what its messages say.

use std::sync::Arc;

use encoding_rs::{Encoding, UTF_8};

use super::body::{Body, Read};
use super::file::{Content as FileContent, File, name_in};
use super::format::{Format, media_types};
use super::webhook::{Form, Webhook};
use crate::http::answer::Answer;
use crate::http::content_coding::{self, Coding};
use crate::http::media_type::{MediaType, is_media_type};
use crate::http::memory::Share;
use crate::http::problem::Problem;
use crate::message::content::Content;
use crate::message::draft::Draft;
use crate::message::limits::{ELEMENTS, Limits};

/// What the headers say of the body.
pub struct Reader {
    what: What,
    charset: &'static Encoding,
    boundary: Option<Vec<u8>>,
    codings: Vec<Coding>,
    takes_files: bool,
}

/// Where the files of a request can be uploaded.
#[derive(Debug, Clone)]
pub enum Uploads<'a> {
    /// It was not looked for a service yet: what may hold a file is not taken.
    Unknown,
    Nowhere,
    /// To a service. What is told of a file beside its media type:
    Somewhere {
        /// the header Content-Disposition,
        disposition: Option<&'a [u8]>,
        /// the parameter of the query.
        name: Option<String>,
    },
}

/// What a body is.
enum What {
    /// Messages, in one of this module's formats.
    Messages(&'static Format),
    /// A file: its name, and its media type.
    File(Option<String>, Vec<u8>),
    /// What another program posts, and how it is written.
    Webhook(Webhook, Form),
}

/// A message of which all is checked but the addresses, which only the event loop can resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unaddressed {
    /// As written, each spelling once; absent where the path names the recipient. The messages of several files share them.
    pub to: Option<Arc<[String]>>,
    pub content: Content,
}

/// What a body means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    pub messages: Vec<Unaddressed>,
    /// Whether it was an array or NDJSON, which is answered with an array.
    pub many: bool,
    /// How another program expects to be answered where all is well.
    pub answer: Option<Answer>,
    /// Where there are any, each message links to the file in the same place.
    pub files: Vec<File>,
}

impl Reader {
    /// `webhook`: it comes from another program, to be made a message by a template. `uploads`: where there is somewhere,
    /// a body of another media type is a file, and so may be parts of a form.
    ///
    /// # Errors
    /// 415, listing what is supported, where there is no media type or another one, or the charset
    /// or content coding is not supported; 400 for parameters that cannot be read.
    pub fn new(
        content_type: Option<&[u8]>,
        content_encoding: Option<&[u8]>,
        webhook: Option<Webhook>,
        uploads: Uploads,
    ) -> Result<Reader, Problem> {
        // A parameter that cannot be read (400) is told behind a coding that is not supported (415).
        let codings = content_coding::parse(content_encoding)?;
        let media_type = content_type.map(MediaType::of);
        let essence = media_type.as_ref().map(|media_type| media_type.essence);
        let what = match webhook {
            Some(webhook) => What::Webhook(webhook, Form::of(essence)),
            None => match (format(essence), &uploads) {
                (Ok(format), Uploads::Unknown) if format.holds_files => {
                    return Err(nowhere_to_upload());
                }
                (Ok(format), _) => What::Messages(format),
                (Err(_), Uploads::Somewhere { disposition, name })
                    if essence.is_some_and(is_media_type) =>
                {
                    let name = name.clone().or_else(|| disposition.and_then(name_in));
                    What::File(name, essence.unwrap_or_default().to_vec())
                }
                (Err(problem), _) => return Err(problem),
            },
        };
        let parameters = match what {
            What::File(..) => None,
            What::Webhook(..) => media_type.map(MediaType::lenient_parameters).transpose()?,
            What::Messages(_) => media_type.map(MediaType::parameters).transpose()?,
        };
        let (charset, boundary) = match parameters {
            Some(parameters) => (parameters.charset, parameters.boundary),
            None => (None, None),
        };
        Ok(Reader {
            what,
            charset: charset.unwrap_or(UTF_8),
            boundary: boundary.map(|boundary| boundary.into_owned()),
            codings,
            takes_files: matches!(uploads, Uploads::Somewhere { .. }),
        })
    }

    /// Whether a body may take longer to read than the event loop can wait: a millisecond.
    pub fn is_slow(&self, body: &[u8]) -> bool {
        !self.codings.is_empty()
            || match &self.what {
                What::Messages(format) => format.is_slow(body),
                What::File(..) => false,
                What::Webhook(webhook, _) => webhook.is_slow(body),
            }
    }

    /// Reads and checks a whole body, which is small or the only one. `receipt` asks for delivery receipts.
    ///
    /// # Errors
    /// As [`Reader::read_within`].
    pub fn read(self, body: &[u8], receipt: bool, limits: &Limits) -> Result<Payload, Problem> {
        self.read_within(body, receipt, limits, &Share::alone(body.len()))
    }

    /// The same with memory that others want, too: what the messages take is taken from it when this is done.
    ///
    /// # Errors
    /// 413, 400 and 422, in this order of what is looked at; 503 where others have taken the memory.
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
            receipt,
            limits,
            memory,
            checked: Vec::new(),
            count: 0,
            taken: 0,
            elements: 0,
            fault: None,
        };
        let mut answer = None;
        let mut read = match self.what {
            What::Messages(format) => {
                let read = (format.read)(&body, limits, &mut |draft| messages.add(draft))?;
                if !read.files.is_empty() && !self.takes_files {
                    return Err(nowhere_to_upload());
                }
                read
            }
            What::File(name, media_type) => {
                if body.bytes.is_empty() {
                    return Err(Problem::meaning("the file is empty"));
                }
                let content = FileContent::InBody(0..body.bytes.len());
                messages.add(Draft {
                    files: 1,
                    ..Draft::default()
                })?;
                Read {
                    many: false,
                    files: vec![File::new(name.as_deref(), Some(&media_type), content)],
                }
            }
            What::Webhook(webhook, form) => {
                let made = webhook.read(&body, form, limits)?;
                answer = made.answer;
                for draft in made.drafts {
                    messages.add(draft)?;
                }
                Read::default()
            }
        };
        if let Some((index, fault)) = messages.fault {
            return Err(match read.many {
                true => fault.of_message(index),
                false => fault,
            });
        }
        let mut kept = messages.taken;
        if !self.codings.is_empty() {
            // The body as it came does not hold them.
            for file in &mut read.files {
                kept += file.unpack(body.bytes, memory)?;
            }
        }
        memory.give_back((memory.taken() - held_before).saturating_sub(kept));
        Ok(Payload {
            messages: messages.checked,
            many: read.many,
            answer,
            files: read.files,
        })
    }
}

/// The messages of a body, each checked when it is read. If one has a fault, none are kept.
struct Messages<'a> {
    receipt: bool,
    limits: &'a Limits,
    memory: &'a Share,
    checked: Vec<Unaddressed>,
    /// How many were read.
    count: usize,
    /// What those that are kept have together: bytes of memory, elements of XHTML.
    taken: usize,
    elements: usize,
    /// The fault to be answered, and the index of its message.
    fault: Option<(usize, Problem)>,
}

/// What a recipient takes beside its text, as written and as the address that is made of it.
const RECIPIENT: usize = 112;

impl Messages<'_> {
    /// Checks a message. A fault of it is kept until all messages are read: a later one may be answered before it.
    ///
    /// # Errors
    /// Where the messages are too much together.
    fn add(&mut self, mut draft: Draft) -> Result<(), Problem> {
        self.count += 1;
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

    fn keep(&mut self, to: Option<Arc<[String]>>, content: Content) -> Result<(), Problem> {
        self.elements += content.elements();
        if self.elements > ELEMENTS {
            return Err(self.limits.too_many_elements());
        }
        let message = Unaddressed { to, content };
        // A vector that has grown has room for twice as many.
        self.take(2 * size_of::<Unaddressed>() + message.content.memory())?;
        self.checked.push(message);
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> Result<(), Problem> {
        self.memory.take(bytes)?;
        self.taken += bytes;
        Ok(())
    }

    /// Keeps a fault, unless another one is answered before it: 413 before all others, then the first.
    fn note(&mut self, problem: Problem) {
        self.checked = Vec::new();
        let is_before = |(_, known): &(usize, Problem)| problem.kind < known.kind;
        if self.fault.as_ref().is_none_or(is_before) {
            self.fault = Some((self.count - 1, problem));
        }
    }
}

fn nowhere_to_upload() -> Problem {
    Problem::unsupported(
        "a part is a file, and there is no service to which it could be uploaded (XEP-0363)",
    )
    .field("file")
}

/// The format of messages that a media type names.
fn format(essence: Option<&[u8]>) -> Result<&'static Format, Problem> {
    let unsupported = |what: &str| Problem::unsupported(format!("{what}: {}", media_types()));
    let essence = essence.ok_or_else(|| unsupported("a Content-Type is needed, one of"))?;
    Format::named(essence)
        .ok_or_else(|| unsupported("this Content-Type is not supported; these are"))
}
