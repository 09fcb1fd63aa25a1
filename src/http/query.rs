//! The query of a request's URL.

use zeroize::Zeroizing;

/// The parameters that mean something, percent-decoded as a form's (WHATWG URL, section 5.1). It has no
/// `Debug`, which would show secrets.
#[derive(Default)]
pub struct Query {
    /// Every `token`, in order.
    pub tokens: Vec<Zeroizing<String>>,
    /// `as`: the format that another program's webhook posts.
    pub format: Option<String>,
}

impl Query {
    /// `query` is what follows the `?`, raw. Other parameters are ignored.
    pub fn parse(query: &[u8]) -> Query {
        let mut known = Query::default();
        for (name, value) in form_urlencoded::parse(query) {
            match &*name {
                "token" => known.tokens.push(Zeroizing::new(value.into_owned())),
                "as" => known.format = Some(value.into_owned()),
                _ => (),
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_found_however_they_are_encoded() {
        let query = Query::parse(b"x=1&%74oken=a%2Bb&token=c&as=alert%6Danager&token");
        let tokens: Vec<&str> = query.tokens.iter().map(|token| token.as_str()).collect();
        assert_eq!(tokens, ["a+b", "c", ""]);
        assert_eq!(query.format.as_deref(), Some("alertmanager"));
        let empty = Query::parse(b"");
        assert!(empty.tokens.is_empty() && empty.format.is_none());
    }
}
