//! The filters that Jinja lacks and chat needs.

mod emoji;
mod link;
mod markdown;
mod slack;
mod text;
mod time;

use std::borrow::Cow;

use minijinja::Environment;
use minijinja::value::{Value, ValueKind};

/// Adds the filters to an environment.
pub fn add_to(environment: &mut Environment) {
    environment.add_filter("shorten", text::shorten);
    environment.add_filter("one_line", text::one_line);
    environment.add_filter("text", text::text);
    environment.add_filter("take", text::take);
    environment.add_filter("int", text::int);
    environment.add_filter("link", link::link);
    environment.add_filter("url", link::url);
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

/// More items than this of a list in the place of a text are not shown.
const MOST_ITEMS: usize = 100;

/// More bytes than this of a text are not converted: no message needs them.
const LONGEST: usize = 256 * 1024;

fn converted(value: &Value, convert: fn(&str) -> String) -> String {
    let text = text_of(value);
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    convert(&text[..end])
}

/// The text of a value: a text, a number, true or false, or a list of these; nothing of anything else, so that no
/// filter fails by a member of another type than the template expects.
fn text_of(value: &Value) -> Cow<'_, str> {
    if let Some(text) = value.as_str() {
        return Cow::Borrowed(text);
    }
    match value.kind() {
        ValueKind::Number => Cow::Owned(value.to_string()),
        ValueKind::Bool => Cow::Borrowed(if value.is_true() { "true" } else { "false" }),
        ValueKind::Seq => {
            let items = value.try_iter().into_iter().flatten().take(MOST_ITEMS);
            let is_simple = |item: &Value| !matches!(item.kind(), ValueKind::Seq | ValueKind::Map);
            let texts = items
                .filter(is_simple)
                .map(|item| text_of(&item).into_owned());
            Cow::Owned(
                texts
                    .filter(|text| !text.is_empty())
                    .collect::<Vec<_>>()
                    .join(", "),
            )
        }
        _ => Cow::Borrowed(""),
    }
}
