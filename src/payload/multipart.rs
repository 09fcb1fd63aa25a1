//! `multipart/form-data` → draft.
//!
//! The crates `multer` and `multipart-stream` do not suit: both read an asynchronous stream, and neither reports the
//! byte of a fault.

use std::borrow::Cow;

use encoding_rs::Encoding;
use memchr::memchr;
use memchr::memmem::{self, Finder};

use super::body::{Body, Extras, Sink};
use super::file::{Content, File, name_in};
use crate::http::charset;
use crate::http::parameters::parameters;
use crate::http::problem::{Place, Problem};
use crate::message::draft::Draft;
use crate::message::field::Field;
use crate::message::limits::Limits;

/// Reads the fields of a form in parts (RFC 7578; RFC 2046, section 5.1.1).
///
/// The charset of a part is named by its own `Content-Type`, or else by the form's field `_charset_` (RFC 7578, section
/// 4.6), or else by the request. If a part has a file name and the name of a field, its content is the value of that
/// field; with another name, it is a file. Other parts with unknown names are ignored, whatever they hold.
///
/// # Errors
///
/// 400 with the offset in the body for malformed framing or part headers, for a part without a name, and for bytes that
/// are not valid in the charset. 415 for an unknown charset, and for a field that is itself multipart or has a transfer
/// encoding.
pub fn read(body: &Body, limits: &Limits, take: &mut Sink) -> Result<Extras, Problem> {
    let mut draft = Draft {
        read_as: "multipart/form-data",
        ..Draft::default()
    };
    let mut files = Vec::new();
    let wanted = |name: &str, _| {
        let is_known = Field::is_name(name);
        if !is_known {
            draft.add_unknown(name);
        }
        is_known
    };
    let keep = |part: &Part| {
        part.check_transfer_encoding()?;
        if part.content.bytes.is_empty() {
            // A form in a browser is sent without a name if no file was chosen.
            return match part.has_file_name() {
                true => Err(Problem::meaning("a file is empty").field("file")),
                false => Ok(()),
            };
        }
        // One more than the limit is enough to refuse the form.
        if files.len() <= MOST_FILES {
            files.push(part.file());
        }
        Ok(())
    };
    let parts = read_parts(body, wanted, keep)?;
    for (name, value) in parts {
        if let Some(field) = Field::named(&name) {
            draft.add(field, value, limits);
        }
    }
    if files.len() > MOST_FILES {
        return Err(Problem::meaning(format!(
            "the form has more than {MOST_FILES} files; send them in parts"
        ))
        .field("file"));
    }
    draft.files = files.len();
    take(draft)?;
    Ok(Extras {
        files,
        ..Extras::default()
    })
}

/// The maximum number of files of a form.
const MOST_FILES: usize = 100;

fn is_field(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(Field::is_name)
}

/// The name and the text of each part that is `wanted(name, is_file)`, in order.
///
/// # Errors
/// As [`read`].
pub(super) fn parts(
    body: &Body,
    wanted: impl FnMut(&str, bool) -> bool,
) -> Result<Vec<(String, String)>, Problem> {
    read_parts(body, wanted, |_| Ok(()))
}

/// The same. `on_file` gets each part that has a file name, and not the name of a field.
fn read_parts(
    body: &Body,
    mut wanted: impl FnMut(&str, bool) -> bool,
    mut on_file: impl FnMut(&Part) -> Result<(), Problem>,
) -> Result<Vec<(String, String)>, Problem> {
    let delimiter = [
        b"\r\n--",
        legal_boundary(body.boundary.unwrap_or_default())?,
    ]
    .concat();
    let delimiter = Finder::new(&delimiter);
    let mut charset = body.charset;
    let body = body.bytes;
    let mut fields = Vec::new();

    let mut line = first_line(&delimiter, body).ok_or_else(|| {
        broken(
            0,
            "no line of the body is -- and the boundary that Content-Type names",
        )
    })?;
    while !line.closes {
        // The line end after one delimiter may also be the line end before the next.
        let next = delimiter_line(&delimiter, body, line.end - 2).ok_or_else(|| {
            broken(
                body.len(),
                "the body ends without the closing boundary, which has -- at its end",
            )
        })?;
        let part = Part::read(Piece {
            at: line.end,
            bytes: body.get(line.end..next.start).unwrap_or_default(),
        })?;
        let name = part.name()?;
        if *name == *b"_charset_" {
            charset = charset::named(part.content.bytes.trim_ascii())?;
        } else if part.is_file() && !is_field(&name) {
            on_file(&part)?;
        } else if let Some(name) = std::str::from_utf8(&name)
            .ok()
            .filter(|name| wanted(name, part.is_file()))
        {
            fields.push((name.to_owned(), part.charset()?, part.content));
        }
        line = next;
    }

    let decode = |(name, own, content): (String, Option<_>, Piece)| {
        Ok((name, content.decode(own.unwrap_or(charset))?))
    };
    fields.into_iter().map(decode).collect()
}

/// RFC 2046, section 5.1.1: 1 to 70 `bchars`, without a space at the end.
fn legal_boundary(value: &[u8]) -> Result<&[u8], Problem> {
    let bchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    let fault = match value {
        [] => "multipart/form-data needs a boundary in Content-Type",
        _ if value.len() > 70 => "the boundary in Content-Type is longer than 70 characters",
        [.., b' '] => "the boundary in Content-Type ends in a space",
        _ if !value.iter().all(bchar) => {
            "the boundary in Content-Type holds a character other than letters, digits and '()+_,-./:=? or space"
        }
        _ => return Ok(value),
    };
    Err(Problem::syntax(fault))
}

fn broken(offset: usize, fault: &str) -> Problem {
    Problem::syntax(format!("multipart, at byte {offset}: {fault}")).offset(offset)
}

/// A line that separates parts. The line end before it belongs to it.
struct DelimiterLine {
    start: usize,
    end: usize,
    /// Whether it is the last. Other delimiter lines end in CR LF.
    closes: bool,
}

/// The delimiter line after the preamble.
fn first_line(delimiter: &Finder, body: &[u8]) -> Option<DelimiterLine> {
    let at_once = delimiter.needle().strip_prefix(b"\r\n")?;
    if body.starts_with(at_once) {
        if let Some((end, closes)) = rest_of_line(body, at_once.len()) {
            return Some(DelimiterLine {
                start: 0,
                end,
                closes,
            });
        }
    }
    delimiter_line(delimiter, body, 0)
}

fn delimiter_line(delimiter: &Finder, body: &[u8], from: usize) -> Option<DelimiterLine> {
    delimiter.find_iter(body.get(from..)?).find_map(|found| {
        let start = from + found;
        let (end, closes) = rest_of_line(body, start + delimiter.needle().len())?;
        Some(DelimiterLine { start, end, closes })
    })
}

/// The end of a line after its boundary, and whether it is the closing boundary. `None` if other text than padding
/// follows: then it is a line of text that begins like a boundary.
fn rest_of_line(body: &[u8], at: usize) -> Option<(usize, bool)> {
    let rest = body.get(at..)?;
    let (rest, closes) = match rest.strip_prefix(b"--") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let padding = rest
        .iter()
        .take_while(|&&byte| matches!(byte, b' ' | b'\t'));
    let rest = rest.get(padding.count()..)?;
    let end = match rest {
        [b'\r', b'\n', tail @ ..] => tail,
        [] | [b'\n', ..] if closes => rest,
        _ => return None,
    };
    Some((body.len() - end.len(), closes))
}

/// Bytes of the body, and their offset in it.
#[derive(Clone, Copy)]
struct Piece<'a> {
    at: usize,
    bytes: &'a [u8],
}

impl<'a> Piece<'a> {
    fn split(self, index: usize) -> Option<(Piece<'a>, Piece<'a>)> {
        let (head, tail) = self.bytes.split_at_checked(index)?;
        let at = self.at + index;
        Some((
            Piece {
                bytes: head,
                ..self
            },
            Piece { at, bytes: tail },
        ))
    }

    /// One header with its line end, including folded lines (RFC 5322, section 2.2.3), and the rest.
    fn split_header(self) -> Option<(Piece<'a>, Piece<'a>)> {
        let mut end = 0;
        loop {
            end += memmem::find(self.bytes.get(end..)?, b"\r\n")? + 2;
            let folded = end > 2 && matches!(self.bytes.get(end), Some(b' ' | b'\t'));
            if !folded {
                return self.split(end);
            }
        }
    }

    fn decode(self, charset: &'static Encoding) -> Result<String, Problem> {
        match charset::decode(charset, self.bytes) {
            Ok(text) => Ok(text.into_owned()),
            Err(Problem {
                place: Some(Place::Offset(offset)),
                ..
            }) => Err(charset::undecodable(charset, self.at + offset)),
            Err(problem) => Err(problem),
        }
    }
}

/// The value of a part's header, unfolded.
struct Header<'a> {
    at: usize,
    value: Cow<'a, [u8]>,
}

struct Part<'a> {
    at: usize,
    disposition: Option<Header<'a>>,
    content_type: Option<Header<'a>>,
    transfer_encoding: Option<Header<'a>>,
    content: Piece<'a>,
}

impl<'a> Part<'a> {
    fn read(piece: Piece<'a>) -> Result<Part<'a>, Problem> {
        let mut part = Part {
            at: piece.at,
            disposition: None,
            content_type: None,
            transfer_encoding: None,
            content: piece,
        };
        // A part may end after its headers.
        while !part.content.bytes.is_empty() {
            let (line, tail) = part.content.split_header().ok_or_else(|| {
                broken(
                    part.content.at,
                    "no empty line separates the headers of a part from its content",
                )
            })?;
            part.content = tail;
            if line.bytes == b"\r\n" {
                break;
            }
            part.header(line)?;
        }
        Ok(part)
    }

    fn header(&mut self, line: Piece<'a>) -> Result<(), Problem> {
        let colon = memchr(b':', line.bytes).and_then(|at| line.bytes.split_at_checked(at));
        let (name, value) = match colon {
            Some((name, [_, value @ ..]))
                if !name.is_empty() && name.iter().all(u8::is_ascii_graphic) =>
            {
                (name, value)
            }
            _ => {
                return Err(broken(
                    line.at,
                    "a header of a part, NAME: VALUE, or an empty line is needed",
                ));
            }
        };
        let is = |header: &str| name.eq_ignore_ascii_case(header.as_bytes());
        let place = if is("Content-Disposition") {
            &mut self.disposition
        } else if is("Content-Type") {
            &mut self.content_type
        } else if is("Content-Transfer-Encoding") {
            &mut self.transfer_encoding
        } else {
            return Ok(());
        };
        let value = value.trim_ascii();
        let value = match memmem::find(value, b"\r\n") {
            None => Cow::Borrowed(value),
            Some(_) => value
                .iter()
                .copied()
                .filter(|byte| !b"\r\n".contains(byte))
                .collect(),
        };
        match place.replace(Header { at: line.at, value }) {
            None => Ok(()),
            Some(_) => Err(broken(line.at, "a part has this header twice")),
        }
    }

    /// Whether the part has a file name (RFC 7578, section 4.2).
    fn is_file(&self) -> bool {
        let value = self.disposition.as_ref().map(|header| &*header.value);
        let mut parameters = parameters(value.unwrap_or_default()).1;
        parameters.any(|parameter| {
            parameter.is_ok_and(|(name, _)| {
                name.eq_ignore_ascii_case(b"filename") || name.eq_ignore_ascii_case(b"filename*")
            })
        })
    }

    fn has_file_name(&self) -> bool {
        let value = self.disposition.as_ref().map(|header| &*header.value);
        let name = value.and_then(name_in);
        name.is_some_and(|name| !name.is_empty())
    }

    fn file(&self) -> File {
        let Piece { at, bytes } = self.content;
        let value = |header: &'_ Option<Header<'a>>| {
            let value = header.as_ref().map(|header| header.value.to_vec());
            value.unwrap_or_default()
        };
        let name = name_in(&value(&self.disposition));
        let content_type = value(&self.content_type);
        let essence = parameters(&content_type).0;
        let content = Content::InBody(at..at + bytes.len());
        File::new(name.as_deref(), Some(essence), content)
    }

    /// The name of the field (RFC 7578, section 4.2).
    fn name(&self) -> Result<Cow<'_, [u8]>, Problem> {
        const NEEDED: &str = "Content-Disposition: form-data; name=\"…\" is needed in each part";
        let Some(Header { at, value }) = &self.disposition else {
            return Err(broken(self.at, NEEDED));
        };
        let (kind, parameters) = parameters(value);
        if !kind.eq_ignore_ascii_case(b"form-data") {
            return Err(broken(*at, NEEDED));
        }
        let mut name = None;
        for parameter in parameters {
            match parameter {
                Ok((key, value)) if key.eq_ignore_ascii_case(b"name") => {
                    if name.replace(value).is_some() {
                        return Err(broken(*at, "Content-Disposition has two names"));
                    }
                }
                Ok(_) => {}
                Err(_) if name.is_some() => break,
                Err(fault) => return Err(broken(*at, &format!("Content-Disposition: {fault}"))),
            }
        }
        name.ok_or_else(|| broken(*at, NEEDED))
    }

    /// # Errors
    /// 415 for a transfer encoding (RFC 7578, section 4.7).
    fn check_transfer_encoding(&self) -> Result<(), Problem> {
        let plain = |encoding: &[u8]| {
            ["7bit", "8bit", "binary"]
                .iter()
                .any(|name| encoding.eq_ignore_ascii_case(name.as_bytes()))
        };
        match &self.transfer_encoding {
            Some(header) if !plain(&header.value) => Err(Problem::unsupported(
                "a part has a Content-Transfer-Encoding, which is not supported; send its content unencoded",
            )),
            _ => Ok(()),
        }
    }

    /// The charset in the part's own header (RFC 7578, section 4.5).
    ///
    /// # Errors
    /// 415 for an unknown charset, and for a part that is not the text of a field (RFC 7578, sections 4.3 and 4.7).
    fn charset(&self) -> Result<Option<&'static Encoding>, Problem> {
        self.check_transfer_encoding()?;
        let Some(Header { at, value }) = &self.content_type else {
            return Ok(None);
        };
        let (essence, parameters) = parameters(value);
        if essence.to_ascii_lowercase().starts_with(b"multipart/") {
            return Err(Problem::unsupported(
                "a part is multipart itself, which is not supported; text is needed in it",
            ));
        }
        let mut charset = None;
        for parameter in parameters {
            match parameter {
                Ok((name, label)) if name.eq_ignore_ascii_case(b"charset") => {
                    charset = Some(charset::named(&label)?);
                }
                Ok(_) => {}
                Err(fault) => return Err(broken(*at, &format!("Content-Type: {fault}"))),
            }
        }
        Ok(charset)
    }
}

#[cfg(test)]
mod tests;
