//! `application/json` → drafts.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::body::{Body, Extras, Sink};
use super::name::Name;
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
        ..Reading::of(limits, body.memory)
    };
    match parse(&text, 1, Expected::Messages(&reading))? {
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

/// Reads one object from a line of NDJSON.
pub(super) fn read_line(
    text: &str,
    line: usize,
    limits: &Limits,
    memory: &Share,
) -> Result<Draft, Problem> {
    let reading = Reading::of(limits, memory);
    Ok(draft_of(parse(text, line, Expected::Message(&reading))?))
}

/// The state of reading a text.
struct Reading<'a> {
    limits: &'a Limits,
    memory: &'a Share,
    /// Takes the messages of an array. It is absent for NDJSON, where a line is one message.
    take: RefCell<Option<&'a mut Sink<'a>>>,
    /// The number of messages that `take` has received. If the text is read again, they are skipped.
    handed_on: Cell<usize>,
    /// The problem that has stopped the reading.
    fault: RefCell<Option<Problem>>,
}

impl<'a> Reading<'a> {
    fn of(limits: &'a Limits, memory: &'a Share) -> Reading<'a> {
        Reading {
            limits,
            memory,
            take: RefCell::new(None),
            handed_on: Cell::new(0),
            fault: RefCell::new(None),
        }
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

/// `line` is the number of the text's first line.
fn parse(text: &str, line: usize, expected: Expected) -> Result<Value, Problem> {
    let error = match parse_once(text, expected) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let stop_error = || match expected {
        Expected::Messages(reading) | Expected::Message(reading) => reading.fault.take(),
        _ => None,
    };
    if let Some(problem) = stop_error() {
        return Err(problem);
    }
    // serde_json does not read numbers beyond a double. They are valid JSON, and no field takes their value.
    if error.is_syntax() && error.to_string().starts_with("number out of range") {
        if let Ok(value) = parse_once(&without_numbers(text), expected) {
            return Ok(value);
        }
        if let Some(problem) = stop_error() {
            return Err(problem);
        }
    }
    Err(not_json(text, line, &error))
}

/// 400: the text is not JSON. `line` is the number of its first line.
pub(super) fn not_json(text: &str, line: usize, error: &serde_json::Error) -> Problem {
    let detail = error.to_string();
    let detail = detail.split(" at line ").next().unwrap_or_default();
    malformed(text, line, place_of(text, error), detail)
}

fn parse_once(text: &str, expected: Expected) -> serde_json::Result<Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = expected.deserialize(&mut json)?;
    json.end().map(|()| value)
}

/// The same text with a 0 for each number. Everything else keeps its place.
fn without_numbers(text: &str) -> String {
    let (mut in_string, mut escaped, mut in_number) = (false, false, false);
    text.chars()
        .map(|c| {
            if in_string {
                in_string = escaped || c != '"';
                escaped = !escaped && c == '\\';
                return c;
            }
            let was_in_number = in_number;
            in_number =
                c.is_ascii_digit() || was_in_number && matches!(c, '.' | 'e' | 'E' | '+' | '-');
            in_string = c == '"';
            match (in_number, was_in_number) {
                (true, false) => '0',
                (true, true) => ' ',
                (false, _) => c,
            }
        })
        .collect()
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
enum Expected<'a> {
    Nothing,
    String,
    Recipients(&'a Reading<'a>),
    Message(&'a Reading<'a>),
    Messages(&'a Reading<'a>),
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

impl<'de> DeserializeSeed<'de> for Expected<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        // Ignored values must be valid JSON too, and `IgnoredAny` does not check everything.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Expected<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other("a boolean"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other("a number"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(match self {
            Expected::String | Expected::Recipients(_) => Value::String(text.to_owned()),
            _ => Value::Other("a string"),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        match self {
            Expected::Recipients(reading) => recipients(items, reading),
            Expected::Messages(reading) => messages(items, reading),
            _ => {
                while items.next_element_seed(Expected::Nothing)?.is_some() {}
                Ok(Value::Other("an array"))
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        match self {
            Expected::Message(reading) | Expected::Messages(reading) => {
                Ok(Value::Message(message(members, reading)?))
            }
            _ => {
                while members.next_key::<Name>()?.is_some() {
                    members.next_value_seed(Expected::Nothing)?;
                }
                Ok(Value::Other("an object"))
            }
        }
    }
}

fn recipients<'de, A: SeqAccess<'de>>(mut items: A, reading: &Reading) -> Result<Value, A::Error> {
    let mut recipients = Recipients::default();
    while let Some(value) = items.next_element_seed(Expected::String)? {
        match value {
            Value::String(string) => recipients.add(string, reading.limits),
            other => {
                while items.next_element_seed(Expected::Nothing)?.is_some() {}
                return Ok(Value::Mixed(other.kind()));
            }
        }
    }
    Ok(Value::Recipients(recipients))
}

fn messages<'a, 'de, A: SeqAccess<'de>>(
    mut items: A,
    reading: &'a Reading<'a>,
) -> Result<Value, A::Error> {
    let limits = reading.limits;
    let (mut count, mut spellings) = (0, 0);
    while let Some(value) = items.next_element_seed(Expected::Message(reading))? {
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

fn message<'a, 'de, A: MapAccess<'de>>(
    mut members: A,
    reading: &'a Reading<'a>,
) -> Result<Box<Draft>, A::Error> {
    let mut draft = Box::new(Draft {
        read_as: "JSON",
        ..Draft::default()
    });
    let mut seen = HashSet::new();
    let mut taken = 0;
    while let Some(Name(name)) = members.next_key()? {
        let field = Field::named(&name);
        let value = members.next_value_seed(match field {
            Some(Field::To) => Expected::Recipients(reading),
            Some(_) => Expected::String,
            None => Expected::Nothing,
        })?;
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
