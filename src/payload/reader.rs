//! The headers and the body of a request → what its messages say.

use encoding_rs::{Encoding, UTF_8};

use super::body::{Body, Drafts};
use super::file::{Content as FileContent, File, name_in};
use super::format::{Format, media_types};
use super::webhook::{Form, Webhook};
use crate::http::answer::Answer;
use crate::http::content_coding::{self, Coding};
use crate::http::media_type::{MediaType, is_media_type};
use crate::http::problem::Problem;
use crate::message::content::Content;
use crate::message::draft::Draft;
use crate::message::limits::Limits;

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
    /// As written, each spelling once; absent where the path names the recipient.
    pub to: Option<Vec<String>>,
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

    /// Reads and checks a whole body. `receipt` asks for delivery receipts.
    ///
    /// # Errors
    /// 413, 400 and 422, in this order of what is looked at.
    pub fn read(self, body: &[u8], receipt: bool, limits: &Limits) -> Result<Payload, Problem> {
        let bytes = content_coding::undo(&self.codings, body, limits.body)?;
        let body = Body {
            bytes: &bytes,
            charset: self.charset,
            boundary: self.boundary.as_deref(),
        };
        let read = match self.what {
            What::Messages(format) => {
                let read = (format.read)(&body, limits)?;
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
                file(File::new(name.as_deref(), Some(&media_type), content))
            }
            What::Webhook(webhook, form) => webhook.read(&body, form, limits)?,
        };
        let mut files = read.files;
        if !self.codings.is_empty() {
            // The body as it came does not hold them.
            files.iter_mut().for_each(|file| file.unpack(body.bytes));
        }
        let many = read.many;
        let mut messages = Vec::with_capacity(read.drafts.len());
        let mut fault = None;
        for (index, mut draft) in read.drafts.into_iter().enumerate() {
            let to = draft.to.take();
            let message = Content::of(draft, receipt, limits).and_then(|content| {
                let to = to.map(|to| to.into_spellings(limits)).transpose()?;
                Ok(Unaddressed { to, content })
            });
            match message {
                Ok(message) => messages.push(message),
                Err(problem) => {
                    let status = problem.status;
                    let problem = match many {
                        true => problem.of_message(index),
                        false => problem,
                    };
                    // What is too large is told before what is wrong otherwise.
                    if status == 413 {
                        return Err(problem);
                    }
                    fault.get_or_insert(problem);
                }
            }
        }
        match fault {
            Some(fault) => Err(fault),
            None => Ok(Payload {
                messages,
                many,
                answer: read.answer,
                files,
            }),
        }
    }
}

/// A message that is nothing but a file.
fn file(file: File) -> Drafts {
    let draft = Draft {
        has_file: true,
        ..Draft::default()
    };
    Drafts {
        files: vec![file],
        ..draft.into()
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
