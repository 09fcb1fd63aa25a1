//! What a client wrote: which fields, with which text.

use std::collections::HashSet;

use super::element::escaped_len;
use super::field::{COUNT, FIELDS, Takes};
use super::limits::Limits;
use crate::http::problem::Problem;

/// As many names of unknown fields, and characters of each, are kept; an answer shows one less.
const MOST_UNKNOWN: usize = 11;
const LONGEST_UNKNOWN: usize = 61;

/// One message as the client wrote it. Nothing but the types is checked, and what is wrong with
/// them is only noted: how large the message is comes first.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Absent where the path names the recipient.
    pub to: Option<Recipients>,
    /// The values of the other fields, each in the place that its field has in [`FIELDS`].
    pub values: [Option<String>; COUNT],
    /// How the body was read, where it has names, for the answer to a message without anything to send.
    pub read_as: &'static str,
    /// The names of the first fields that mean nothing here.
    pub unknown: Vec<String>,
    /// To how many files it is to link, which are uploaded when all else is known to be right: with the first goes the
    /// text, and each other one is a message of its own.
    pub files: usize,
    /// 422: the first field that is given twice or is of another type, if any.
    pub fault: Option<Problem>,
}

impl Draft {
    /// Adds a value to the field at this place, as forms do: `to` may be repeated, the others may
    /// not.
    pub fn add(&mut self, field: usize, value: String, limits: &Limits) {
        if matches!(FIELDS[field].takes, Takes::Addresses) {
            self.to.get_or_insert_default().add(value, limits);
        } else if self.values[field].is_none() {
            self.values[field] = Some(value);
        } else {
            let name = FIELDS[field].name;
            self.note(
                Problem::meaning(format!(
                    "`{name}` is given twice; only `to` may be repeated"
                ))
                .field(name),
            );
        }
    }

    /// Notes a field that means nothing here.
    pub fn add_unknown(&mut self, name: &str) {
        if self.unknown.len() < MOST_UNKNOWN {
            self.unknown
                .push(name.chars().take(LONGEST_UNKNOWN).collect());
        }
    }

    /// Notes a fault, unless there was one before.
    pub fn note(&mut self, fault: Problem) {
        self.fault.get_or_insert(fault);
    }

    /// The message that links to a file behind the first one.
    pub fn of_another_file(&self) -> Draft {
        Draft {
            values: std::array::from_fn(|field| {
                let goes_with_all = matches!(FIELDS[field].name, "type" | "thread" | "lang");
                self.values[field].clone().filter(|_| goes_with_all)
            }),
            files: 1,
            ..Draft::default()
        }
    }

    /// Whether the message is larger than it may be, whatever its values mean.
    pub fn is_too_large(&self, limits: &Limits) -> bool {
        let line_ends = |text: &str| memchr::memmem::find_iter(text.as_bytes(), "\r\n").count();
        let mut bytes = 0;
        for (field, value) in FIELDS.iter().zip(&self.values) {
            let Some(value) = value else { continue };
            bytes += match field.takes {
                Takes::Text | Takes::Reference | Takes::AttributeText | Takes::Uri => {
                    escaped_len(value) - line_ends(value)
                }
                // What is dropped of a fragment may be larger than what is kept, but not by that much.
                Takes::Xhtml if value.len() / 4 > limits.size => return true,
                _ => 0,
            };
        }
        bytes > limits.size
    }
}

/// Recipients as written, each spelling once, in the order given.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recipients {
    spellings: Vec<String>,
    /// The same, to be searched: empty as long as there are few.
    known: HashSet<String>,
    too_many: bool,
}

/// So many are searched one by one.
const FEW: usize = 8;

impl Recipients {
    /// Adds a spelling that is new. More than could become addresses within the limit are only
    /// noted: a request may name millions.
    pub fn add(&mut self, spelling: String, limits: &Limits) {
        let is_new = if self.spellings.len() <= FEW {
            !self.spellings.contains(&spelling)
        } else {
            if self.known.is_empty() {
                self.known.extend(self.spellings.iter().cloned());
            }
            !self.known.contains(&spelling)
        };
        if !is_new {
            return;
        }
        if self.spellings.len() >= limits.spellings() {
            self.too_many = true;
            return;
        }
        if !self.known.is_empty() {
            self.known.insert(spelling.clone());
        }
        self.spellings.push(spelling);
    }

    /// How many spellings there are.
    pub fn count(&self) -> usize {
        self.spellings.len()
    }

    /// The spellings.
    ///
    /// # Errors
    /// 422 where there are too many.
    pub fn into_spellings(self, limits: &Limits) -> Result<Vec<String>, Problem> {
        match self.too_many {
            true => Err(limits.too_many_recipients()),
            false => Ok(self.spellings),
        }
    }
}

#[cfg(test)]
impl Draft {
    /// The same without what is noted for an answer alone.
    pub fn known(self) -> Draft {
        Draft {
            read_as: "",
            unknown: Vec::new(),
            ..self
        }
    }

    /// What a client wrote, by the names of the fields.
    pub fn of(fields: &[(&str, &str)]) -> Draft {
        let mut draft = Draft::default();
        for (name, value) in fields {
            let field = super::field::named(name).expect(name);
            draft.add(field, (*value).to_owned(), &super::limits::EXAMPLE);
        }
        draft
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::field::BODY;
    use crate::message::limits::EXAMPLE as LIMITS;

    fn recipients(spellings: impl IntoIterator<Item = String>) -> Result<Vec<String>, u16> {
        let mut recipients = Recipients::default();
        for spelling in spellings {
            recipients.add(spelling, &LIMITS);
        }
        let spellings = recipients.into_spellings(&LIMITS);
        spellings.map_err(|problem| problem.status())
    }

    #[test]
    fn a_spelling_is_kept_once_in_the_order_given() {
        let spelled = |numbers: &[u32]| {
            let spelled = numbers.iter().map(u32::to_string);
            spelled.collect::<Vec<_>>()
        };
        let many = [5, 1, 5, 2, 3, 4, 6, 7, 8, 9, 10, 11, 10, 1, 12, 11];
        let once = [5, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(recipients(spelled(&many)), Ok(spelled(&once)));
        assert_eq!(recipients(spelled(&many.repeat(1000))), Ok(spelled(&once)));
    }

    #[test]
    fn no_more_spellings_are_kept_than_could_be_of_use() {
        assert_eq!(recipients((0..13).map(|n: u32| n.to_string())), Err(422));
        let mut recipients = Recipients::default();
        for number in 0..100_000 {
            recipients.add(number.to_string(), &LIMITS);
        }
        assert_eq!(recipients.count(), LIMITS.spellings());
        assert!(recipients.known.len() <= LIMITS.spellings());
    }

    #[test]
    fn a_text_that_is_too_large_is_known_before_it_is_read() {
        for (text, too_large) in [
            ("x".repeat(LIMITS.size), false),
            ("x".repeat(LIMITS.size + 1), true),
            ("<".repeat(LIMITS.size / 4 + 1), true), // each is &lt;
            ("\r\n".repeat(LIMITS.size), false),     // each is one character
        ] {
            for name in ["body", "subject"] {
                let draft = Draft::of(&[(name, &text)]);
                assert_eq!(draft.is_too_large(&LIMITS), too_large, "{text}");
            }
        }
    }

    #[test]
    fn only_to_may_be_repeated() {
        let mut draft = Draft::of(&[("to", "a"), ("to", "b"), ("body", "x")]);
        assert_eq!(draft.fault, None);
        draft.add(BODY, "y".to_owned(), &LIMITS);
        let fault = draft.fault.expect("a fault");
        assert_eq!(
            (fault.status(), fault.field.as_deref()),
            (422, Some("body"))
        );
    }
}
