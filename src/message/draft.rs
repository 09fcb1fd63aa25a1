//! The fields of a message as the client wrote them.

use std::collections::HashSet;

use super::element::escaped_len;
use super::field::{Field, FieldType, Values};
use super::limits::Limits;
use crate::http::problem::Problem;

/// The maximum number of names of unknown fields that are kept, and of characters of each: one more than an answer shows.
const MOST_UNKNOWN: usize = 11;
const LONGEST_UNKNOWN: usize = 61;

/// One message as the client wrote it. Only the types of the values are checked. A fault is noted, and reported later:
/// the size of the message is checked first.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Absent if the path names the recipient.
    pub to: Option<Recipients>,
    /// The values of the other fields.
    pub values: Values<String>,
    /// How the body was read (`JSON`, `a form`), for the answer if there is nothing to send.
    pub read_as: &'static str,
    /// The names of the first unknown fields.
    pub unknown: Vec<String>,
    /// The number of files that come with the message. They are uploaded once everything else is valid. The first file
    /// has the text; each other file becomes a message of its own.
    pub files: usize,
    /// 422: the first field that is given twice or has the wrong type, if any.
    pub fault: Option<Problem>,
}

impl Draft {
    /// Adds a value to a field, as forms do: `to` may be repeated, the others may not.
    pub fn add(&mut self, field: Field, value: String, limits: &Limits) {
        if field == Field::To {
            self.to.get_or_insert_default().add(value, limits);
        } else if self.values[field].is_none() {
            self.values[field] = Some(value);
        } else {
            let name = field.row().name;
            self.note(
                Problem::meaning(format!(
                    "`{name}` is given twice; only `to` may be repeated"
                ))
                .field(name),
            );
        }
    }

    /// Notes an unknown field.
    pub fn add_unknown(&mut self, name: &str) {
        if self.unknown.len() < MOST_UNKNOWN {
            self.unknown
                .push(name.chars().take(LONGEST_UNKNOWN).collect());
        }
    }

    /// Notes a fault, unless one is noted already.
    pub fn note(&mut self, fault: Problem) {
        self.fault.get_or_insert(fault);
    }

    /// The message for each file after the first.
    pub fn of_another_file(&self) -> Draft {
        let mut draft = Draft {
            files: 1,
            ..Draft::default()
        };
        for (row, value) in self
            .values
            .iter()
            .filter(|(row, _)| row.goes_with_all_files)
        {
            draft.values[row.field] = Some(value.clone());
        }
        draft
    }

    /// Whether the message is certainly too large, before its values are checked.
    pub fn is_too_large(&self, limits: &Limits) -> bool {
        let line_ends = |text: &str| memchr::memmem::find_iter(text.as_bytes(), "\r\n").count();
        let mut bytes = 0;
        for (row, value) in self.values.iter() {
            bytes += match row.field_type {
                FieldType::Text
                | FieldType::Reference
                | FieldType::AttributeText
                | FieldType::Uri => escaped_len(value) - line_ends(value),
                // Most of a fragment may be dropped, but hardly more than three quarters.
                FieldType::Xhtml if value.len() / 4 > limits.size => return true,
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
    /// The same spellings as a set for searching. It is empty while there are few.
    known: HashSet<String>,
    too_many: bool,
}

/// Up to this number, spellings are compared one by one.
const FEW: usize = 8;

impl Recipients {
    /// Adds a spelling, unless it is known. If there are too many for the limit of recipients, this is only noted: a
    /// request may name millions.
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

    /// The number of spellings.
    pub fn count(&self) -> usize {
        self.spellings.len()
    }

    /// The spellings.
    ///
    /// # Errors
    /// 422 if there are too many.
    pub fn into_spellings(self, limits: &Limits) -> Result<Vec<String>, Problem> {
        match self.too_many {
            true => Err(limits.too_many_recipients()),
            false => Ok(self.spellings),
        }
    }
}

#[cfg(test)]
impl Draft {
    /// The same, without the notes that only an answer needs.
    pub fn known(self) -> Draft {
        Draft {
            read_as: "",
            unknown: Vec::new(),
            ..self
        }
    }

    /// A draft of fields by name.
    pub fn of(fields: &[(&str, &str)]) -> Draft {
        let mut draft = Draft::default();
        for (name, value) in fields {
            let field = Field::named(name).expect(name);
            draft.add(field, (*value).to_owned(), &super::limits::EXAMPLE);
        }
        draft
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn the_number_of_spellings_is_bounded() {
        assert_eq!(recipients((0..13).map(|n: u32| n.to_string())), Err(422));
        let mut recipients = Recipients::default();
        for number in 0..100_000 {
            recipients.add(number.to_string(), &LIMITS);
        }
        assert_eq!(recipients.count(), LIMITS.spellings());
        assert!(recipients.known.len() <= LIMITS.spellings());
    }

    #[test]
    fn a_text_that_is_too_large_is_found_before_it_is_checked() {
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
        draft.add(Field::Body, "y".to_owned(), &LIMITS);
        let fault = draft.fault.expect("a fault");
        assert_eq!(
            (fault.status(), fault.field.as_deref()),
            (422, Some("body"))
        );
    }
}
