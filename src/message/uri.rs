//! URIs.

use crate::http::problem::{Problem, quote};

/// A URI with a scheme (RFC 3986, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri(String);

impl Uri {
    /// # Errors
    /// 422 with the field and, if there is one, the offset of the first illegal character.
    pub fn new(field: &'static str, uri: String) -> Result<Uri, Problem> {
        let problem = |what: &str| {
            Problem::meaning(format!(
                "`{field}` is {}; {what}; an absolute URI is needed, such as https://example.com/",
                quote(&uri)
            ))
            .field(field)
        };
        if let Some(offset) = uri.chars().position(|c| !is_uri_character(c)) {
            return Err(problem("it has a character that a URI cannot have").offset(offset));
        }
        match fluent_uri::UriRef::parse(uri.as_str()) {
            Ok(parsed) if parsed.has_scheme() => Ok(Uri(uri)),
            Ok(_) => Err(problem("it has no scheme")),
            Err(_) => Err(problem("it is not formed as RFC 3986 says")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The legal characters: unreserved, reserved and "%" (RFC 3986, sections 2.1 to 2.3).
fn is_uri_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Place;

    #[test]
    fn a_uri_has_a_scheme_and_the_form_of_rfc_3986() {
        for uri in [
            "https://example.com/a;b,c/(d)'!*~?e=f/?#g/?",
            "http://[2001:db8::1]:80/",
            "http://[v1.a:b]/",
            "http://user:pw@h:/",
            "file:///etc/x",
            "mailto:a@b",
            "urn:a:b",
            "a:",
            "x+y-z.1://",
            "http://a/%C3%bc",
            "http://a?b",
            "http://a#b",
            "tel:+1",
        ] {
            assert!(Uri::new("oob_url", uri.to_owned()).is_ok(), "{uri}");
        }
        for uri in [
            "",
            "a",
            "/a",
            "//a/b",
            "?a",
            "#a",
            ":a",
            "1a:b",
            "é:b",
            "http://[::1",
            "http://::1]/",
            "http://[1]/",
            "http://[::1]x/",
            "http://a:b/",
            "http://a@b@c/",
            "http://a/[b]",
            "http://a/?[b]",
            "http://a/#b#c",
            "http://a/%",
            "http://a/%zz",
            "http://a b/",
            "http://a/\\",
            "http://a/\"",
            "http://a/{}",
            "http://a/\n",
            "http://ü/",
        ] {
            let problem = Uri::new("oob_url", uri.to_owned()).expect_err(uri);
            assert_eq!(
                (problem.status(), problem.field.as_deref()),
                (422, Some("oob_url")),
                "{uri}"
            );
        }
        let problem = Uri::new("oob_url", "http://ü/".to_owned()).expect_err("an umlaut");
        assert_eq!(problem.place, Some(Place::Offset(7)));
    }
}
