//! `parameter(…)`, `problem()`, `enter()`: functions for the protocols that give their values in headers and in the query.

use std::borrow::Cow;

use mail_parser::MessageParser;
use minijinja::value::{Rest, Value};
use minijinja::{Environment, Error, State};

use super::context::Headers;
use super::filter::consume;

/// The names of the temporary values that `problem()` and `enter()` return.
pub const PROBLEM: &str = "_problem";
pub const ENTER: &str = "_enter";

/// Adds the functions to an environment.
pub fn add_to(environment: &mut Environment) {
    environment.add_function("parameter", parameter);
    environment.add_function("problem", |state: &State| given(state, PROBLEM));
    environment.add_function("enter", |state: &State| given(state, ENTER));
}

/// `parameter(name, …)`: the first value that is not empty, in the headers with these names, or else in the query's parameters. Encoded
/// words of a header (RFC 2047) are decoded.
fn parameter(state: &State, names: Rest<Value>) -> Result<Option<String>, Error> {
    let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
    let headers = state.lookup("headers").unwrap_or_default();
    let headers = headers.downcast_object_ref::<Headers>();
    let query = state.lookup("query").unwrap_or_default();
    let in_query = || {
        let mut values = names.iter().flat_map(|name| query.get_attr(name));
        values.find_map(|value| trimmed(value.as_str()?))
    };
    let value = headers.and_then(|headers| headers.first(&names));
    let value = value.or_else(in_query);
    // Each value that was looked at has at most the length of the head of a request.
    let bytes = value.as_ref().map_or(0, String::len);
    consume(state, names.len() + bytes)?;
    Ok(value)
}

impl Headers {
    /// Whether there is a header with one of these names, which are in lower case. Content-Type does not count: nearly every request has it.
    pub fn has_any(&self, names: &[String]) -> bool {
        self.iter()
            .any(|(header, _)| header != "content-type" && names.iter().any(|name| name == header))
    }

    /// The first value that is not empty of the headers with these names.
    fn first(&self, names: &[impl AsRef<str>]) -> Option<String> {
        let values = names.iter().filter_map(|name| {
            let value = self.get(name.as_ref())?;
            // Browsers and proxies add the Priority of RFC 9218, which is another one: `u=1, i`.
            let is_other = name.as_ref() == "priority"
                && value.split(',').all(|item| {
                    let item = item.trim();
                    item == "i" || item.starts_with("u=") || item.starts_with("i=")
                });
            (!is_other).then_some(value)
        });
        values.map(decoded).find_map(|text| trimmed(&text))
    }

    /// The same; or else the first value in the parameters of a query.
    pub fn parameter(&self, names: &[String], query: &[(String, String)]) -> Option<String> {
        let mut named = names.iter().flat_map(|name| {
            let is_named = move |(known, _): &&(String, String)| known == name;
            query.iter().find(is_named)
        });
        let in_query = || named.find_map(|(_, value)| trimmed(value));
        self.first(names).or_else(in_query)
    }
}

fn trimmed(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Decodes the encoded words of a header.
pub fn decoded(value: &str) -> Cow<'_, str> {
    if !value.contains("=?") {
        return Cow::Borrowed(value);
    }
    // The header of a mail in which every text may have encoded words.
    let mail = format!("Subject: {value}\r\n\r\n");
    let mail = MessageParser::default().parse_headers(mail.as_bytes());
    let subject = mail.as_ref().and_then(|mail| mail.subject());
    subject.map_or(Cow::Borrowed(value), |subject| {
        Cow::Owned(subject.to_owned())
    })
}

/// `problem()`: in the block `problem`, why the request is refused: `status`, `title`, `detail`. `enter()`: in the block `enter`, what a
/// user enters in the program: `server`, `topic`, `token`.
fn given(state: &State, name: &str) -> Value {
    state.get_temp(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_in_headers_before_the_query() {
        let headers = [
            ("priority", "u=1, i"),
            ("x-title", " "),
            ("title", "=?utf-8?q?=C3=84?="),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = Headers::new(headers);
        let query = [("prio", "5"), ("t", "b")];
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let value = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            headers.parameter(&names, &query)
        };
        assert_eq!(value(&["X-Title", "title", "t"]).as_deref(), Some("Ä"));
        assert_eq!(value(&["t", "x-title"]).as_deref(), Some("b"));
        // The Priority of RFC 9218 is not meant.
        assert_eq!(value(&["priority", "prio"]).as_deref(), Some("5"));
        assert_eq!(value(&["other"]), None);
        assert!(headers.has_any(&["title".to_owned()]) && !headers.has_any(&["t".to_owned()]));
    }

    #[test]
    fn encoded_words_are_decoded() {
        for (written, expected) in [
            ("plain", "plain"),
            ("=?UTF-8?B?w4TDlsOc?=", "ÄÖÜ"),
            (
                "=?utf-8?q?=F0=9F=87=A9=F0=9F=87=AA_Tag?= und mehr",
                "🇩🇪 Tag und mehr",
            ),
            ("=?UTF-8?B?w4Q=?= =?UTF-8?B?w5Y=?=", "ÄÖ"),
            ("=?iso-8859-1?Q?caf=E9?=", "café"),
            ("is a =? b", "is a =? b"),
            ("=?UTF-8?B?", "=?UTF-8?B?"),
        ] {
            assert_eq!(decoded(written), expected);
        }
    }
}
