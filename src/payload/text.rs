//! `text/plain` → draft.

use super::body::{Body, Extras, Sink};
use crate::http::charset;
use crate::http::problem::Problem;
use crate::message::draft::Draft;
use crate::message::field::Field;
use crate::message::limits::Limits;

/// Reads the text as the `body` of one message.
///
/// # Errors
/// 413 if it is larger than any message; 400 for bytes that are not valid in the charset.
pub fn read(body: &Body, limits: &Limits, take: &mut Sink) -> Result<Extras, Problem> {
    // No charset needs more than four bytes for a character that has one byte in UTF-8.
    if body.bytes.len() > limits.size.saturating_mul(4) {
        return Err(limits.too_large());
    }
    let mut draft = Draft::default();
    draft.values[Field::Body] = Some(charset::decode(body.charset, body.bytes)?.into_owned());
    take(draft)?;
    Ok(Extras::default())
}
