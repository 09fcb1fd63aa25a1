//! The variables of a template.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};

use crate::message::field::Field;

/// The parts of a request that a template sees.
#[derive(Debug, Clone)]
pub struct Call {
    /// The parsed payload.
    pub payload: Value,
    /// The headers, without credentials.
    pub headers: Headers,
    /// The parameters of the URL's query without a meaning for this module.
    pub query: Vec<(String, String)>,
    /// The source of a template that takes the place of the requested one.
    pub template: Option<String>,
    /// Templates that take the place of its fields.
    pub fields: Vec<(Field, String)>,
    pub posted: Posted,
    pub occasion: Occasion,
}

/// What a template knows of the request line, as the variable `posted`. `posted.random` is the number of the [`Occasion`].
#[derive(Debug, Default, Clone)]
pub struct Posted {
    /// The recipient as the path names it.
    pub recipient: Option<String>,
    /// The text that the program appended to its URL.
    pub appended: Option<String>,
    /// The name that a header or the query gives to the body, which is then a file.
    pub file_name: Option<String>,
    /// Whether no header and no query has a parameter that the template declares.
    pub is_bare: bool,
    /// Whether the method is GET.
    pub is_get: bool,
    /// The message's id, if the query gives one.
    pub id: Option<String>,
}

/// [`Posted`] with the random number.
#[derive(Debug)]
struct PostedValue(Posted, u64);

impl Object for PostedValue {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let PostedValue(posted, random) = &**self;
        match key.as_str()? {
            "recipient" => posted.recipient.as_deref().map(Value::from),
            "appended" => posted.appended.as_deref().map(Value::from),
            "file_name" => posted.file_name.as_deref().map(Value::from),
            "is_bare" => Some(Value::from(posted.is_bare)),
            "is_get" => Some(Value::from(posted.is_get)),
            "id" => posted.id.as_deref().map(Value::from),
            "random" => Some(Value::from(*random)),
            _ => None,
        }
    }
}

/// What differs between two equal requests.
#[derive(Debug, Default, Clone)]
pub struct Occasion {
    /// The current time (RFC 3339), in whole seconds.
    pub now: String,
    /// A random number below 2⁵³: every program reads such a number exactly.
    pub random: u64,
}

impl Occasion {
    /// This moment.
    pub fn now() -> Occasion {
        let now = jiff::Timestamp::now().as_second();
        let now = jiff::Timestamp::from_second(now).unwrap_or_default();
        Occasion {
            now: now.to_string(),
            // Without random bytes, the time serves.
            random: getrandom::u64().unwrap_or(now.as_second().unsigned_abs()) >> 11,
        }
    }
}

/// The headers of a request, without credentials. A template may write their names as `headers["X-GitHub-Event"]` or as
/// `headers.x_github_event`.
#[derive(Debug, Default, Clone)]
pub struct Headers(Vec<(String, String)>);

/// Prefixes of the names of headers with credentials, or with signatures that are made with them.
const CREDENTIALS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-gotify-key",
    "x-gitlab-token",
    "x-hub-signature",
    "x-forwarded-authorization",
];

/// Whether a text has a sending token, such as the address of the page that Referer names.
fn has_token(text: &str) -> bool {
    text.match_indices("pmsg_").any(|(at, mark)| {
        let id = text.as_bytes().get(at + mark.len()..at + mark.len() + 17);
        id.is_some_and(|id| id[16] == b'_' && id[..16].iter().all(u8::is_ascii_hexdigit))
    })
}

impl Headers {
    /// Takes names in any case, with `-` or `_`.
    pub fn new(headers: impl IntoIterator<Item = (String, String)>) -> Headers {
        let named = headers
            .into_iter()
            .map(|(name, value)| (normal(&name), value));
        Headers(
            named
                .filter(|(name, value)| {
                    !CREDENTIALS.iter().any(|known| name.starts_with(known))
                        && !name.ends_with("-signature")
                        && !has_token(value)
                })
                .collect(),
        )
    }

    /// The value of a header; its name in any spelling.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let is_named = |known: &str| {
            known.len() == name.len()
                && known.bytes().zip(name.bytes()).all(|(known, byte)| {
                    known == byte.to_ascii_lowercase() || known == b'-' && byte == b'_'
                })
        };
        let header = self.0.iter().find(|(known, _)| is_named(known));
        header.map(|(_, value)| value.as_str())
    }

    /// The number of bytes.
    pub fn bytes(&self) -> usize {
        self.iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }

    /// The names in lower case, and the values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The normal form of a header's name, for comparisons.
pub(super) fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

impl Object for Headers {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?).map(Value::from)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(
            self.0
                .iter()
                .map(|(name, _)| Value::from(name.as_str()))
                .collect(),
        )
    }
}

/// The variables of a template. The payload's members are variables too, unless a variable has the same name.
#[derive(Debug)]
pub(super) struct Variables {
    payload: Value,
    headers: Value,
    query: Value,
    posted: Value,
    now: Value,
    template: Value,
}

/// The variable with the name of the requested template.
pub(super) const TEMPLATE: &str = "_template";

impl Variables {
    pub fn of(template: &str, call: Call) -> Variables {
        Variables {
            payload: call.payload,
            headers: Value::from_object(call.headers),
            query: Value::from(call.query.into_iter().collect::<BTreeMap<_, _>>()),
            posted: Value::from_object(PostedValue(call.posted, call.occasion.random)),
            now: Value::from(call.occasion.now),
            template: Value::from(template),
        }
    }
}

impl Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            TEMPLATE => Some(self.template.clone()),
            "payload" => Some(self.payload.clone()),
            "headers" => Some(self.headers.clone()),
            "query" => Some(self.query.clone()),
            "posted" => Some(self.posted.clone()),
            "now" => Some(self.now.clone()),
            // A member of the payload does not hide a function that templates need.
            "parameter" | "_keep" | "_tried" => None,
            name => self
                .payload
                .get_attr(name)
                .ok()
                .filter(|member| !member.is_undefined()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_every_spelling_and_credentials_are_not() {
        let named = [
            "X_GitHub_Event",
            "authorization",
            "Proxy-Authorization",
            "cookie",
            "x_gotify_key",
            "X-Gitlab-Token",
            "x_hub_signature_256",
            "x_gitea_signature",
        ];
        let headers = named.map(|name| (name.to_owned(), "value".to_owned()));
        let referer = (
            "referer".to_owned(),
            "https://example.com/?token=pmsg_5f0c1d2e3a4b5968_x".to_owned(),
        );
        let headers = Arc::new(Headers::new(headers.into_iter().chain([referer])));
        let has_header = |name: &str| headers.get_value(&Value::from(name)).is_some();
        assert!(
            has_header("x-github-event")
                && has_header("X_GITHUB_EVENT")
                && has_header("X-GitHub-Event")
        );
        assert_eq!(headers.0.len(), 1, "{headers:?}");
    }
}
