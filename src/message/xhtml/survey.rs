//! Checks before the parser runs: its cost, and faults that it does not notice.

use crate::http::problem::{Problem, shortened};
use crate::message::text::{is_space, is_xml};

/// The deepest nesting of elements in the source. The parser and the functions of this room recurse this deep.
pub const MAX_DEPTH: usize = 100;
/// The maximum number of attributes of an element. The parser compares each with every other.
pub const MAX_ATTRIBUTES: usize = 100;
/// The maximum number of namespaces in scope. The parser copies them for each element that declares one.
pub const MAX_NAMESPACES: usize = 32;
/// The maximum number of elements in the source. For each recipient, each becomes a Lua table.
pub const MAX_ELEMENTS: usize = 2_000;
/// The most `<` and `=` in the source. The parser reserves memory for as many nodes and attributes before it reads
/// them. The allowed elements need fewer.
pub const MAX_MARKUP: usize = 20_000;
/// The maximum number of CDATA sections × bytes of the source: for each section, the parser copies the text before it.
pub const MAX_CDATA_WORK: usize = 1 << 28;

/// Refuses a source for which the parser would need too much memory or time.
pub fn bound(source: &str) -> Result<(), Problem> {
    let markup = source
        .bytes()
        .filter(|byte| matches!(byte, b'<' | b'='))
        .count();
    let cdata = source.matches("<![CDATA[").count();
    let detail = if markup > MAX_MARKUP {
        format!("the XHTML holds too much markup: up to {MAX_MARKUP} `<` and `=` signs are allowed")
    } else if cdata > 1 && cdata.saturating_mul(source.len()) > MAX_CDATA_WORK {
        "the XHTML holds too many CDATA sections: write &lt; and &amp; instead".to_owned()
    } else {
        return Ok(());
    };
    Err(Problem::too_large(detail).field("html"))
}

/// The end of an XML declaration at the very beginning, or 0.
pub fn end_of_declaration(source: &str) -> usize {
    let declared = source
        .strip_prefix("<?xml")
        .is_some_and(|rest| rest.starts_with(is_space));
    let end = source.find("?>").filter(|_| declared);
    end.map_or(0, |end| end + 2)
}

/// Refuses illegal characters, elements that close the wrapper, and too many or too deeply nested elements.
///
/// roxmltree recurses for every level, so the depth must be known before it runs. It also reads references to
/// surrogates as U+FFFD. This check stops at the first markup that is not well-formed: the parser stops there too, and
/// reports why.
pub fn survey(source: &str, start: usize) -> Result<(), (usize, String)> {
    if let Some((offset, char)) = source.char_indices().find(|(_, char)| !is_xml(*char)) {
        return Err((
            offset,
            format!(
                "XML does not allow the character U+{:04X}: leave it out",
                u32::from(char)
            ),
        ));
    }
    // For each open element, the number of namespace declarations in its scope.
    let mut open: Vec<usize> = Vec::new();
    let mut elements = 0;
    let mut at = start;
    while let Some(length) = source[at..].find('<') {
        references(source, at, at + length)?;
        at += length;
        let rest = &source[at..];
        let delimiters = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];
        if let Some((begin, end)) = delimiters.iter().find(|(begin, _)| rest.starts_with(begin)) {
            let Some(length) = rest[begin.len()..].find(end) else {
                return Ok(());
            };
            at += begin.len() + length + end.len();
            continue;
        }
        let Some((tag, attributes)) = tag(rest) else {
            return Ok(());
        };
        references(source, at, at + tag.len())?;
        if tag.starts_with("</") {
            if open.pop().is_none() {
                return Err((
                    at,
                    format!(
                        "{} closes an element that was not opened: leave it out",
                        shortened(tag)
                    ),
                ));
            }
        } else {
            let namespaces = open.last().unwrap_or(&0) + tag.matches("xmlns").count();
            elements += 1;
            let excess = if elements > MAX_ELEMENTS {
                format!("the XHTML has too many elements: {MAX_ELEMENTS} are allowed")
            } else if open.len() >= MAX_DEPTH {
                format!("elements are nested too deep: {MAX_DEPTH} levels are allowed")
            } else if attributes > MAX_ATTRIBUTES {
                format!("an element has too many attributes: {MAX_ATTRIBUTES} are allowed")
            } else if namespaces > MAX_NAMESPACES {
                format!("too many namespaces are declared: {MAX_NAMESPACES} are allowed at a time")
            } else {
                String::new()
            };
            if !excess.is_empty() {
                return Err((at, excess));
            }
            if !tag.ends_with("/>") {
                open.push(namespaces);
            }
        }
        at += tag.len();
    }
    references(source, at, source.len())
}

/// The tag that `text` begins with, and how many attributes it seems to have.
fn tag(text: &str) -> Option<(&str, usize)> {
    let name_start = |char: char| {
        char.is_ascii_alphabetic() || matches!(char, '/' | '_' | ':') || !char.is_ascii()
    };
    if !text[1..].starts_with(name_start) {
        return None;
    }
    let mut quote = None;
    let mut attributes = 0;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match (byte, quote) {
            (b'<', _) => return None,
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, Some(begun)) if begun == byte => quote = None,
            (b'=', None) => attributes += 1,
            (b'>', None) => return Some((&text[..=index], attributes)),
            _ => {}
        }
    }
    None
}

/// Refuses numeric references to characters that XML 1.0 does not allow (section 4.1).
fn references(source: &str, start: usize, end: usize) -> Result<(), (usize, String)> {
    for (index, _) in source[start..end].match_indices("&#") {
        let reference = &source[start + index..end];
        let (radix, rest) = match reference[2..].strip_prefix('x') {
            Some(rest) => (16, rest),
            None => (10, &reference[2..]),
        };
        let length = rest
            .find(|char: char| !char.is_digit(radix))
            .unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(length);
        let char = u32::from_str_radix(digits, radix)
            .ok()
            .and_then(char::from_u32);
        if length > 0 && rest.starts_with(';') && !char.is_some_and(is_xml) {
            let reference = shortened(&reference[..=reference.len() - rest.len()]);
            return Err((
                start + index,
                format!("{reference} is not a character that XML allows: leave it out"),
            ));
        }
    }
    Ok(())
}
