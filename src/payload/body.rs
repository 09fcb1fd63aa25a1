//! A body as its headers describe it, and its content.

use encoding_rs::Encoding;

use super::file::File;
use crate::http::answer::Answer;
use crate::http::memory::Share;
use crate::http::problem::Problem;
use crate::message::draft::Draft;

/// A body after its content codings are decoded.
#[derive(Clone, Copy)]
pub struct Body<'a> {
    /// The decoded bytes.
    pub bytes: &'a [u8],
    /// The charset from Content-Type, by default UTF-8.
    pub charset: &'static Encoding,
    /// The boundary parameter of `multipart/form-data`.
    pub boundary: Option<&'a [u8]>,
    /// The memory for the values that are read from the body.
    pub memory: &'a Share,
}

/// Takes the messages of a body one by one: a list of thousands of drafts would need much more memory than the body.
///
/// # Errors
/// A problem that ends the reading.
pub type Sink<'a> = dyn FnMut(Draft) -> Result<(), Problem> + 'a;

/// The content of a body besides its messages.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Extras {
    /// Whether it was an array or NDJSON. Then the answer is an array.
    pub many: bool,
    /// The answer that another program expects for success.
    pub answer: Option<Answer>,
    /// The files. If there are any, each message links to the file with the same index.
    pub files: Vec<File>,
}

/// The drafts that a format reads, for tests.
#[cfg(test)]
pub fn drafts_of(
    body: (&[u8], &'static Encoding, Option<&[u8]>),
    read: impl FnOnce(&Body, &mut Sink) -> Result<Extras, Problem>,
) -> Result<(Vec<Draft>, Extras), Problem> {
    let (bytes, charset, boundary) = body;
    let memory = Share::unshared(bytes.len());
    let body = Body {
        bytes,
        charset,
        boundary,
        memory: &memory,
    };
    let mut drafts = Vec::new();
    let read = read(&body, &mut |draft| {
        drafts.push(draft);
        Ok(())
    })?;
    Ok((drafts, read))
}
