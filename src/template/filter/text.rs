//! Filters for texts and lists.

use std::collections::BTreeMap;

use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{Error, State};

use super::{LONGEST, beginning, consume, text_of};
use crate::http::memory::Share;
use crate::http::problem::Problem;
use crate::template::tree;

/// `text`: the text of a value. It is empty if the value has none.
pub fn text(state: &State, value: &Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::String => Ok(value.clone()),
        _ => Ok(Value::from(text_of(state, value)?)),
    }
}

/// `take(n)`: the first `n` items of a list. A string with a JSON array is parsed. An object whose keys are numbers is
/// the list of its members, as PHP writes it. Another value is a list of one item, and no value is an empty list.
pub fn take(state: &State, value: &Value, limit: usize) -> Result<Vec<Value>, Error> {
    let length = value.len().unwrap_or_default().min(limit);
    let list_of_one = |value: Value| vec![value].into_iter().take(limit).collect();
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Vec::new(),
        ValueKind::Seq | ValueKind::Iterable => {
            consume(state, length)?;
            value.try_iter()?.take(limit).collect()
        }
        ValueKind::Map => {
            consume(state, length)?;
            let is_number =
                |key: &Value| key.as_str().is_some_and(|key| key.parse::<u32>().is_ok());
            match value.try_iter()?.take(limit).all(|key| is_number(&key)) {
                true => {
                    let keys = value.try_iter()?.take(limit);
                    keys.map(|key| value.get_item(&key).unwrap_or_default())
                        .collect()
                }
                false => list_of_one(value.clone()),
            }
        }
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim();
            match read(state, text)? {
                Some(read) => take(state, &read, limit)?,
                None if text.is_empty() => Vec::new(),
                None => list_of_one(value.clone()),
            }
        }
        _ => list_of_one(value.clone()),
    })
}

/// The array or object in a JSON text, unless it is longer than [`LONGEST`].
fn read(state: &State, text: &str) -> Result<Option<Value>, Error> {
    if !text.starts_with(['[', '{']) || text.len() > LONGEST {
        return Ok(None);
    }
    // Each byte may begin a value.
    consume(state, text.len())?;
    let memory = Share::unshared(text.len());
    let read = tree::read(text, &memory, |error| Problem::syntax(error.to_string()));
    Ok(read.ok())
}

/// The maximum number of sections that `records` reads.
const MOST_SECTIONS: usize = 200;

/// `records(name, …)`: the records of a text, separated by `;`, each an object. The sections of a record are separated by `,`. A section
/// is `key=value`, or a value whose key is the name with the same index. A value in quotes may contain separators; in it, `\`
/// escapes a character.
pub fn records(state: &State, value: &Value, names: Rest<Value>) -> Result<Vec<Value>, Error> {
    let text = text_of(state, value)?;
    let mut rest = beginning(&text, LONGEST).trim_start();
    consume(state, rest.len())?;
    let (mut records, mut record, mut index) = (Vec::new(), BTreeMap::new(), 0);
    for _ in 0..MOST_SECTIONS {
        let (key, value, end) = section(rest);
        let key = key.or_else(|| names.get(index)?.as_str());
        if let (Some(key), false) = (key, value.is_empty()) {
            record.insert(key.to_owned(), value);
        }
        index += 1;
        let is_end = end.is_empty() || end.starts_with(';');
        if is_end && !record.is_empty() {
            records.push(Value::from(std::mem::take(&mut record)));
        }
        if end.is_empty() {
            break;
        }
        if is_end {
            index = 0;
        }
        rest = end[1..].trim_start();
    }
    Ok(records)
}

/// The first section of a text: its key, its value, and the rest, which begins with the separator.
fn section(text: &str) -> (Option<&str>, String, &str) {
    let is_key = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let (key, text) = match text.split_once('=') {
        Some((key, value)) if !key.is_empty() && key.trim_end().chars().all(is_key) => {
            (Some(key.trim_end()), value.trim_start())
        }
        _ => (None, text),
    };
    let quoted = text.chars().next().filter(|c| matches!(c, '"' | '\''));
    if let Some((value, end)) = quoted.and_then(|quote| unquote(&text[1..], quote)) {
        return (key, value, end);
    }
    let end = text.find([',', ';']).unwrap_or(text.len());
    (key, text[..end].trim_end().to_owned(), &text[end..])
}

/// The text up to a quote, and the rest from the next separator on. `None` if there is no such quote before a separator.
fn unquote(text: &str, quote: char) -> Option<(String, &str)> {
    let (mut value, mut is_escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        if !is_escaped && c == quote {
            let end = text[at + 1..].trim_start();
            let is_whole = end.is_empty() || end.starts_with([',', ';']);
            return is_whole.then_some((value, end));
        }
        is_escaped = !is_escaped && c == '\\';
        if !is_escaped {
            value.push(c);
        }
    }
    None
}

/// `int(default)`: the whole number of a value or of its text; otherwise the default or 0, as in Jinja (minijinja
/// fails).
pub fn int(state: &State, value: &Value, default: Option<i64>) -> Result<i64, Error> {
    let text = text_of(state, value)?;
    let text = text.trim();
    let number = text.parse().ok();
    let rounded = || text.parse().ok().filter(|number: &f64| number.is_finite());
    let number = number.or_else(|| rounded().map(|number| number as i64));
    Ok(number.or(default).unwrap_or(0))
}

/// `shorten(n)`: at most `n` characters. The last one is `…` if the text was cut.
pub fn shorten(state: &State, value: &Value, limit: usize) -> Result<String, Error> {
    let text = text_of(state, value)?;
    if text.chars().nth(limit).is_none() {
        return Ok(text.into_owned());
    }
    let beginning: String = text.chars().take(limit.saturating_sub(1)).collect();
    Ok(beginning.trim_end().to_owned() + "…")
}

/// `one_line`: each run of white space becomes one space.
pub fn one_line(state: &State, value: &Value) -> Result<String, Error> {
    let text = text_of(state, value)?;
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    Ok(line)
}

/// `emoji`: the emoji of a shortcode such as `tada`, or an empty text.
pub fn emoji(state: &State, value: &Value) -> Result<String, Error> {
    let text = text_of(state, value)?;
    let shortcode = text.trim_matches(':');
    let emoji = emojis::get_by_shortcode(shortcode);
    Ok(emoji.map_or_else(String::new, |emoji| emoji.as_str().to_owned()))
}
