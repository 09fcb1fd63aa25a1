//! The query of a request's URL.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::percent;

/// The maximum number of unknown parameters that are kept.
const MOST: usize = 50;

const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The parameters, percent-decoded as in a form (WHATWG URL, section 5.1). It has no `Debug`, because it holds secrets.
#[derive(Clone, Default)]
pub struct Query {
    /// Every `token`, in order.
    pub tokens: Vec<Zeroizing<String>>,
    /// Every `auth` and `authorization`, decoded: the text of an Authorization header, as ntfy's programs send it in the query.
    pub authorizations: Vec<Zeroizing<String>>,
    /// `as`: the name of the template for another program's format.
    pub format: Option<String>,
    /// Every `to`, in order.
    pub to: Vec<String>,
    /// The first 50 unknown parameters, in order.
    pub unknown: Vec<(String, String)>,
    /// The first parameter that is given twice, except `to`.
    pub repeated: Option<String>,
    /// Path elements that a program appended to a URL whose last part is the query: `token=TOKEN/slack`.
    pub appended: Vec<String>,
    /// Whether the percent-decoded query is UTF-8. Other bytes are replaced in the parameters.
    pub is_utf8: bool,
}

/// The Authorization header in base64url, if the value is one.
fn authorization(value: &str) -> Option<Zeroizing<String>> {
    let decoded = URL_SAFE.decode(value).ok()?;
    let header = Zeroizing::new(String::from_utf8(decoded).ok()?);
    let scheme = header.split(' ').next()?;
    let is_known = scheme.eq_ignore_ascii_case("Basic") || scheme.eq_ignore_ascii_case("Bearer");
    is_known.then_some(header)
}

impl Query {
    /// `query` is the raw text after the `?`.
    pub fn parse(query: &[u8]) -> Query {
        let mut known = Query {
            // Only bytes that are replaced become this character.
            is_utf8: query.is_ascii() && memchr::memchr(b'%', query).is_none()
                || String::from_utf8(percent::decode_lenient(query)).is_ok(),
            ..Query::default()
        };
        for (name, value) in form_urlencoded::parse(query) {
            // Neither a token nor the name of a template has these characters: a program has appended the rest.
            let end = match &*name {
                "token" | "as" => value.find(['/', '?']),
                _ => None,
            };
            let value = match end {
                Some(end) => {
                    known.append(&value[end..]);
                    Cow::Borrowed(&value[..end])
                }
                None => value.clone(),
            };
            let is_new = match &*name {
                "token" => {
                    known.tokens.push(Zeroizing::new(value.into_owned()));
                    known.tokens.len() == 1
                }
                "as" => known.format.replace(value.into_owned()).is_none(),
                "to" => {
                    known.to.push(value.into_owned());
                    true
                }
                "auth" | "authorization" if authorization(&value).is_some() => {
                    known.authorizations.extend(authorization(&value));
                    true
                }
                // `a&&b` has an empty parameter, which is ignored.
                "" if value.is_empty() => true,
                // No program sends this many, and each is compared with all others.
                _ if known.unknown.len() == MOST => true,
                _ => {
                    let is_new = known.unknown.iter().all(|(other, _)| *other != name);
                    known
                        .unknown
                        .push((name.clone().into_owned(), value.into_owned()));
                    is_new
                }
            };
            if !is_new {
                known.repeated.get_or_insert(name.into_owned());
            }
        }
        known
    }

    /// Adds the text that a program appended: path elements, and parameters after a further `?`.
    fn append(&mut self, appended: &str) {
        let (path, query) = appended.split_once('?').unwrap_or((appended, ""));
        let elements = path.split('/').filter(|element| !element.is_empty());
        self.appended.extend(elements.take(MOST).map(str::to_owned));
        for pair in query.split(['?', '&']).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_new = self.unknown.iter().all(|(other, _)| other != name);
            if is_new && self.unknown.len() < MOST {
                self.unknown.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// Cuts off the text that a program appended to the value of a parameter: a further `?` and one of `names`.
    /// The values of parameters that are fields (`is_field`) stay as they are.
    pub fn detach(&mut self, names: &[String], is_field: impl Fn(&str) -> bool) {
        let is_known = |pairs: &str| {
            let name = pairs.split(['=', '&']).next().unwrap_or_default();
            names.iter().any(|known| known == name)
        };
        let unknown = self.unknown.iter_mut();
        let unknown = unknown.filter(|(name, _)| !is_field(name));
        let unknown = unknown.map(|(_, value)| value);
        let mut cut = None;
        for value in self.to.iter_mut().chain(unknown) {
            if let Some(at) = value.rfind('?').filter(|&at| is_known(&value[at + 1..])) {
                cut = Some(value.split_off(at));
            }
        }
        if let Some(appended) = cut {
            self.append(&appended);
        }
    }

    /// `filename`: the name of a file. With `as`, this module does not use it.
    pub fn file_name(&self) -> Option<&str> {
        let mut pairs = self.unknown.iter();
        let pair = pairs.find(|(name, _)| name == "filename");
        pair.map(|(_, value)| value.as_str())
    }

    /// Takes the parameters with these names out of the unknown ones.
    pub fn take(&mut self, is_taken: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let unknown = std::mem::take(&mut self.unknown);
        let (taken, unknown) = unknown.into_iter().partition(|(name, _)| is_taken(name));
        self.unknown = unknown;
        taken
    }

    /// The parameters that describe the message, to compare two requests: without credentials and ignored parameters. `is_field`:
    /// whether a parameter is a field of the message.
    pub fn meaning(&self, is_field: impl Fn(&str) -> bool) -> String {
        let mut meaning = form_urlencoded::Serializer::new(String::new());
        meaning.extend_pairs(self.to.iter().map(|to| ("to", to)));
        if let Some(format) = &self.format {
            meaning.append_pair("as", format);
            meaning.extend_pairs(&self.unknown);
        } else {
            let is_counted = |name: &str| name == "filename" || is_field(name);
            let unknown = self.unknown.iter();
            meaning.extend_pairs(unknown.filter(|(name, _)| is_counted(name)));
        }
        meaning.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_found_in_every_encoding() {
        let query =
            Query::parse(b"x=1&%74oken=a%2Bb&token=c&as=alert%6Danager&token&to=a%40b&&to=c+d");
        let tokens: Vec<&str> = query.tokens.iter().map(|token| token.as_str()).collect();
        assert_eq!(tokens, ["a+b", "c", ""]);
        assert_eq!(query.format.as_deref(), Some("alertmanager"));
        assert_eq!(query.to, ["a@b", "c d"]);
        assert_eq!(query.unknown, [("x".to_owned(), "1".to_owned())]);
        assert_eq!(query.repeated.as_deref(), Some("token"));
        let empty = Query::parse(b"");
        assert!(Query::parse("a=%c3%BCü%".as_bytes()).is_utf8 && !Query::parse(b"a=%ff").is_utf8);
        assert!(empty.tokens.is_empty() && empty.format.is_none() && empty.repeated.is_none());
    }

    #[test]
    fn an_authorization_header_in_the_query_is_no_other_parameter() {
        // `Bearer a?`, in base64url without padding.
        let query = Query::parse(b"auth=QmVhcmVyIGE_&auth=x&authorization=QmFzaWMgOmI6&b=1");
        let found: Vec<&str> = query.authorizations.iter().map(|it| it.as_str()).collect();
        assert_eq!(found, ["Bearer a?", "Basic :b:"]);
        let unknown: Vec<&str> = query
            .unknown
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(unknown, ["auth", "b"]);
        assert_eq!(query.repeated, None);
    }

    #[test]
    fn queries_with_the_same_meaning_are_equal() {
        let meaning = |query: &[u8]| Query::parse(query).meaning(|name| name == "body");
        assert_eq!(meaning(b"token=a&x=1"), "");
        assert_eq!(meaning(b"token=a&to=%61b&x=1"), meaning(b"to=ab&token=c"));
        assert_eq!(meaning(b"token=a&as=x&wait=1"), "as=x&wait=1");
        assert_eq!(meaning(b"token=a&x=1&filename=a+b"), "filename=a+b");
        assert_eq!(meaning(b"token=a&body=%6fne&x=1"), "body=one");
        assert_ne!(meaning(b"to=a&to=b"), meaning(b"to=a%26to=b"));
    }

    #[test]
    fn appended_text_is_cut_off_the_last_parameter() {
        let parse = |query: &[u8]| {
            let mut query = Query::parse(query);
            query.detach(&["wait".to_owned()], |_| false);
            query
        };
        let wait = [("wait".to_owned(), "True".to_owned())];
        let query = parse(b"as=discord&token=pmsg_a_b?wait=True");
        assert_eq!(
            (query.tokens[0].as_str(), &query.unknown[..]),
            ("pmsg_a_b", &wait[..])
        );
        let query = parse(b"token=pmsg_a_b&as=discord?wait=True");
        assert_eq!(
            (query.format.as_deref(), &query.unknown[..]),
            (Some("discord"), &wait[..])
        );
        let query = parse(b"as=slack&token=pmsg_a_b/slack");
        assert_eq!(query.tokens[0].as_str(), "pmsg_a_b");
        assert_eq!(query.appended, ["slack"]);
        let query = parse(b"as=discord&to=a@b?wait=True");
        assert_eq!(
            (query.to, &query.unknown[..]),
            (vec!["a@b".to_owned()], &wait[..])
        );
        let query = parse(b"as=discord&wait=1&token=t?wait=True&to=a@b/c?d=e");
        assert_eq!(
            (query.to, query.repeated),
            (vec!["a@b/c?d=e".to_owned()], None)
        );
        assert_eq!(query.unknown, [("wait".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn only_to_may_be_repeated() {
        for (query, repeated) in [
            (&b"to=a&to=a&as=x&token=y&z=1"[..], None),
            (b"as=x&as=x", Some("as")),
            (b"as=x&z=1&y=1&z=2", Some("z")),
        ] {
            assert_eq!(Query::parse(query).repeated.as_deref(), repeated);
        }
    }
}
