//! `text/plain` and other texts → draft.

use super::body::{Body, Extras, Sink};
use crate::http::charset;
use crate::http::problem::Problem;
use crate::message::draft::Draft;
use crate::message::field::Field;
use crate::message::limits::Limits;
use crate::template::filter::{html_to_text, markdown_to_text};

/// Reads the text as the `body` of one message, without one line end at its end, which a pipe leaves.
///
/// # Errors
/// 413 if it is larger than any message; 400 for bytes that are not valid in the charset.
pub fn read(body: &Body, limits: &Limits, take: &mut Sink) -> Result<Extras, Problem> {
    let mut text = decode(body, limits)?;
    let end = text.strip_suffix('\n').unwrap_or(&text).len();
    let end = text[..end].strip_suffix('\r').map_or(end, str::len);
    text.truncate(end);
    hand_on(text, "text", take)
}

/// Reads Markdown as text in the styling of chat clients (XEP-0393).
///
/// # Errors
/// As [`read`].
pub fn read_markdown(body: &Body, limits: &Limits, take: &mut Sink) -> Result<Extras, Problem> {
    let text = markdown_to_text(&decode(body, limits)?, too_long(limits));
    hand_on(text, "Markdown", take)
}

/// Reads the text of HTML.
///
/// # Errors
/// As [`read`].
pub fn read_html(body: &Body, limits: &Limits, take: &mut Sink) -> Result<Extras, Problem> {
    let text = html_to_text(&decode(body, limits)?, too_long(limits));
    hand_on(text, "HTML", take)
}

/// The length up to which a text is converted: a message with so many bytes is too large.
fn too_long(limits: &Limits) -> usize {
    limits.size + 8
}

fn decode(body: &Body, limits: &Limits) -> Result<String, Problem> {
    // No charset needs more than four bytes for a character that has one byte in UTF-8.
    if body.bytes.len() > limits.size.saturating_mul(4) {
        return Err(limits.too_large());
    }
    Ok(charset::decode(body.charset, body.bytes)?.into_owned())
}

fn hand_on(text: String, read_as: &'static str, take: &mut Sink) -> Result<Extras, Problem> {
    let mut draft = Draft {
        read_as,
        ..Draft::default()
    };
    draft.values[Field::Body] = Some(text).filter(|text| !text.is_empty());
    take(draft)?;
    Ok(Extras::default())
}
