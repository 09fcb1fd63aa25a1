//! `application/json` → drafts.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::Draft;
use super::form::Name;
use crate::problem::Problem;

/// Reads one object with the fields of a message, or an array of such objects (RFC 8259), at most
/// `limit` of them. The flag says that it was an array.
///
/// # Errors
///
/// 400 with line and column for what is not JSON, lone surrogates and nesting deeper than 127 among
/// it. 422 for anything but an object or an array, for an empty array and for one that is too long.
pub fn read(text: &str, limit: usize) -> Result<(Vec<Draft>, bool), Problem> {
    match parse(text, 1, Want::Messages { limit })? {
        Value::Message(draft) => Ok((vec![*draft], false)),
        Value::Messages(drafts) if drafts.is_empty() => Err(Problem::meaning(
            "the array is empty; an object with the fields of a message is needed in it",
        )),
        Value::Messages(drafts) => Ok((drafts, true)),
        other => Err(Problem::meaning(format!(
            "the JSON is {}; an object with the fields of a message, or an array of such objects, is needed",
            other.kind()
        ))),
    }
}

/// Reads one object on a line of its own.
pub(super) fn read_line(text: &str, line: usize) -> Result<Draft, Problem> {
    Ok(draft_of(parse(text, line, Want::Message)?))
}

/// 422: more messages than a request may hold.
pub(super) fn too_many(limit: usize) -> Problem {
    Problem::meaning(format!(
        "more than {limit} messages in one request; {limit} is the most (post_msg_batch_limit)"
    ))
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
    let mut json = serde_json::Deserializer::from_str(text);
    want.deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value))
        .map_err(|error| match want {
            // The one error that is not about syntax is made by the visitor, to stop.
            Want::Messages { limit } if error.is_data() => too_many(limit),
            _ => malformed(text, line, &error),
        })
}

/// 400: where the text is no JSON. serde_json tells the line, and how many of its bytes it has read.
fn malformed(text: &str, first_line: usize, error: &serde_json::Error) -> Problem {
    let mut offset = if error.is_eof() {
        text.len()
    } else {
        let lines = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1));
        (lines.map(str::len).sum::<usize>() + error.column()).saturating_sub(1)
    };
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = text.get(..offset).unwrap_or(text);
    let line = first_line + before.matches('\n').count();
    let column = before
        .chars()
        .rev()
        .take_while(|&char| char != '\n')
        .count()
        + 1;
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or_default();
    Problem::syntax(format!(
        "malformed JSON at line {line}, column {column}: {what}"
    ))
    .line(line, column)
}

/// What a place in the JSON is read for.
#[derive(Clone, Copy)]
enum Want {
    Nothing,
    String,
    Strings,
    Message,
    Messages { limit: usize },
}

/// What stands there.
enum Value {
    Null,
    String(String),
    Strings(Vec<String>),
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
            Value::Strings(_) | Value::Mixed(_) | Value::Messages(_) => "an array",
            Value::Message(_) => "an object",
            Value::Other(kind) => kind,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Want {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Want {
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
            Want::String | Want::Strings => Value::String(text.to_owned()),
            _ => Value::Other("a string"),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        match self {
            Want::Strings => strings(items),
            Want::Messages { limit } => messages(items, limit),
            _ => {
                while items.next_element_seed(Want::Nothing)?.is_some() {}
                Ok(Value::Other("an array"))
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        match self {
            Want::Message | Want::Messages { .. } => Ok(Value::Message(message(members)?)),
            _ => {
                while members.next_key::<Name>()?.is_some() {
                    members.next_value_seed(Want::Nothing)?;
                }
                Ok(Value::Other("an object"))
            }
        }
    }
}

fn strings<'de, A: SeqAccess<'de>>(mut items: A) -> Result<Value, A::Error> {
    let mut strings = Vec::new();
    while let Some(value) = items.next_element_seed(Want::String)? {
        match value {
            Value::String(string) => strings.push(string),
            other => {
                while items.next_element_seed(Want::Nothing)?.is_some() {}
                return Ok(Value::Mixed(other.kind()));
            }
        }
    }
    Ok(Value::Strings(strings))
}

/// # Errors
/// Of its own only one: that there are more than `limit`.
fn messages<'de, A: SeqAccess<'de>>(mut items: A, limit: usize) -> Result<Value, A::Error> {
    let mut drafts = Vec::new();
    while let Some(value) = items.next_element_seed(Want::Message)? {
        if drafts.len() == limit {
            return Err(A::Error::custom("too many messages"));
        }
        drafts.push(draft_of(value));
    }
    Ok(Value::Messages(drafts))
}

fn message<'de, A: MapAccess<'de>>(mut members: A) -> Result<Box<Draft>, A::Error> {
    let mut draft = Box::<Draft>::default();
    let mut seen = HashSet::new();
    while let Some(Name(name)) = members.next_key()? {
        let want = match draft.field_mut(&name) {
            _ if name == "to" => Want::Strings,
            Some(_) => Want::String,
            None => Want::Nothing,
        };
        let value = members.next_value_seed(want)?;
        if seen.contains(&name) {
            draft.note(
                Problem::meaning(format!(
                    "a key of the object is given twice, and may be given once: `{name}`"
                ))
                .field(name.into_owned()),
            );
        } else {
            store(&mut draft, &name, value);
            seen.insert(name);
        }
    }
    Ok(draft)
}

/// Puts a value where it belongs, or notes that the field does not have such values.
fn store(draft: &mut Draft, name: &str, value: Value) {
    const ADDRESSES: &str = "a string or an array of strings";
    let (what, needed) = match (name, value) {
        (_, Value::Null) => return,
        ("to", Value::String(to)) => return draft.to = Some(vec![to]),
        ("to", Value::Strings(to)) => return draft.to = Some(to),
        ("to", Value::Mixed(kind)) => (format!("holds {kind}"), ADDRESSES),
        ("to", other) => (format!("is {}", other.kind()), ADDRESSES),
        (_, value) => match (draft.field_mut(name), value) {
            (None, _) => return,
            (Some(field), Value::String(text)) => return *field = Some(text),
            (Some(_), other) => (format!("is {}", other.kind()), "a string"),
        },
    };
    let fault = Problem::meaning(format!("`{name}` {what}; {needed} is needed"));
    draft.note(fault.field(name.to_owned()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::problem::Place;

    #[track_caller]
    fn one(text: &str) -> Draft {
        match read(text, 10) {
            Ok((drafts, false)) => drafts.into_iter().next().unwrap(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[track_caller]
    fn malformed_at(text: &str, line: usize, column: usize) {
        let problem = read(text, 10).expect_err(text);
        let told = (problem.status, problem.place);
        assert_eq!(
            told,
            (400, Some(Place::Line { line, column })),
            "{text:?}: {problem}"
        );
        assert!(
            problem
                .detail
                .contains(&format!("line {line}, column {column}")),
            "{problem}"
        );
    }

    #[track_caller]
    fn meaningless(text: &str, field: Option<&str>, says: &str) {
        let problem = match read(text, 3) {
            Ok((drafts, _)) => drafts
                .into_iter()
                .find_map(|draft| draft.fault)
                .expect(text),
            Err(problem) => problem,
        };
        assert_eq!(
            (problem.status, problem.field.as_deref()),
            (422, field),
            "{text}: {problem}"
        );
        assert!(problem.detail.contains(says), "{text}: {problem}");
    }

    #[test]
    fn fields_land_where_they_are_named() {
        let draft = one(
            r#"{"to":"a","type":"chat","body":"\u00fc\n\ud83e\udd80","subject":"2","html":"3","thread":"4","id":"5",
                "lang":"6","oob_url":"7","state":"8","replace":"9","x":{"body":[1,null]}}"#,
        );
        let text = |text: &str| Some(text.to_owned());
        let expected = Draft {
            to: Some(vec!["a".to_owned()]),
            kind: text("chat"),
            body: text("ü\n🦀"),
            subject: text("2"),
            html: text("3"),
            thread: text("4"),
            id: text("5"),
            lang: text("6"),
            oob_url: text("7"),
            state: text("8"),
            replace: text("9"),
            fault: None,
        };
        assert_eq!(draft, expected);
    }

    #[test]
    fn to_is_a_string_or_an_array_of_strings() {
        assert_eq!(
            one(r#"{"to":["a","b"]}"#).to,
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(one(r#"{"to":[]}"#).to, Some(vec![]));
        meaningless(
            r#"{"to":1}"#,
            Some("to"),
            "`to` is a number; a string or an array of strings is needed",
        );
        meaningless(r#"{"to":{}}"#, Some("to"), "is an object");
        meaningless(r#"{"to":["a",null,"b"]}"#, Some("to"), "`to` holds null");
        meaningless(r#"{"to":[["a"]]}"#, Some("to"), "`to` holds an array");
    }

    #[test]
    fn null_is_an_absent_field() {
        assert_eq!(one(r#"{"to":null,"body":null,"x":null}"#), Draft::default());
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        for (value, kind) in [
            ("1", "a number"),
            ("-1.5e3", "a number"),
            ("true", "a boolean"),
            (r#"["x"]"#, "an array"),
            (r#"{"a":{}}"#, "an object"),
        ] {
            let says = format!("`body` is {kind}; a string is needed");
            meaningless(&format!(r#"{{"body":{value},"x":1}}"#), Some("body"), &says);
        }
    }

    #[test]
    fn a_key_is_given_once() {
        meaningless(r#"{"body":"a","body":"a"}"#, Some("body"), "twice");
        meaningless(r#"{"body":null,"b\u006fdy":"a"}"#, Some("body"), "twice");
        meaningless(r#"{"to":"a","to":"b"}"#, Some("to"), "twice");
        meaningless(r#"{"x y":1,"x y":1}"#, Some("x y"), "twice");
        assert_eq!(one(r#"{"x":{"a":1,"a":2}}"#), Draft::default());
    }

    #[test]
    fn only_objects_are_messages() {
        for (text, kind) in [
            ("1", "a number"),
            ("null", "null"),
            (r#""x""#, "a string"),
            ("true", "a boolean"),
        ] {
            meaningless(text, None, &format!("the JSON is {kind}; an object"));
            let says = format!("{kind} stands where an object");
            meaningless(&format!("[{{}},{text}]"), None, &says);
        }
        meaningless("[]", None, "empty");
        meaningless("[[{}]]", None, "an array");
    }

    #[test]
    fn an_error_in_an_array_names_the_message() {
        meaningless(
            r#"[{},{"body":1},{"type":2}]"#,
            Some("body"),
            "`body` is a number",
        );
    }

    #[test]
    fn an_array_holds_no_more_than_the_limit() {
        let (drafts, many) = read(r#"[{"body":"a"},{},{}]"#, 3).unwrap();
        assert_eq!((drafts.len(), many), (3, true));
        meaningless("[{},{},{},{}]", None, "more than 3 messages");
        meaningless("[{},{},{},1,", None, "more than 3 messages");
    }

    #[test]
    fn what_is_not_json_is_told_with_its_place() {
        malformed_at("", 1, 1);
        malformed_at("{", 1, 2);
        malformed_at("{\"body\": ", 1, 10);
        malformed_at("{\n", 2, 1);
        malformed_at("{\"ü🦀\" 1}", 1, 7);
        malformed_at("{\n  \"ü\": x}", 2, 8);
        malformed_at("{} {}", 1, 4);
        malformed_at("[{},]", 1, 5);
        malformed_at("{\"a\":\"ü\nb\"}", 1, 8);
        malformed_at("{\"a\":01}", 1, 7);
        malformed_at("\u{FEFF}{}", 1, 1);
        malformed_at("nul", 1, 4);
    }

    #[test]
    fn a_lone_surrogate_is_malformed_wherever_it_stands() {
        for text in [
            r#"{"body":"\ud800"}"#,
            r#"{"x":"\udc00"}"#,
            r#"{"x":[{"y":"\ud800\u0041"}]}"#,
            r#"{"\ud800":1}"#,
            r#"{"x":{"\ud800x":1}}"#,
            r#"{"body":1,"x":"\ud800"}"#,
            r#"[1,"\ud800"]"#,
        ] {
            let problem = read(text, 10).expect_err(text);
            assert_eq!(problem.status, 400, "{text}: {problem}");
            assert!(
                matches!(problem.place, Some(Place::Line { line: 1, .. })),
                "{text}: {problem:?}"
            );
        }
    }

    #[test]
    fn deep_nesting_is_malformed() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth| {
                let text = format!("{{\"x\":{}1{}}}", open.repeat(depth), close.repeat(depth));
                read(&text, 10)
                    .map(|_| ())
                    .map_err(|problem| problem.status)
            };
            assert_eq!(
                (nested(126), nested(127), nested(100_000)),
                (Ok(()), Err(400), Err(400))
            );
        }
    }

    #[test]
    fn malformed_is_told_before_meaningless() {
        malformed_at("{\"body\":1,\"body\":2", 1, 19);
        malformed_at("[1,{\"body\":2},", 1, 15);
        malformed_at("1 2", 1, 3);
    }

    proptest! {
        #[test]
        fn arbitrary_text_does_not_panic(text: String) {
            let _ = read(&text, 3);
        }

        #[test]
        fn a_damaged_object_does_not_panic(
            text in r#"[\[{]{1,2}("(body|to|x|ü)":("[a-zü]*"|[0-9]{1,3}|null|\["a"\]|\{\}),){0,4}"x":"\\ud83e\\udd80"[}\]]{0,2}"#,
            place: prop::sample::Index,
            written in "[\\PC\n]",
        ) {
            let mut text: Vec<char> = text.chars().collect();
            let place = place.index(text.len());
            text.splice(place..=place, written.chars());
            let text: String = text.into_iter().collect();
            if let Err(Problem { place: Some(Place::Line { line, column }), .. }) = read(&text, 3) {
                let written = text.split('\n').nth(line - 1).map(|line| line.chars().count());
                prop_assert!(written.is_some_and(|written| (1..=written + 1).contains(&column)), "{line}:{column} of {text:?}");
            }
        }

        #[test]
        fn what_is_encoded_is_read_again(body: String, to: Vec<String>, unknown: Option<f64>) {
            let object = json!({"body": body, "to": to, "x": unknown});
            let draft = Draft { to: Some(to), body: Some(body), ..Draft::default() };
            prop_assert_eq!(read(&object.to_string(), 3), Ok((vec![draft.clone()], false)));
            prop_assert_eq!(read(&json!([object, object]).to_string(), 3), Ok((vec![draft.clone(), draft], true)));
        }
    }
}
