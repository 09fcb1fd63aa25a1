//! `application/json` → drafts.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::body::{Body, Extras, Sink};
use super::name::Name;
use super::numbers::{Numbers, is_number, without_numbers};
use crate::http::charset;
use crate::http::memory::Share;
use crate::http::problem::{Problem, shortened};
use crate::message::draft::{Draft, Recipients};
use crate::message::field::Field;
use crate::message::limits::Limits;

/// Reads one object with the fields of a message, or an array of such objects (RFC 8259), at most
/// `limits.batch` of them.
///
/// # Errors
///
/// 400 with line and column for malformed JSON, and for lone surrogates and nesting deeper than 127. 422 unless it is
/// an object or an array, for an empty array, and for one that is too long.
pub fn read(body: &Body, limits: &Limits, take: &mut Sink) -> Result<Extras, Problem> {
    let text = charset::decode(body.charset, body.bytes)?;
    let reading = Reading {
        take: RefCell::new(Some(take)),
        ..Reading::of(&text, 1, limits, body.memory)
    };
    match reading.parse(What::Messages)? {
        Value::Message(draft) => {
            reading.hand_on(*draft)?;
            Ok(Extras::default())
        }
        Value::Messages(0) => Err(Problem::meaning(
            "the array is empty; an object with the fields of a message is needed in it",
        )),
        Value::Messages(_) => Ok(Extras {
            many: true,
            ..Extras::default()
        }),
        other => Err(Problem::meaning(format!(
            "the JSON is {}; an object with the fields of a message, or an array of such objects, is needed",
            other.kind()
        ))),
    }
}

/// Whether a body begins like an object or an array, and is JSON as a whole.
pub(super) fn is_json(body: &Body, limits: &Limits) -> bool {
    let start = body.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    // The mark of UTF-8 or UTF-16, or UTF-16 without one, may stand before a bracket.
    let may_be = start.is_some_and(|byte| b"{[\xEF\xFE\xFF\0".contains(byte));
    may_be
        && charset::decode(body.charset, body.bytes).is_ok_and(|text| {
            text.trim_ascii_start().starts_with(['{', '['])
                && Reading::of(&text, 1, limits, body.memory)
                    .parse(What::Nothing)
                    .is_ok()
        })
}

/// Reads one object from a line of NDJSON.
pub(super) fn read_line(
    text: &str,
    line: usize,
    limits: &Limits,
    memory: &Share,
) -> Result<Draft, Problem> {
    let reading = Reading::of(text, line, limits, memory);
    Ok(draft_of(reading.parse(What::Message)?))
}

/// The state of reading a text.
struct Reading<'a> {
    text: &'a str,
    /// The number of the text's first line.
    line: usize,
    limits: &'a Limits,
    memory: &'a Share,
    /// Takes the messages of an array. It is absent for NDJSON, where a line is one message.
    take: RefCell<Option<&'a mut Sink<'a>>>,
    /// The number of messages that `take` has received. If the text is read again, they are skipped.
    handed_on: Cell<usize>,
    /// The problem that has stopped the reading.
    fault: RefCell<Option<Problem>>,
    /// The numbers of the text, from the next one on, if it is read again.
    numbers: RefCell<Option<Numbers<'a>>>,
    /// Whether the reading has stopped at a number that must be taken as its text, which serde_json has not kept.
    needs_numbers: Cell<bool>,
}

impl<'a> Reading<'a> {
    fn of(text: &'a str, line: usize, limits: &'a Limits, memory: &'a Share) -> Reading<'a> {
        Reading {
            text,
            line,
            limits,
            memory,
            take: RefCell::new(None),
            handed_on: Cell::new(0),
            fault: RefCell::new(None),
            numbers: RefCell::new(None),
            needs_numbers: Cell::new(false),
        }
    }

    fn parse(&self, what: What) -> Result<Value, Problem> {
        let error = match self.parse_once(self.text, what) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if let Some(problem) = self.fault.take() {
            return Err(problem);
        }
        // serde_json does not read numbers beyond a double, and keeps the text of whole numbers only. So it reads the text again, without
        // its numbers.
        let is_beyond = error.is_syntax() && error.to_string().starts_with("number out of range");
        if !is_beyond && !self.needs_numbers.get() {
            return Err(not_json(self.text, self.line, &error));
        }
        self.numbers.replace(Some(Numbers::of(self.text)));
        self.parse_once(&without_numbers(self.text), what)
            .map_err(|error| {
                let fault = self.fault.take();
                fault.unwrap_or_else(|| not_json(self.text, self.line, &error))
            })
    }

    fn parse_once(&self, text: &str, what: What) -> serde_json::Result<Value> {
        let mut json = serde_json::Deserializer::from_str(text);
        let value = self.expect(what).deserialize(&mut json)?;
        json.end().map(|()| value)
    }

    fn expect(&self, what: What) -> Expected<'_, 'a> {
        Expected {
            what,
            reading: self,
        }
    }

    /// The text of the number that is read now, if the text is read again.
    fn number<E: Error>(&self) -> Result<Option<&'a str>, E> {
        let next = self.numbers.borrow_mut().as_mut().and_then(Iterator::next);
        let Some(at) = next else { return Ok(None) };
        let number = &self.text[at.clone()];
        self.stop(if is_number(number) {
            Ok(Some(number))
        } else {
            Err(malformed(self.text, self.line, at.start, "invalid number"))
        })
    }

    fn hand_on(&self, draft: Draft) -> Result<(), Problem> {
        self.handed_on.set(self.handed_on.get() + 1);
        match &mut *self.take.borrow_mut() {
            Some(take) => take(draft),
            None => Ok(()),
        }
    }

    /// Stops the reading if there is a problem.
    fn stop<T, E: Error>(&self, result: Result<T, Problem>) -> Result<T, E> {
        result.map_err(|problem| {
            self.fault.replace(Some(problem));
            E::custom("stopped")
        })
    }
}

fn draft_of(value: Value) -> Draft {
    match value {
        Value::Message(draft) => *draft,
        other => Draft {
            fault: Some(Problem::meaning(format!(
                "{} stands where an object with the fields of a message is needed",
                other.kind()
            ))),
            ..Draft::default()
        },
    }
}

/// 400: the text is not JSON. `line` is the number of its first line.
pub(super) fn not_json(text: &str, line: usize, error: &serde_json::Error) -> Problem {
    let detail = error.to_string();
    let detail = detail.split(" at line ").next().unwrap_or_default();
    malformed(text, line, place_of(text, error), detail)
}

/// The offset of an error. serde_json reports the line, and the number of bytes that it has read of the line.
fn place_of(text: &str, error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return text.len();
    }
    let lines = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1));
    let mut offset = (lines.map(str::len).sum::<usize>() + error.column()).saturating_sub(1);
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

fn malformed(text: &str, first_line: usize, offset: usize, detail: &str) -> Problem {
    let prefix = text.get(..offset).unwrap_or(text);
    let line = first_line + prefix.matches('\n').count();
    let behind_line_end = prefix.rfind('\n').map_or(0, |at| at + 1);
    let column = prefix[behind_line_end..].chars().count() + 1;
    Problem::syntax(format!(
        "malformed JSON at line {line}, column {column}: {detail}"
    ))
    .line(line, column)
}

/// The value that is expected at a place in the JSON.
#[derive(Clone, Copy)]
struct Expected<'r, 'a> {
    what: What,
    reading: &'r Reading<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Nothing,
    /// A string. A number or boolean is taken as its text.
    Text,
    Recipients,
    Message,
    Messages,
}

/// The value that was found.
enum Value {
    Null,
    String(String),
    Recipients(Recipients),
    /// An array with another value than strings, and the type of that value.
    Mixed(&'static str),
    Message(Box<Draft>),
    /// An array of messages that `take` has received, and their number.
    Messages(usize),
    /// A value of another type than expected: its type.
    Other(&'static str),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::String(_) => "a string",
            Value::Recipients(_) | Value::Mixed(_) | Value::Messages(_) => "an array",
            Value::Message(_) => "an object",
            Value::Other(kind) => kind,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Expected<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        // Ignored values must be valid JSON too, and `IgnoredAny` does not check everything.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Expected<'_, '_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(self.text(value.to_string(), "a boolean"))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.number(|| Some(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.number(|| Some(value.to_string()))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Value, E> {
        self.number(|| None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(match self.takes_text() {
            true => Value::String(text.to_owned()),
            false => Value::Other("a string"),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        match self.what {
            What::Recipients => recipients(items, self.reading),
            What::Messages => messages(items, self.reading),
            _ => {
                let nothing = self.reading.expect(What::Nothing);
                while items.next_element_seed(nothing)?.is_some() {}
                Ok(Value::Other("an array"))
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        match self.what {
            What::Message | What::Messages => Ok(Value::Message(message(members, self.reading)?)),
            _ => {
                while members.next_key::<Name>()?.is_some() {
                    members.next_value_seed(self.reading.expect(What::Nothing))?;
                }
                Ok(Value::Other("an object"))
            }
        }
    }
}

impl Expected<'_, '_> {
    fn takes_text(&self) -> bool {
        matches!(self.what, What::Text | What::Recipients)
    }

    fn text(&self, text: String, kind: &'static str) -> Value {
        match self.takes_text() {
            true => Value::String(text),
            false => Value::Other(kind),
        }
    }

    /// A number. `exact` returns its text, if it is known.
    fn number<E: Error>(&self, exact: impl FnOnce() -> Option<String>) -> Result<Value, E> {
        let written = self.reading.number()?;
        if !self.takes_text() {
            return Ok(Value::Other("a number"));
        }
        match written.map(str::to_owned).or_else(exact) {
            Some(text) => Ok(Value::String(text)),
            None => {
                self.reading.needs_numbers.set(true);
                Err(E::custom("stopped"))
            }
        }
    }
}

fn recipients<'de, A: SeqAccess<'de>>(mut items: A, reading: &Reading) -> Result<Value, A::Error> {
    let mut recipients = Recipients::default();
    while let Some(value) = items.next_element_seed(reading.expect(What::Text))? {
        match value {
            Value::String(string) => recipients.add(string, reading.limits),
            other => {
                while items
                    .next_element_seed(reading.expect(What::Nothing))?
                    .is_some()
                {}
                return Ok(Value::Mixed(other.kind()));
            }
        }
    }
    Ok(Value::Recipients(recipients))
}

fn messages<'de, A: SeqAccess<'de>>(mut items: A, reading: &Reading) -> Result<Value, A::Error> {
    let limits = reading.limits;
    let (mut count, mut spellings) = (0, 0);
    while let Some(value) = items.next_element_seed(reading.expect(What::Message))? {
        let draft = draft_of(value);
        spellings += draft.to.as_ref().map_or(0, Recipients::count);
        count += 1;
        if count > limits.batch || spellings > limits.batch_spellings() {
            return reading.stop(Err(limits.too_many_messages()));
        }
        if count > reading.handed_on.get() {
            reading.stop(reading.hand_on(draft))?;
        }
    }
    Ok(Value::Messages(count))
}

/// The bytes of a key in the set of keys, with its share of a table that has doubled.
const SEEN: usize = 64;

fn message<'de, A: MapAccess<'de>>(
    mut members: A,
    reading: &Reading,
) -> Result<Box<Draft>, A::Error> {
    let mut draft = Box::new(Draft {
        read_as: "JSON",
        ..Draft::default()
    });
    let mut seen = HashSet::new();
    let mut taken = 0;
    while let Some(Name(name)) = members.next_key()? {
        let field = Field::named(&name);
        let value = members.next_value_seed(reading.expect(match field {
            Some(Field::To) => What::Recipients,
            Some(_) => What::Text,
            None => What::Nothing,
        }))?;
        if seen.contains(&name) {
            draft.note(
                Problem::meaning(format!(
                    "the key `{}` is given twice in the object; give it once",
                    shortened(&name)
                ))
                .field(shortened(&name)),
            );
            continue;
        }
        match field {
            Some(field) => store(&mut draft, field, value, reading.limits),
            None => draft.add_unknown(&name),
        }
        reading.stop(reading.memory.take(SEEN))?;
        taken += SEEN;
        seen.insert(name);
    }
    reading.memory.give_back(taken);
    Ok(draft)
}

/// Stores a value in its field, or notes that it has the wrong type.
fn store(draft: &mut Draft, field: Field, value: Value, limits: &Limits) {
    let name = field.row().name;
    let (detail, needed) = match (field, value) {
        (_, Value::Null) => return,
        (_, Value::String(text)) => return draft.add(field, text, limits),
        (_, Value::Recipients(recipients)) => return draft.to = Some(recipients),
        (Field::To, Value::Mixed(kind)) => {
            (format!("holds {kind}"), "a string or an array of strings")
        }
        (Field::To, other) => (
            format!("is {}", other.kind()),
            "a string or an array of strings",
        ),
        (_, other) => (format!("is {}", other.kind()), "a string"),
    };
    draft.note(Problem::meaning(format!("`{name}` {detail}; {needed} is needed")).field(name));
}

#[cfg(test)]
mod tests;
