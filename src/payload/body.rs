//! A body as its headers describe it, and what it held.

use encoding_rs::Encoding;

use super::file::File;
use crate::http::answer::Answer;
use crate::http::memory::Share;
use crate::http::problem::Problem;
use crate::message::draft::Draft;

/// A body without its content codings.
#[derive(Clone, Copy)]
pub struct Body<'a> {
    pub bytes: &'a [u8],
    pub charset: &'static Encoding,
    /// Of `multipart`, as its media type names it.
    pub boundary: Option<&'a [u8]>,
    /// The memory from which is taken what the body becomes.
    pub memory: &'a Share,
}

/// Takes the messages of a body, one after the other: thousands of drafts would have many times the bytes of the body.
///
/// # Errors
/// Where no more is to be read.
pub type Take<'a> = dyn FnMut(Draft) -> Result<(), Problem> + 'a;

/// What a body held beside its messages.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Read {
    /// Whether it was an array or NDJSON, which is answered with an array.
    pub many: bool,
    /// How another program expects to be answered if all is well.
    pub answer: Option<Answer>,
    /// Where there are any, each message links to the file in the same place.
    pub files: Vec<File>,
}

/// What a format reads, for tests.
#[cfg(test)]
pub fn drafts_of(
    body: (&[u8], &'static Encoding, Option<&[u8]>),
    read: impl FnOnce(&Body, &mut Take) -> Result<Read, Problem>,
) -> Result<(Vec<Draft>, Read), Problem> {
    let (bytes, charset, boundary) = body;
    let memory = Share::alone(bytes.len());
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
