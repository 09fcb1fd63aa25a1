//! Files: they are uploaded in the sender's name (XEP-0363), and messages link to them.

use std::ops::Range;

use crate::http::media_type::is_media_type;
use crate::http::memory::Share;
use crate::http::parameters::parameters;
use crate::http::percent;
use crate::http::problem::Problem;
use crate::message::text::is_xml;

/// A file to be uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// A name without a folder, in characters that XML can carry, of at most 200 bytes.
    pub name: String,
    /// Type and subtype.
    pub media_type: String,
    pub content: Content,
}

/// The content of a file: at least one byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes of the request's body as received.
    InBody(Range<usize>),
    /// Bytes from a decoded body.
    Unpacked(Vec<u8>),
}

/// The longest name, in bytes.
const LONGEST_NAME: usize = 200;

impl File {
    /// `name` and `media_type` are the client's, if it sent them.
    pub fn new(name: Option<&str>, media_type: Option<&[u8]>, content: Content) -> File {
        let media_type = media_type.filter(|name| is_media_type(name));
        let media_type = media_type.unwrap_or(b"application/octet-stream");
        let media_type = String::from_utf8_lossy(media_type).to_ascii_lowercase();
        File {
            name: legal_name(name.unwrap_or_default(), &media_type),
            media_type,
            content,
        }
    }

    /// Copies the content out of a decoded body. Returns the bytes of memory that this takes.
    ///
    /// # Errors
    /// 413 or 503 if there is not enough memory.
    pub fn unpack(&mut self, body: &[u8], memory: &Share) -> Result<usize, Problem> {
        let Content::InBody(range) = &self.content else {
            return Ok(0);
        };
        let bytes = body.get(range.clone()).unwrap_or_default();
        memory.take(bytes.len())?;
        self.content = Content::Unpacked(bytes.to_vec());
        Ok(bytes.len())
    }
}

/// The name after the last folder. If nothing is left, it is `file` with an ending that suits the media type.
fn legal_name(name: &str, media_type: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let legal = |c: &char| !c.is_control() && is_xml(*c);
    let name: String = name.chars().filter(legal).collect();
    let name = name.trim();
    if name.trim_matches('.').is_empty() {
        let ending = match media_type {
            "image/jpeg" => "jpg",
            "image/svg+xml" => "svg",
            "text/html" => "html",
            media_type => match media_type.split_once('/') {
                Some((_, ending @ ("png" | "gif" | "webp" | "avif" | "pdf" | "zip" | "mp4"))) => {
                    ending
                }
                _ => return "file".to_owned(),
            },
        };
        return format!("file.{ending}");
    }
    // The ending is kept.
    let ending = name.rfind('.').filter(|at| name.len() - at <= 20);
    let (stem, ending) = name.split_at(ending.unwrap_or(name.len()));
    let room = LONGEST_NAME - ending.len().min(LONGEST_NAME);
    let end = (0..=stem.len().min(room)).rfind(|&at| stem.is_char_boundary(at));
    format!("{}{ending}", &stem[..end.unwrap_or_default()])
}

/// The file name in `Content-Disposition` (RFC 6266, section 4.3).
pub fn name_in(disposition: &[u8]) -> Option<String> {
    let (mut plain, mut extended) = (None, None);
    for (key, value) in parameters(disposition).1.flatten() {
        if key.eq_ignore_ascii_case(b"filename") {
            plain = plain.or(Some(String::from_utf8_lossy(&value).into_owned()));
        } else if key.eq_ignore_ascii_case(b"filename*") {
            extended = extended.or_else(|| decode_extended(&value));
        }
    }
    extended.or(plain)
}

/// Decodes an extended value (RFC 8187, section 3.2.1): `UTF-8'language'percent-encoded`. ISO-8859-1 is understood too (RFC 5987).
fn decode_extended(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |&byte| byte == b'\'');
    let (charset, _, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = percent::decode(encoded).ok()?;
    if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        return Some(bytes.into_iter().map(char::from).collect());
    }
    let is_utf8 = charset.eq_ignore_ascii_case(b"utf-8");
    String::from_utf8(bytes).ok().filter(|_| is_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str, media_type: &str) -> String {
        legal_name(name, media_type)
    }

    #[test]
    fn a_name_has_no_folder_and_only_characters_that_xml_can_carry() {
        for (given, legal) in [
            ("graph.png", "graph.png"),
            ("/etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("a\u{0}b\n\u{fffe}c.txt", "abc.txt"),
            (" Ü 1.pdf ", "Ü 1.pdf"),
        ] {
            assert_eq!(name(given, "image/png"), legal);
        }
    }

    #[test]
    fn a_file_without_a_name_is_named_by_its_media_type() {
        for given in ["", "..", "/", "a/", "\u{1}"] {
            assert_eq!(name(given, "image/jpeg"), "file.jpg");
            assert_eq!(name(given, "application/pdf"), "file.pdf");
            assert_eq!(name(given, "application/x-unknown"), "file");
        }
    }

    #[test]
    fn a_long_name_is_cut_before_its_ending() {
        for given in [
            format!("{}.png", "ü".repeat(300)),
            "x".repeat(300),
            format!("a.{}", "y".repeat(300)),
        ] {
            let cut = name(&given, "image/png");
            assert!(cut.len() <= LONGEST_NAME && cut.len() > 190, "{cut}");
            assert_eq!(cut.ends_with(".png"), given.ends_with(".png"));
        }
    }

    #[test]
    fn the_extended_name_has_precedence() {
        for (disposition, expected) in [
            ("attachment; filename=a.png", Some("a.png")),
            (
                "attachment; filename=\"a \\\"b\\\".png\"",
                Some("a \"b\".png"),
            ),
            (
                "attachment; filename=a.png; FileName*=utf-8'de'%C3%9C.png",
                Some("Ü.png"),
            ),
            (
                "attachment; filename*=latin1''%DC.png; filename=b",
                Some("b"),
            ),
            ("attachment; filename*=utf-8''%zz; filename=b", Some("b")),
            (
                "attachment; filename*=ISO-8859-1'en'%DC%20%80.png; filename=b",
                Some("\u{dc} \u{80}.png"),
            ),
            ("attachment; filename = \"a b.png\"", Some("a b.png")),
            ("attachment ;\tfilename\t= a.png ; x=y", Some("a.png")),
            (
                "attachment; filename* = UTF-8''%C3%9C.png",
                Some("\u{dc}.png"),
            ),
            ("form-data; name=\"file\"", None),
            ("", None),
        ] {
            assert_eq!(name_in(disposition.as_bytes()).as_deref(), expected);
        }
    }

    #[test]
    fn a_malformed_media_type_becomes_application_octet_stream() {
        let file = |media_type: &[u8]| File::new(None, Some(media_type), Content::InBody(0..1));
        assert_eq!(file(b"Image/PNG").media_type, "image/png");
        for media_type in [&b"image"[..], b"", b"a/b/c", b"a b/c", b"\xff/x"] {
            assert_eq!(file(media_type).media_type, "application/octet-stream");
        }
    }
}
