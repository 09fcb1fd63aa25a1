//! The filters for chat messages that Jinja does not have. Each filter takes fuel for its work before it begins.

pub mod html;
mod link;
pub mod markdown;
mod pieces;
mod reply;
mod slack;
mod text;
mod time;
mod writer;

use std::borrow::Cow;
use std::fmt::Write;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};

/// Adds the filters to an environment.
pub fn add_to(environment: &mut Environment) {
    environment.add_filter("shorten", text::shorten);
    environment.add_filter("one_line", text::one_line);
    environment.add_filter("text", text::text);
    environment.add_filter("take", text::take);
    environment.add_filter("records", text::records);
    environment.add_filter("int", text::int);
    environment.add_filter("link", link::link);
    environment.add_filter("url", link::url);
    environment.add_filter("emoji", text::emoji);
    environment.add_filter("html_to_text", |state: &State, html: &Value| {
        convert(state, html, html::to_text)
    });
    environment.add_filter("markdown_to_text", |state: &State, markdown: &Value| {
        convert(state, markdown, markdown::to_text)
    });
    environment.add_filter("discord_to_text", |state: &State, markdown: &Value| {
        convert(state, markdown, markdown::discord_to_text)
    });
    environment.add_filter("slack_to_text", |state: &State, mrkdwn: &Value| {
        convert(state, mrkdwn, slack::to_text)
    });
    environment.add_filter("reply", |state: &State, markdown: &Value| {
        convert(state, markdown, |markdown, _| reply::own_words(markdown))
    });
    environment.add_filter("tojson", tojson);
    environment.add_filter("batch", batch);
    environment.add_filter("slice", slice);
    environment.add_filter("time", time::time);
    environment.add_filter("duration", time::duration);
}

/// The maximum number of bytes that a filter reads of a text, and that a conversion writes. A message has no room for more.
const LONGEST: usize = 96 * 1024;

/// The bytes that are converted for one unit of fuel.
const CONVERTED: usize = 4;

fn convert(
    state: &State,
    value: &Value,
    convert: fn(&str, usize) -> String,
) -> Result<String, Error> {
    let text = text_of(state, value)?;
    let start = beginning(&text, LONGEST);
    consume(state, start.len() / CONVERTED)?;
    let mut converted = convert(start, LONGEST);
    if start.len() < text.len() && !converted.ends_with('…') {
        converted.push('…');
    }
    Ok(converted)
}

/// The widest indentation.
const DEEPEST_INDENT: i64 = 8;

/// Replaces minijinja's `tojson(indent)`, which takes fuel for the indentation only after writing it.
fn tojson(
    state: &State,
    value: &Value,
    indent: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let indent = match indent {
        None => options.get("indent")?,
        indent => indent,
    };
    let spaces = indent.as_ref().and_then(Value::as_i64);
    if spaces.is_some_and(|spaces| spaces > DEEPEST_INDENT) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("the indent of tojson is more than {DEEPEST_INDENT}"),
        ));
    }
    let json = minijinja::filters::tojson(value, indent, options)?;
    consume(state, json.len().unwrap_or_default() / CONVERTED)?;
    Ok(json)
}

/// The fuel that a list takes, whatever its length: the fuel of a rendering is enough for lists of 2 MB.
const LIST: usize = 16;

/// Replaces minijinja's `batch(count, fill_with)`, which takes no fuel for the lists that it makes.
fn batch(
    state: &State,
    value: Value,
    count: usize,
    fill_with: Option<Value>,
) -> Result<Value, Error> {
    let items = minijinja::filters::list(state, value)?;
    let lists = items.len().unwrap_or_default() / count.max(1);
    consume(state, lists.saturating_mul(LIST))?;
    minijinja::filters::batch(state, items, count, fill_with)
}

/// Replaces minijinja's `slice(count, fill_with)` likewise.
fn slice(
    state: &State,
    value: Value,
    count: usize,
    fill_with: Option<Value>,
) -> Result<Value, Error> {
    consume(state, count.saturating_mul(LIST))?;
    minijinja::filters::slice(state, value, count, fill_with)
}

pub fn consume(state: &State, fuel: usize) -> Result<(), Error> {
    state.consume_fuel(u64::try_from(fuel).unwrap_or(u64::MAX))
}

/// The first `limit` bytes of a text, or up to three less.
fn beginning(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The maximum number of items of a list that are shown as a text.
const MOST_ITEMS: usize = 100;

/// The text of a value: a string, a number, a boolean, or a list of these, cut to [`LONGEST`]. Other values have an
/// empty text, so that no filter fails if a member has an unexpected type.
///
/// # Errors
/// If no fuel is left for the text.
fn text_of<'a>(state: &State, value: &'a Value) -> Result<Cow<'a, str>, Error> {
    if let Some(text) = value.as_str() {
        return Ok(Cow::Borrowed(text));
    }
    match value.kind() {
        ValueKind::Number => Ok(Cow::Owned(value.to_string())),
        ValueKind::Bool => Ok(Cow::Borrowed(if value.is_true() {
            "true"
        } else {
            "false"
        })),
        ValueKind::Seq => {
            consume(state, value.len().unwrap_or_default().min(MOST_ITEMS))?;
            let mut shown = Shown(String::new());
            for item in value.try_iter()?.take(MOST_ITEMS) {
                let is_text = matches!(
                    item.kind(),
                    ValueKind::String | ValueKind::Number | ValueKind::Bool
                );
                if !is_text || item.as_str().is_some_and(str::is_empty) {
                    continue;
                }
                let comma = if shown.0.is_empty() { "" } else { ", " };
                if write!(shown, "{comma}{item}").is_err() {
                    // The text is cut.
                    break;
                }
            }
            consume(state, shown.0.len() / CONVERTED)?;
            Ok(Cow::Owned(shown.0))
        }
        _ => Ok(Cow::Borrowed("")),
    }
}

/// A writer that keeps at most [`LONGEST`] bytes.
struct Shown(String);

impl Write for Shown {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let start = beginning(text, LONGEST - self.0.len());
        self.0.push_str(start);
        match start.len() < text.len() {
            true => Err(std::fmt::Error),
            false => Ok(()),
        }
    }
}
