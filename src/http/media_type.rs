//! `Content-Type`: the media type of a body, and its parameters.
//!
//! The `mediatype` crate, which reads `Accept` here, does not suit: it refuses parameters that clients do send, such as
//! `boundary===17===` without quotes, empty parameters, and bytes that are not UTF-8.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

use super::charset;
use super::parameters::{Parameters, is_token, parameters};
use super::problem::Problem;

/// Whether it has the form `type/subtype` (RFC 9110, section 8.3.1).
pub fn is_media_type(essence: &[u8]) -> bool {
    let slash = essence.iter().position(|&byte| byte == b'/');
    slash.is_some_and(|at| {
        let (kind, subtype) = (&essence[..at], &essence[at + 1..]);
        [kind, subtype]
            .iter()
            .all(|name| !name.is_empty() && name.iter().copied().all(is_token))
    })
}

/// What Content-Type means, to compare two requests: the essence and the parameters, unquoted and without the boundary; and the
/// boundary, if it is `multipart`.
pub fn without_boundary(content_type: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let media_type = MediaType::of(content_type);
    let mut meaning = media_type.essence.to_ascii_lowercase();
    let is_multipart = meaning.starts_with(b"multipart/");
    let mut boundary = None;
    for (name, value) in media_type.rest.flatten() {
        let name = name.to_ascii_lowercase();
        if is_multipart && name == b"boundary" && !value.is_empty() {
            boundary.get_or_insert(value.into_owned());
        } else {
            meaning.extend([b";".as_slice(), &name, b"=", &value].concat());
        }
    }
    (meaning, boundary)
}

/// The value of a Content-Type header (RFC 9110, section 8.3).
pub struct MediaType<'a> {
    /// The type and subtype as written. They may be malformed.
    pub essence: &'a [u8],
    rest: Parameters<'a>,
}

/// The parameters that describe a body.
pub struct BodyParameters<'a> {
    /// The charset that `charset` names.
    pub charset: Option<&'static Encoding>,
    /// The boundary of `multipart`.
    pub boundary: Option<Cow<'a, [u8]>>,
}

impl<'a> MediaType<'a> {
    /// Splits the value of the header. Nothing is checked yet.
    pub fn of(content_type: &'a [u8]) -> MediaType<'a> {
        let (essence, rest) = parameters(content_type);
        MediaType { essence, rest }
    }

    /// # Errors
    ///
    /// 415 for a charset that is unknown, or two that differ; 400 for parameters that are not
    /// well-formed, and for two boundaries that differ.
    pub fn parameters(self) -> Result<BodyParameters<'a>, Problem> {
        let mut parameters = BodyParameters {
            charset: None,
            boundary: None,
        };
        for parameter in self.rest {
            let (name, value) = parameter.map_err(|fault| {
                Problem::syntax(format!("the parameters of Content-Type: {fault}"))
            })?;
            if name.eq_ignore_ascii_case(b"charset") {
                let charset = charset::named(&value)?;
                if parameters
                    .charset
                    .replace(charset)
                    .is_some_and(|other| other != charset)
                {
                    return Err(Problem::unsupported(
                        "Content-Type names two charsets that differ",
                    ));
                }
            } else if name.eq_ignore_ascii_case(b"boundary") {
                if parameters
                    .boundary
                    .as_ref()
                    .is_some_and(|other| *other != value)
                {
                    return Err(Problem::syntax(
                        "Content-Type names two boundaries that differ",
                    ));
                }
                parameters.boundary = Some(value);
            }
        }
        Ok(parameters)
    }

    /// The parameters of a webhook's body. No program corrects its header, so malformed parameters are ignored, and
    /// labels such as Python's `utf-8-sig` mean UTF-8.
    ///
    /// # Errors
    ///
    /// 415 for a charset that is unknown.
    pub fn lenient_parameters(self) -> Result<BodyParameters<'a>, Problem> {
        let mut parameters = BodyParameters {
            charset: None,
            boundary: None,
        };
        for (name, value) in self.rest.flatten() {
            if name.eq_ignore_ascii_case(b"charset") && parameters.charset.is_none() {
                let label = value.trim_ascii().to_ascii_lowercase();
                parameters.charset = Some(match charset::named(&label) {
                    Err(_) if label.starts_with(b"utf-8") || label.starts_with(b"utf8") => UTF_8,
                    named => named?,
                });
            } else if name.eq_ignore_ascii_case(b"boundary") && parameters.boundary.is_none() {
                parameters.boundary = Some(value);
            }
        }
        Ok(parameters)
    }
}
