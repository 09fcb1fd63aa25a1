//! Text: cut, joined, looked at.

use minijinja::value::Value;
use minijinja::{Error, State};

use super::text_of;
use crate::message::uri::Uri;

/// `shorten(n)`: at most `n` characters, the last of them `…` where something was cut.
pub fn shorten(state: &State, value: &Value, most: usize) -> Result<String, Error> {
    let text = text_of(state, value)?;
    if text.chars().nth(most).is_none() {
        return Ok(text.into_owned());
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    Ok(kept.trim_end().to_owned() + "…")
}

/// `one_line`: each run of white space is one space.
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

/// `url`: the value where it is an absolute URI of http or https (RFC 9110, section 4.2), else nothing.
pub fn url(state: &State, value: &Value) -> Result<String, Error> {
    let text = text_of(state, value)?;
    let text = text.trim();
    let is_http = text.split_once("://").is_some_and(|(scheme, rest)| {
        let has_host = !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']);
        has_host
            && ["http", "https"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
    });
    let is_uri = is_http && Uri::new("oob_url", text.to_owned()).is_ok();
    Ok(if is_uri {
        text.to_owned()
    } else {
        String::new()
    })
}

/// `emoji`: the character that a shortcode such as `tada` stands for, else nothing.
pub fn emoji(state: &State, value: &Value) -> Result<String, Error> {
    let text = text_of(state, value)?;
    let shortcode = text.trim_matches(':');
    Ok(super::emoji::named(shortcode)
        .unwrap_or_default()
        .to_owned())
}
