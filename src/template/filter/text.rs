//! Text: cut, joined, looked at.

use minijinja::value::{Value, ValueKind};

use super::text_of;

/// `text`: the text of a value, nothing of one that has none.
pub fn text(value: &Value) -> String {
    text_of(value).into_owned()
}

/// `take(n)`: the first `n` items of a list. A list that is written as JSON in a text is read; an object whose keys are
/// numbers is the list of its members, as PHP writes it. Any other value is a list of itself, and no value an empty one.
pub fn take(value: &Value, most: usize) -> Vec<Value> {
    let one = |value: Value| vec![value].into_iter().take(most).collect();
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Vec::new(),
        ValueKind::Seq | ValueKind::Iterable => {
            value.try_iter().into_iter().flatten().take(most).collect()
        }
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            let keys: Vec<Value> = keys.take(most).collect();
            let is_number =
                |key: &Value| key.as_str().is_some_and(|key| key.parse::<u32>().is_ok());
            match keys.iter().all(is_number) {
                true => keys
                    .iter()
                    .map(|key| value.get_item(key).unwrap_or_default())
                    .collect(),
                false => one(value.clone()),
            }
        }
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default().trim();
            match text.starts_with(['[', '{']) {
                true => match serde_json::from_str::<Value>(text) {
                    Ok(read) => take(&read, most),
                    Err(_) => one(value.clone()),
                },
                false if text.is_empty() => Vec::new(),
                false => one(value.clone()),
            }
        }
        _ => one(value.clone()),
    }
}

/// `int(default)`: the whole number that a value is or has as its text; the default, or 0, of anything else (as in Jinja,
/// where minijinja fails).
pub fn int(value: &Value, default: Option<i64>) -> i64 {
    let text = text_of(value);
    let text = text.trim();
    let number = text.parse().ok();
    let rounded = || text.parse().ok().filter(|number: &f64| number.is_finite());
    number
        .or_else(|| rounded().map(|number| number as i64))
        .or(default)
        .unwrap_or(0)
}

/// `shorten(n)`: at most `n` characters, the last of them `…` where something was cut.
pub fn shorten(value: &Value, most: usize) -> String {
    let text = text_of(value);
    if text.chars().nth(most).is_none() {
        return text.into_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.trim_end().to_owned() + "…"
}

/// `one_line`: each run of white space is one space.
pub fn one_line(value: &Value) -> String {
    let text = text_of(value);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `emoji`: the character that a shortcode such as `tada` stands for, else nothing.
pub fn emoji(value: &Value) -> String {
    let text = text_of(value);
    let shortcode = text.trim_matches(':');
    super::emoji::named(shortcode)
        .unwrap_or_default()
        .to_owned()
}
