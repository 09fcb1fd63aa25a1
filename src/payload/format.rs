//! The formats of messages.

use super::body::{Body, Extras, Sink};
use super::{form, json, multipart, ndjson, text};
use crate::http::media_type::is_media_type;
use crate::http::problem::Problem;
use crate::message::limits::Limits;

/// Text, also of media types that are not listed.
pub static TEXT: &Format = &FORMATS[0];

/// Texts that are converted.
static CONVERTED_TEXTS: [Format; 2] = [
    Format {
        media_type: "text/markdown",
        read: text::read_markdown,
        quick: |_| 2,
        holds_files: false,
    },
    Format {
        media_type: "text/html",
        read: text::read_html,
        quick: |_| 2,
        holds_files: false,
    },
];

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
        // It may be JSON.
        quick: |body| quick_json(body).min(16),
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
        quick: quick_json,
        holds_files: false,
    },
    Format {
        media_type: "application/x-ndjson",
        read: ndjson::read,
        quick: |_| 8,
        holds_files: false,
    },
];

/// Many small values take longer than one large value, and XHTML takes longer than text.
fn quick_json(body: &[u8]) -> usize {
    match body.trim_ascii_start() {
        [b'[', ..] => 8,
        body if memchr::memmem::find(body, b"html").is_some() => 16,
        _ => 64,
    }
}

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
    /// The format of a media type, in any case. Every `text/…` is text, unless the body has the name of a file.
    pub fn named(media_type: &[u8], is_file: bool) -> Option<&'static Format> {
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());
        if let Some(format) = FORMATS.iter().find(|format| is(format.media_type)) {
            return Some(format);
        }
        if is("text/json") {
            return Format::named(b"application/json", is_file);
        }
        let is_text = media_type.len() > 5 && media_type[..5].eq_ignore_ascii_case(b"text/");
        if !is_text || is_file || !is_media_type(media_type) {
            return None;
        }
        let mut converted = CONVERTED_TEXTS.iter();
        converted
            .find(|format| is(format.media_type))
            .or(Some(TEXT))
    }

    /// Whether a body may take longer to read than the event loop can wait.
    pub fn is_slow(&self, body: &[u8]) -> bool {
        body.len() > 2 * 1024 && body.len() > (self.quick)(body) * 1024
    }
}

/// The media types of the formats, as a header lists them.
pub fn media_types() -> String {
    FORMATS
        .each_ref()
        .map(|format| format.media_type)
        .join(", ")
}
