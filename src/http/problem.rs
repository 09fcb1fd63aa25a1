//! Problems: why a request is refused, or a message has failed.

use std::borrow::Cow;

/// The kind of a problem, in the order of their report: if a request has several problems, the answer has the first kind
/// in this list. The Lua half checks method, framing and credentials before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The server is busy: the same request may succeed in a moment.
    ServiceUnavailable,
    /// The template that the request names is broken, until an administrator repairs it.
    BrokenTemplate,
    /// The upload service does not work.
    BadGateway,
    /// The sender may not send to this recipient.
    Forbidden,
    /// A media type, charset or content coding that is not supported.
    UnsupportedMediaType,
    /// Larger than a limit allows.
    ContentTooLarge,
    /// Syntax: the bytes do not have the format that the headers name.
    BadRequest,
    /// Meaning: readable, but not a message that can be sent.
    UnprocessableContent,
    /// A problem that the Lua half or the recipient's server has found. This half knows only its status code.
    Other(u16),
}

impl ProblemKind {
    /// The status code (RFC 9110, section 15), and for Retry-After the seconds after which the request may succeed.
    const fn row(self) -> (u16, Option<u32>) {
        match self {
            ProblemKind::ServiceUnavailable => (503, Some(1)),
            ProblemKind::BrokenTemplate => (503, None),
            ProblemKind::BadGateway => (502, None),
            ProblemKind::Forbidden => (403, None),
            ProblemKind::UnsupportedMediaType => (415, None),
            ProblemKind::ContentTooLarge => (413, None),
            ProblemKind::BadRequest => (400, None),
            ProblemKind::UnprocessableContent => (422, None),
            ProblemKind::Other(status) => (status, None),
        }
    }
}

/// The place of a fault in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Counted from 0. In a 400, bytes of the request's body; in a 422, characters of the field.
    Offset(usize),
    /// Both counted from 1, the column in characters.
    Line { line: usize, column: usize },
}

/// A reason to refuse a request, or the failure of a message.
///
/// It is a value, made where the fault is found. Only [`super::answer`] writes it into an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// Decides the status.
    pub kind: ProblemKind,
    /// One line that says what is wrong, and how to correct it.
    pub detail: String,
    /// The name of the field that is wrong.
    pub field: Option<Cow<'static, str>>,
    /// The place of the fault, if it is known.
    pub place: Option<Place>,
    /// The stanza error's defined condition (RFC 6120, section 8.3.3).
    pub condition: Option<String>,
}

impl Problem {
    /// A problem with a detail. The other members are empty.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Problem {
        Problem {
            kind,
            detail: detail.into(),
            field: None,
            place: None,
            condition: None,
        }
    }

    /// A problem of [`ProblemKind::BadRequest`].
    pub fn syntax(detail: impl Into<String>) -> Problem {
        Problem::new(ProblemKind::BadRequest, detail)
    }

    /// A problem of [`ProblemKind::ContentTooLarge`].
    pub fn too_large(detail: impl Into<String>) -> Problem {
        Problem::new(ProblemKind::ContentTooLarge, detail)
    }

    /// A problem of [`ProblemKind::UnsupportedMediaType`].
    pub fn unsupported(detail: impl Into<String>) -> Problem {
        Problem::new(ProblemKind::UnsupportedMediaType, detail)
    }

    /// A problem of [`ProblemKind::UnprocessableContent`].
    pub fn meaning(detail: impl Into<String>) -> Problem {
        Problem::new(ProblemKind::UnprocessableContent, detail)
    }

    /// A problem of [`ProblemKind::ServiceUnavailable`].
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(ProblemKind::ServiceUnavailable, detail)
    }

    /// The HTTP status code (RFC 9110, section 15).
    pub fn status(&self) -> u16 {
        self.kind.row().0
    }

    /// The value of Retry-After (RFC 9110, section 10.2.3), in seconds, if the same request may succeed later.
    pub fn retry_after(&self) -> Option<u32> {
        self.kind.row().1
    }

    /// Names the wrong field.
    pub fn field(mut self, name: impl Into<Cow<'static, str>>) -> Problem {
        self.field = Some(name.into());
        self
    }

    /// Sets the place. It counts from 0; see [`Place::Offset`] for the unit.
    pub fn offset(mut self, offset: usize) -> Problem {
        self.place = Some(Place::Offset(offset));
        self
    }

    /// Names the place. Line and column count from 1.
    pub fn line(mut self, line: usize, column: usize) -> Problem {
        self.place = Some(Place::Line { line, column });
        self
    }

    /// Names the message of an array or NDJSON body in the detail. `index` counts from 0.
    pub fn of_message(mut self, index: usize) -> Problem {
        self.detail = format!("message {}: {}", index + 1, self.detail);
        self
    }
}

/// Control characters, line separators and direction marks. A terminal does not show them, but executes them. The same set
/// is in `display.lib.lua`.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        || c.is_control()
}

/// A value from the request in quotes, for a detail: see [`shortened`].
pub fn quote(value: &str) -> String {
    format!("\"{}\"", shortened(value))
}

/// The beginning of a value from the request, on one line, for a detail.
pub fn shortened(value: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = value
        .chars()
        .take(SHOWN)
        .map(|c| if is_invisible(c) { '\u{FFFD}' } else { c })
        .collect();
    if value.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The first few names in quotes, for a detail. `None` if there are no names.
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
impl Problem {
    /// The facts that tests compare.
    pub fn facts(&self) -> (u16, Option<&str>, Option<Place>) {
        (self.status(), self.field.as_deref(), self.place)
    }

    #[track_caller]
    pub fn assert_malformed_at(&self, line: usize, column: usize) {
        let place = Place::Line { line, column };
        assert_eq!(self.facts(), (400, None, Some(place)), "{self}");
        let text = format!("line {line}, column {column}");
        assert!(self.detail.contains(&text), "{self}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_value_is_short_and_on_one_line() {
        assert_eq!(quote("a\n<b>"), "\"a\u{FFFD}<b>\"");
        assert_eq!(
            quote("a\u{202E}\u{9B}\u{2066}b"),
            "\"a\u{FFFD}\u{FFFD}\u{FFFD}b\""
        );
        assert_eq!(quote(&"ü".repeat(60)), format!("\"{}\"", "ü".repeat(60)));
        assert_eq!(quote(&"ü".repeat(61)), format!("\"{}…\"", "ü".repeat(60)));
    }
}
