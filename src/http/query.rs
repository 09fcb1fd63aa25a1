//! The query of a request's URL.

use std::borrow::Cow;

use zeroize::Zeroizing;

/// As many parameters are kept that mean nothing here.
const MOST: usize = 50;

/// Its parameters, percent-decoded as a form's (WHATWG URL, section 5.1). It has no `Debug`, which would show
/// secrets.
#[derive(Clone, Default)]
pub struct Query {
    /// Every `token`, in order.
    pub tokens: Vec<Zeroizing<String>>,
    /// `as`: the format that another program's webhook posts.
    pub format: Option<String>,
    /// Every `to`, in order.
    pub to: Vec<String>,
    /// Those that mean nothing here, in order, the first 50 of them.
    pub others: Vec<(String, String)>,
    /// The first parameter but `to` that is given twice.
    pub repeated: Option<String>,
    /// Path elements that a program appended to a URL whose last part is the query: `token=TOKEN/slack`.
    pub appended: Vec<String>,
}

impl Query {
    /// `query` is what follows the `?`, raw.
    pub fn parse(query: &[u8]) -> Query {
        let mut known = Query::default();
        for (name, value) in form_urlencoded::parse(query) {
            // Neither a token nor a format has these characters: what follows them was appended.
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
                // `a&&b` has an empty parameter, which is none.
                "" if value.is_empty() => true,
                // No program has as many, and each is compared with all others.
                _ if known.others.len() == MOST => true,
                _ => {
                    let is_new = known.others.iter().all(|(other, _)| *other != name);
                    known
                        .others
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

    /// Takes what a program appended: path elements, and behind a further `?` parameters.
    fn append(&mut self, appended: &str) {
        let (path, query) = appended.split_once('?').unwrap_or((appended, ""));
        let elements = path.split('/').filter(|element| !element.is_empty());
        self.appended.extend(elements.take(MOST).map(str::to_owned));
        for pair in query.split(['?', '&']).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_new = self.others.iter().all(|(other, _)| other != name);
            if is_new && self.others.len() < MOST {
                self.others.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// Cuts off what a program appended, if the last parameter is `to` or another one: each of `names` behind a
    /// further `?`.
    pub fn detach(&mut self, names: &[String]) {
        let is_known = |pairs: &str| {
            let name = pairs.split(['=', '&']).next().unwrap_or_default();
            names.iter().any(|known| known == name)
        };
        let others = self.others.iter_mut().map(|(_, value)| value);
        let mut cut = None;
        for value in self.to.iter_mut().chain(others) {
            if let Some(at) = value.rfind('?').filter(|&at| is_known(&value[at + 1..])) {
                cut = Some(value.split_off(at));
            }
        }
        if let Some(appended) = cut {
            self.append(&appended);
        }
    }

    /// `filename`: what a file is called. With `as` it means nothing here.
    pub fn file_name(&self) -> Option<&str> {
        let is_it = |(name, _): &&(String, String)| name == "filename";
        let found = self.others.iter().find(is_it);
        found.map(|(_, value)| value.as_str())
    }

    /// What it says of the message, so that two requests can be compared: not who sends it, nor what is ignored.
    pub fn says(&self) -> String {
        let mut says = form_urlencoded::Serializer::new(String::new());
        says.extend_pairs(self.to.iter().map(|to| ("to", to)));
        if let Some(format) = &self.format {
            says.append_pair("as", format);
            says.extend_pairs(&self.others);
        } else if let Some(name) = self.file_name() {
            says.append_pair("filename", name);
        }
        says.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_found_however_they_are_encoded() {
        let query =
            Query::parse(b"x=1&%74oken=a%2Bb&token=c&as=alert%6Danager&token&to=a%40b&&to=c+d");
        let tokens: Vec<&str> = query.tokens.iter().map(|token| token.as_str()).collect();
        assert_eq!(tokens, ["a+b", "c", ""]);
        assert_eq!(query.format.as_deref(), Some("alertmanager"));
        assert_eq!(query.to, ["a@b", "c d"]);
        assert_eq!(query.others, [("x".to_owned(), "1".to_owned())]);
        assert_eq!(query.repeated.as_deref(), Some("token"));
        let empty = Query::parse(b"");
        assert!(empty.tokens.is_empty() && empty.format.is_none() && empty.repeated.is_none());
    }

    #[test]
    fn two_queries_that_say_the_same_are_told_to() {
        let says = |query: &[u8]| Query::parse(query).says();
        assert_eq!(says(b"token=a&x=1"), "");
        assert_eq!(says(b"token=a&to=%61b&x=1"), says(b"to=ab&token=c"));
        assert_eq!(says(b"token=a&as=x&wait=1"), "as=x&wait=1");
        assert_eq!(says(b"token=a&x=1&filename=a+b"), "filename=a+b");
        assert_ne!(says(b"to=a&to=b"), says(b"to=a%26to=b"));
    }

    #[test]
    fn what_programs_append_is_no_part_of_the_last_parameter() {
        let parse = |query: &[u8]| {
            let mut query = Query::parse(query);
            query.detach(&["wait".to_owned()]);
            query
        };
        let wait = [("wait".to_owned(), "True".to_owned())];
        let query = parse(b"as=discord&token=pmsg_a_b?wait=True");
        assert_eq!(
            (query.tokens[0].as_str(), &query.others[..]),
            ("pmsg_a_b", &wait[..])
        );
        let query = parse(b"token=pmsg_a_b&as=discord?wait=True");
        assert_eq!(
            (query.format.as_deref(), &query.others[..]),
            (Some("discord"), &wait[..])
        );
        let query = parse(b"as=slack&token=pmsg_a_b/slack");
        assert_eq!(query.tokens[0].as_str(), "pmsg_a_b");
        assert_eq!(query.appended, ["slack"]);
        let query = parse(b"as=discord&to=a@b?wait=True");
        assert_eq!(
            (query.to, &query.others[..]),
            (vec!["a@b".to_owned()], &wait[..])
        );
        let query = parse(b"as=discord&wait=1&token=t?wait=True&to=a@b/c?d=e");
        assert_eq!(
            (query.to, query.repeated),
            (vec!["a@b/c?d=e".to_owned()], None)
        );
        assert_eq!(query.others, [("wait".to_owned(), "1".to_owned())]);
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
