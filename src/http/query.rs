//! The query of a request's URL.

/// The parameters that mean something, percent-decoded as a form's (WHATWG URL, section 5.1).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Every `token`, in order.
    pub tokens: Vec<String>,
    /// `as`: the format that another program's webhook posts.
    pub format: Option<String>,
}

impl Query {
    /// `query` is what follows the `?`, raw. Other parameters are ignored.
    pub fn parse(query: &[u8]) -> Query {
        let mut known = Query::default();
        for (name, value) in form_urlencoded::parse(query) {
            match &*name {
                "token" => known.tokens.push(value.into_owned()),
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
        assert_eq!(query.tokens, ["a+b", "c", ""]);
        assert_eq!(query.format.as_deref(), Some("alertmanager"));
        assert_eq!(Query::parse(b""), Query::default());
    }
}
