//! What was wrong with a request: the status, the field, the place.

use std::borrow::Cow;

/// Where in the request something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Counted from 0: bytes of the request's body in a 400, characters of the field in a 422.
    Offset(usize),
    /// Both counted from 1, the column in characters.
    Line { line: usize, column: usize },
}

/// A reason to refuse a request, or the failure of a message.
///
/// It is a value: made where the fault is found, and told in one place, by [`super::answer`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// The HTTP status code (RFC 9110, section 15).
    pub status: u16,
    /// One line: what is wrong, and what would be right.
    pub detail: String,
    /// The name of the field that is wrong.
    pub field: Option<Cow<'static, str>>,
    pub place: Option<Place>,
    /// The stanza error's defined condition (RFC 6120, section 8.3.3).
    pub condition: Option<String>,
}

impl Problem {
    pub fn new(status: u16, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            detail: detail.into(),
            field: None,
            place: None,
            condition: None,
        }
    }

    /// 400: the bytes cannot be read as what they claim to be.
    pub fn syntax(detail: impl Into<String>) -> Problem {
        Problem::new(400, detail)
    }

    /// 413: larger than a limit allows.
    pub fn too_large(detail: impl Into<String>) -> Problem {
        Problem::new(413, detail)
    }

    /// 415: a media type, charset or content coding that is not supported.
    pub fn unsupported(detail: impl Into<String>) -> Problem {
        Problem::new(415, detail)
    }

    /// 422: readable, but not a message that can be sent.
    pub fn meaning(detail: impl Into<String>) -> Problem {
        Problem::new(422, detail)
    }

    pub fn field(mut self, name: impl Into<Cow<'static, str>>) -> Problem {
        self.field = Some(name.into());
        self
    }

    /// Counted from 0; see [`Place::Offset`] for the unit.
    pub fn offset(mut self, offset: usize) -> Problem {
        self.place = Some(Place::Offset(offset));
        self
    }

    /// Both counted from 1.
    pub fn line(mut self, line: usize, column: usize) -> Problem {
        self.place = Some(Place::Line { line, column });
        self
    }

    /// Names the message of an array or NDJSON body that is meant; `index` counts from 0.
    pub fn of_message(mut self, index: usize) -> Problem {
        self.detail = format!("message {}: {}", index + 1, self.detail);
        self
    }
}

/// Controls, separators of lines and direction marks: a terminal or a log obeys them instead of showing them. The same set as in
/// `display.lib.lua`.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        || c.is_control()
}

/// A value as an answer repeats it: on one line, and not at length.
/// A value as an answer repeats it, in quotes.
pub fn quote(value: &str) -> String {
    format!("\"{}\"", shortened(value))
}

/// A value on one line, and not at length.
pub fn shortened(value: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = value
        .chars()
        .take(SHOWN)
        .map(|c| match c {
            // What was sent never comes back as markup.
            '<' | '>' => '\u{FFFD}',
            c if is_invisible(c) => '\u{FFFD}',
            c => c,
        })
        .collect();
    if value.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The first names of several, as an answer repeats them; `None` where there are none.
pub fn names<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Option<String> {
    const SHOWN: usize = 10;
    let mut names = names.into_iter();
    let mut shown: Vec<String> = names
        .by_ref()
        .take(SHOWN)
        .map(|name| quote(name.as_ref()))
        .collect();
    if names.next().is_some() {
        shown.push("…".to_owned());
    }
    (!shown.is_empty()).then(|| shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_short_and_no_markup() {
        assert_eq!(quote("a\n<b>"), "\"a\u{FFFD}\u{FFFD}b\u{FFFD}\"");
        assert_eq!(
            quote("a\u{202E}\u{9B}\u{2066}b"),
            "\"a\u{FFFD}\u{FFFD}\u{FFFD}b\""
        );
        assert_eq!(quote(&"ü".repeat(60)), format!("\"{}\"", "ü".repeat(60)));
        assert_eq!(quote(&"ü".repeat(61)), format!("\"{}…\"", "ü".repeat(60)));
    }
}
