//! A body as its headers describe it, and what it held.

use encoding_rs::Encoding;

use super::file::File;
use crate::http::answer::Answer;
use crate::message::draft::Draft;

/// A body without its content codings.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    pub bytes: &'a [u8],
    pub charset: &'static Encoding,
    /// Of `multipart`, as its media type names it.
    pub boundary: Option<&'a [u8]>,
}

/// What a body held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drafts {
    /// None only where a template has nothing to say.
    pub drafts: Vec<Draft>,
    /// Whether it was an array or NDJSON, which is answered with an array.
    pub many: bool,
    /// How another program expects to be answered where all is well.
    pub answer: Option<Answer>,
    /// Where there are any, each message links to the file in the same place.
    pub files: Vec<File>,
}

impl From<Draft> for Drafts {
    fn from(draft: Draft) -> Drafts {
        Drafts {
            drafts: vec![draft],
            many: false,
            answer: None,
            files: Vec::new(),
        }
    }
}
