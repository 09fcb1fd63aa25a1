//! The formats of messages.

use super::body::{Body, Extras, Sink};
use super::{form, json, multipart, ndjson, text};
use crate::http::problem::Problem;
use crate::message::limits::Limits;

/// The formats, in the order in which answers list them.
pub static FORMATS: [Format; 5] = [
    Format {
        media_type: "text/plain",
        read: text::read,
        quick: |_| 64,
        holds_files: false,
    },
    Format {
        media_type: "application/x-www-form-urlencoded",
        read: form::read,
        quick: |_| 16,
        holds_files: false,
    },
    Format {
        media_type: "multipart/form-data",
        read: multipart::read,
        quick: |_| 16,
        holds_files: true,
    },
    Format {
        media_type: "application/json",
        read: json::read,
        // Many small values take longer than one large value, and XHTML takes longer than text.
        quick: |body| match body.trim_ascii_start() {
            [b'[', ..] => 8,
            body if memchr::memmem::find(body, b"html").is_some() => 16,
            _ => 64,
        },
        holds_files: false,
    },
    Format {
        media_type: "application/x-ndjson",
        read: ndjson::read,
        quick: |_| 8,
        holds_files: false,
    },
];

/// The declaration of a format.
pub struct Format {
    pub media_type: &'static str,
    /// Reads a body, and hands its messages to the `Sink`.
    ///
    /// # Errors
    /// 413, 400, 415 and 422: see the module of each format.
    pub read: fn(&Body, &Limits, &mut Sink) -> Result<Extras, Problem>,
    /// The size in kilobytes up to which this body is read within a millisecond, the longest time that the event loop can wait.
    quick: fn(&[u8]) -> usize,
    /// Whether a body may hold files besides the message.
    pub holds_files: bool,
}

impl Format {
    /// The format of a media type, in any case.
    pub fn named(media_type: &[u8]) -> Option<&'static Format> {
        FORMATS
            .iter()
            .find(|format| media_type.eq_ignore_ascii_case(format.media_type.as_bytes()))
    }

    /// Whether a body may take longer to read than the event loop can wait.
    pub fn is_slow(&self, body: &[u8]) -> bool {
        body.len() > 8 * 1024 && body.len() > (self.quick)(body) * 1024
    }
}

/// The media types of the formats, as a header lists them.
pub fn media_types() -> String {
    FORMATS
        .each_ref()
        .map(|format| format.media_type)
        .join(", ")
}
