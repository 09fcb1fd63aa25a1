//! Explanations of the parser's errors, and their places.

use crate::http::problem::shortened;
use crate::message::text::unify_line_ends;

/// The explanation of a parser's error for the client, and the offset to report with it.
pub fn explain(source: &str, offset: usize, error: &roxmltree::Error) -> (usize, String) {
    use roxmltree::Error::*;
    let rest = &source[offset..];
    let at_end =
        || "the end comes inside a tag, a comment or a CDATA section: complete it".to_owned();
    let (offset, detail) = match error {
        UnexpectedCloseTag(open, _, _) if rest.is_empty() => {
            let open = shortened(open);
            (offset, format!("<{open}> is not closed: write </{open}>, or <{open}/> where nothing is in it"))
        }
        UnexpectedCloseTag(open, close, _) => {
            let (open, close) = (shortened(open), shortened(close));
            (offset, format!("</{close}> stands where </{open}> must come first; an empty element is written <{open}/>"))
        }
        UnknownEntityReference(name, _) => {
            let name = shortened(name);
            let right = "write the character itself or its number, such as &#160; for &nbsp;";
            (offset, format!("&{name}; is not known in XML: {right}"))
        }
        MalformedEntityReference(_) => (offset, "a bare & : write &amp;".to_owned()),
        UnknownNamespace(prefix, _) => {
            let prefix = shortened(prefix);
            (offset, format!("the prefix {prefix} is not declared: leave it out, or add xmlns:{prefix}='…'"))
        }
        DuplicatedAttribute(name, _) | DuplicatedNamespace(name, _) => {
            (offset, format!("the attribute {} is given twice: leave one out", shortened(name)))
        }
        InvalidChar(_, b'<', _) | InvalidChar2(_, b'<', _) => (offset, "a bare < inside a tag: write &lt; in a value, and end each tag with >".to_owned()),
        InvalidChar(b'=', _, _) | InvalidChar2("a quote", _, _) => {
            (offset, "an attribute needs a value in quotes: name='value'".to_owned())
        }
        InvalidName(_) => (offset, "a name must stand here; in text, write &lt; for <".to_owned()),
        InvalidCharacterData(_) => (offset, "]]> in text: write ]]&gt;".to_owned()),
        InvalidComment(_) => (offset, "a comment holds -- or ends with -: leave it out".to_owned()),
        UnexpectedDeclaration(_) => (offset, "an XML declaration can only be the very beginning: leave it out".to_owned()),
        UnknownToken(_) if rest.starts_with("<!") => {
            (offset, "document types and other declarations are not allowed: leave <!…> out".to_owned())
        }
        UnexpectedEndOfStream | UnclosedRootNode => (source.len(), at_end()),
 InvalidString(..) if rest.is_empty() => (source.len(), at_end()),
        _ => (offset, "this cannot be read as XML: write &lt; for < and &amp; for & in text, and quotes around values".to_owned()),
    };
    (offset, format!("the XHTML is not well-formed: {detail}"))
}

/// The offset of a place that the parser reports. The parser counts lines by LF.
pub fn offset_of(text: &str, place: roxmltree::TextPos) -> usize {
    let (row, column) = (place.row as usize - 1, place.col as usize - 1);
    let start: usize = text.split_inclusive('\n').take(row).map(str::len).sum();
    let line = &text[start..];
    start
        + line
            .char_indices()
            .nth(column)
            .map_or(line.len(), |(index, _)| index)
}

/// Both from 1, the column in characters.
pub fn line_and_column(source: &str, offset: usize) -> (usize, usize) {
    let prefix = unify_line_ends(&source[..offset]);
    let column = prefix
        .chars()
        .rev()
        .take_while(|char| *char != '\n')
        .count();
    (prefix.matches('\n').count() + 1, column + 1)
}
