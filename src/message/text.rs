//! Text that XML can carry.

use crate::http::problem::Problem;

/// Text that a stanza can carry: characters of XML 1.0 (section 2.2) without CR, as an XML parser returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Checks the text of a field. CR LF and CR become LF (XML 1.0, section 2.11).
    ///
    /// # Errors
    /// 422 with the character and its offset in characters.
    pub fn new(field: &'static str, text: String) -> Result<Text, Problem> {
        let illegal = || text.char_indices().find(|&(_, c)| !is_xml(c));
        if let Some((at, bad)) = Some(&text)
            .filter(|text| is_odd(text))
            .and_then(|_| illegal())
        {
            let offset = text[..at].chars().count();
            return Err(Problem::meaning(format!(
                "`{field}` contains U+{:04X} at character {offset}, which XML cannot carry; leave it out",
                bad as u32
            ))
            .field(field)
            .offset(offset));
        }
        if !text.contains('\r') {
            return Ok(Text(text));
        }
        Ok(Text(unify_line_ends(&text)))
    }

    /// The text, not escaped.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether text may have a character that XML does not allow. This only looks for bytes that most text does not have,
/// because that is fast.
fn is_odd(text: &str) -> bool {
    text.as_bytes().chunks(256).any(|block| {
        // Without a branch for each byte, the compiler can look at many at once.
        let odd = |b: u8| (b < b' ') & (b != b'\n') & (b != b'\t') & (b != b'\r') | (b == 0xEF);
        block.iter().fold(false, |found, &b| found | odd(b))
    })
}

/// Whether XML 1.0 allows the character (section 2.2).
pub fn is_xml(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        c => c >= ' ',
    }
}

/// XML's white space (XML 1.0, section 2.3).
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Line ends as an XML parser returns them: LF (XML 1.0, section 2.11).
pub fn unify_line_ends(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// The text of an attribute: not empty, and without tabs and line ends, which an XML parser would turn into spaces (XML
/// 1.0, section 3.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeText(String);

impl AttributeText {
    /// # Errors
    /// 422 with the character and its offset in characters.
    pub fn new(field: &'static str, text: String) -> Result<AttributeText, Problem> {
        if text.is_empty() {
            let fault = format!("`{field}` is empty; leave it out or give it a value");
            return Err(Problem::meaning(fault).field(field));
        }
        if let Some(offset) = text.chars().position(|c| matches!(c, '\t' | '\n' | '\r')) {
            return Err(Problem::meaning(format!(
                "`{field}` contains a tab or line end at character {offset}; it may hold neither"
            ))
            .field(field)
            .offset(offset));
        }
        Ok(AttributeText(Text::new(field, text)?.0))
    }

    /// An id that nobody can guess (RFC 6120, section 8.1.3): 96 random bits.
    pub fn random() -> AttributeText {
        use base64::Engine;
        let mut bytes = [0; 12];
        // If the system has no random bytes, an id is at least unused.
        if getrandom::fill(&mut bytes).is_err() {
            use std::sync::atomic::{AtomicU64, Ordering};
            static NEXT: AtomicU64 = AtomicU64::new(0);
            bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        }
        AttributeText(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The text, not escaped.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Place;

    #[test]
    fn text_has_only_characters_that_xml_can_carry() {
        for text in [
            "",
            "a\tb\nc",
            "\u{7F}\u{85}\u{D7FF}\u{E000}\u{FFFD}\u{10000}\u{1FFFE}\u{10FFFF}",
        ] {
            assert_eq!(
                Text::new("body", text.to_owned()),
                Ok(Text(text.to_owned()))
            );
        }
        for (text, offset, name) in [
            ("ü🦀\0", 2, "U+0000"),
            ("\u{1B}", 0, "U+001B"),
            ("a\r\n\u{FFFE}\u{1}", 3, "U+FFFE"),
            ("\u{FFFF}", 0, "U+FFFF"),
        ] {
            let problem = Text::new("body", text.to_owned()).expect_err(name);
            assert_eq!(
                problem.facts(),
                (422, Some("body"), Some(Place::Offset(offset))),
                "{problem}"
            );
            assert!(problem.detail.contains(name), "{problem}");
        }
    }

    #[test]
    fn line_ends_of_text_are_lf() {
        let text = Text::new("body", "a\r\nb\rc\n\rd\r\r\n".to_owned());
        assert_eq!(text.as_ref().map(Text::as_str), Ok("a\nb\nc\n\nd\n\n"));
    }

    #[test]
    fn text_of_an_attribute_has_neither_tab_nor_line_end() {
        assert!(AttributeText::new("id", " a'\"<&>ü ".to_owned()).is_ok());
        for text in ["ü\t", "ü\n", "ü\r\n", "ü\u{1}"] {
            let problem = AttributeText::new("id", text.to_owned()).expect_err(text);
            assert_eq!(
                problem.facts(),
                (422, Some("id"), Some(Place::Offset(1))),
                "{problem}"
            );
        }
        assert!(AttributeText::new("id", String::new()).is_err());
    }

    #[test]
    fn generated_ids_are_different() {
        let ids: std::collections::HashSet<_> =
            (0..1000).map(|_| AttributeText::random().0).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| {
            id.len() == 16
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        }));
    }
}
