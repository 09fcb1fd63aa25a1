//! The filters that Jinja lacks and chat needs.

mod emoji;
mod markdown;
mod slack;
mod text;
mod time;

use std::borrow::Cow;

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind};

/// Adds the filters to an environment.
pub fn add_to(environment: &mut Environment) {
    environment.add_filter("shorten", text::shorten);
    environment.add_filter("one_line", text::one_line);
    environment.add_filter("url", text::url);
    environment.add_filter("emoji", text::emoji);
    environment.add_filter("html_to_text", |html: &Value| {
        converted(html, nanohtml2text::html2text)
    });
    environment.add_filter("markdown_to_text", |markdown: &Value| {
        converted(markdown, markdown::to_text)
    });
    environment.add_filter("slack_to_text", |mrkdwn: &Value| {
        converted(mrkdwn, slack::to_text)
    });
    environment.add_filter("time", time::time);
    environment.add_filter("duration", time::duration);
}

/// More bytes than this of a text are not converted: no message needs them.
const LONGEST: usize = 256 * 1024;

fn converted(value: &Value, convert: fn(&str) -> String) -> Result<String, Error> {
    let text = text_of(value)?;
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Ok(convert(&text[..end]))
}

/// The text of a value: nothing for null.
///
/// # Errors
/// Where the value is undefined.
fn text_of(value: &Value) -> Result<Cow<'_, str>, Error> {
    match value.as_str() {
        Some(text) => Ok(Cow::Borrowed(text)),
        None if value.is_undefined() => Err(Error::from(ErrorKind::UndefinedError)),
        None if value.is_none() => Ok(Cow::Borrowed("")),
        None => Ok(Cow::Owned(value.to_string())),
    }
}
