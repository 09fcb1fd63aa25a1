//! `application/json` → drafts.

use std::collections::HashSet;
use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};

use super::body::{Body, Drafts};
use super::name::Name;
use crate::http::charset;
use crate::http::problem::Problem;
use crate::message::draft::{Draft, Recipients};
use crate::message::field::{self, FIELDS, Takes};
use crate::message::limits::Limits;

/// Reads one object with the fields of a message, or an array of such objects (RFC 8259), at most
/// `limits.batch` of them.
///
/// # Errors
///
/// 400 with line and column for what is not JSON, lone surrogates and nesting deeper than 127 among
/// it. 422 for anything but an
/// object or an array, for an empty array and for one that is too long.
pub fn read(body: &Body, limits: &Limits) -> Result<Drafts, Problem> {
    let text = charset::decode(body.charset, body.bytes)?;
    match parse(&text, 1, Want::Messages(limits))? {
        Value::Message(draft) => Ok(Drafts::from(*draft)),
        Value::Messages(drafts) if drafts.is_empty() => Err(Problem::meaning(
            "the array is empty; an object with the fields of a message is needed in it",
        )),
        Value::Messages(drafts) => Ok(Drafts {
            drafts,
            many: true,
            answer: None,
            files: Vec::new(),
        }),
        other => Err(Problem::meaning(format!(
            "the JSON is {}; an object with the fields of a message, or an array of such objects, is needed",
            other.kind()
        ))),
    }
}

/// Reads one object on a line of its own.
pub(super) fn read_line(text: &str, line: usize, limits: &Limits) -> Result<Draft, Problem> {
    Ok(draft_of(parse(text, line, Want::Message(limits))?))
}

/// Reads whatever another program posts.
///
/// # Errors
/// 400 with line and column, as above, and for a number beyond a double.
pub(super) fn read_any<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| not_json(text, 1, &error))
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
fn parse(text: &str, line: usize, want: Want) -> Result<Value, Problem> {
    let error = match parse_once(text, want) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    // serde_json reads no number beyond a double. It is a number all the same, and no field takes one.
    if error.is_syntax() && error.to_string().starts_with("number out of range") {
        if let Ok(value) = parse_once(&without_numbers(text), want) {
            return Ok(value);
        }
    }
    Err(match want {
        // The one error that is not about syntax is made by the visitor, to stop.
        Want::Messages(limits) if error.is_data() => limits.too_many_messages(),
        _ => not_json(text, line, &error),
    })
}

/// 400: where the text is no JSON. `line` is the number of its first line.
fn not_json(text: &str, line: usize, error: &serde_json::Error) -> Problem {
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    malformed(text, line, place_of(text, error), what)
}

fn parse_once(text: &str, want: Want) -> serde_json::Result<Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = want.deserialize(&mut json)?;
    json.end().map(|()| value)
}

/// The same text with a 0 for each number; whatever stands elsewhere stays where it is.
fn without_numbers(text: &str) -> String {
    let (mut in_string, mut escaped, mut in_number) = (false, false, false);
    text.chars()
        .map(|c| {
            if in_string {
                in_string = escaped || c != '"';
                escaped = !escaped && c == '\\';
                return c;
            }
            let begun = in_number;
            in_number = c.is_ascii_digit() || begun && matches!(c, '.' | 'e' | 'E' | '+' | '-');
            in_string = c == '"';
            match (in_number, begun) {
                (true, false) => '0',
                (true, true) => ' ',
                (false, _) => c,
            }
        })
        .collect()
}

/// The offset of an error. serde_json tells the line, and how many of its bytes it has read.
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

fn malformed(text: &str, first_line: usize, offset: usize, what: &str) -> Problem {
    let before = text.get(..offset).unwrap_or(text);
    let line = first_line + before.matches('\n').count();
    let behind_line_end = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before[behind_line_end..].chars().count() + 1;
    Problem::syntax(format!(
        "malformed JSON at line {line}, column {column}: {what}"
    ))
    .line(line, column)
}

/// What a place in the JSON is read for.
#[derive(Clone, Copy)]
enum Want<'a> {
    Nothing,
    String,
    Recipients(&'a Limits),
    Message(&'a Limits),
    Messages(&'a Limits),
}

/// What stands there.
enum Value {
    Null,
    String(String),
    Recipients(Recipients),
    /// An array that holds something else than strings, and what.
    Mixed(&'static str),
    Message(Box<Draft>),
    Messages(Vec<Draft>),
    /// Not what was wanted: its type.
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

impl<'de> DeserializeSeed<'de> for Want<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        // Also what is of no interest must be JSON, which `IgnoredAny` does not look at that closely.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Want<'_> {
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
            Want::String | Want::Recipients(_) => Value::String(text.to_owned()),
            _ => Value::Other("a string"),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        match self {
            Want::Recipients(limits) => recipients(items, limits),
            Want::Messages(limits) => messages(items, limits),
            _ => {
                while items.next_element_seed(Want::Nothing)?.is_some() {}
                Ok(Value::Other("an array"))
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        match self {
            Want::Message(limits) | Want::Messages(limits) => {
                Ok(Value::Message(message(members, limits)?))
            }
            _ => {
                while members.next_key::<Name>()?.is_some() {
                    members.next_value_seed(Want::Nothing)?;
                }
                Ok(Value::Other("an object"))
            }
        }
    }
}

fn recipients<'de, A: SeqAccess<'de>>(mut items: A, limits: &Limits) -> Result<Value, A::Error> {
    let mut recipients = Recipients::default();
    while let Some(value) = items.next_element_seed(Want::String)? {
        match value {
            Value::String(string) => recipients.add(string, limits),
            other => {
                while items.next_element_seed(Want::Nothing)?.is_some() {}
                return Ok(Value::Mixed(other.kind()));
            }
        }
    }
    Ok(Value::Recipients(recipients))
}

/// # Errors
/// Of its own only one: that there are too many.
fn messages<'de, A: SeqAccess<'de>>(mut items: A, limits: &Limits) -> Result<Value, A::Error> {
    let mut drafts = Vec::new();
    let mut spellings = 0;
    while let Some(value) = items.next_element_seed(Want::Message(limits))? {
        let draft = draft_of(value);
        spellings += draft.to.as_ref().map_or(0, Recipients::count);
        if drafts.len() == limits.batch || spellings > limits.batch_spellings() {
            return Err(A::Error::custom("too many messages"));
        }
        drafts.push(draft);
    }
    Ok(Value::Messages(drafts))
}

fn message<'de, A: MapAccess<'de>>(
    mut members: A,
    limits: &Limits,
) -> Result<Box<Draft>, A::Error> {
    let mut draft = Box::new(Draft {
        read_as: "JSON",
        ..Draft::default()
    });
    let mut seen = HashSet::new();
    while let Some(Name(name)) = members.next_key()? {
        let field = field::named(&name);
        let value = members.next_value_seed(match field.map(|field| &FIELDS[field].takes) {
            Some(Takes::Addresses) => Want::Recipients(limits),
            Some(_) => Want::String,
            None => Want::Nothing,
        })?;
        if seen.contains(&name) {
            draft.note(
                Problem::meaning(format!(
                    "a key of the object is given twice, and may be given once: `{name}`"
                ))
                .field(name.into_owned()),
            );
            continue;
        }
        match field {
            Some(field) => store(&mut draft, field, value, limits),
            None => draft.add_unknown(&name),
        }
        seen.insert(name);
    }
    Ok(draft)
}

/// Puts a value where it belongs, or notes that the field does not have such values.
fn store(draft: &mut Draft, field: usize, value: Value, limits: &Limits) {
    let (name, takes) = (FIELDS[field].name, &FIELDS[field].takes);
    let (what, needed) = match (takes, value) {
        (_, Value::Null) => return,
        (_, Value::String(text)) => return draft.add(field, text, limits),
        (_, Value::Recipients(recipients)) => return draft.to = Some(recipients),
        (Takes::Addresses, Value::Mixed(kind)) => {
            (format!("holds {kind}"), "a string or an array of strings")
        }
        (Takes::Addresses, other) => (
            format!("is {}", other.kind()),
            "a string or an array of strings",
        ),
        (_, other) => (format!("is {}", other.kind()), "a string"),
    };
    draft.note(Problem::meaning(format!("`{name}` {what}; {needed} is needed")).field(name));
}

#[cfg(test)]
mod tests;
