//! Finds the headers of a request that a template reads, by its source.

use std::collections::BTreeSet;

use super::context::{Headers, normal};
use super::engine::Templates;

/// Some headers by name, or all headers.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Names(BTreeSet<String>),
    All,
}

/// Words in a tag before the name of another template.
const OTHERS: [&str; 4] = ["extends", "include", "import", "from"];

impl Templates {
    /// The headers among `headers` that the template with this name reads, or another template that it names: one a
    /// line, in order. Empty if there is no such template.
    pub fn seen_headers(&self, name: &str, headers: &Headers) -> String {
        let (mut seen, mut done) = (Seen::Names(BTreeSet::new()), BTreeSet::new());
        let mut names = vec![name.to_owned()];
        while let Some(name) = names.pop() {
            if let Ok(source) = self.source(&name) {
                seen.add(&source, &mut names);
            }
            done.insert(name);
            names.retain(|name| !done.contains(name));
        }
        let mut lines: Vec<String> = headers
            .iter()
            .filter(|(name, _)| match &seen {
                Seen::Names(names) => names.contains(*name),
                Seen::All => true,
            })
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        lines.sort();
        lines.concat()
    }
}

impl Seen {
    /// Adds the headers that a source reads, and to `others` the names of further templates. If the name of a header is
    /// not known, all headers are added.
    fn add(&mut self, source: &str, others: &mut Vec<String>) {
        for (at, word) in source.match_indices("headers") {
            let before = source[..at].chars().next_back();
            let rest = &source[at + word.len()..];
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            if before.is_some_and(|c| is_word(c) || c == '.') || rest.starts_with(is_word) {
                continue;
            }
            match (attribute(rest), &mut *self) {
                (Some(name), Seen::Names(names)) => {
                    names.insert(normal(name));
                }
                _ => *self = Seen::All,
            }
        }
        for (at, tag) in source.match_indices("{%") {
            let rest = source[at + tag.len()..].trim_start_matches(['-', '+']);
            let rest = rest.trim_start();
            let named = OTHERS.iter().find_map(|word| rest.strip_prefix(word));
            let Some(named) = named.filter(|it| !it.starts_with(char::is_alphanumeric)) else {
                continue;
            };
            match literal(named.trim_start()) {
                Some((name, _)) => others.push(name.to_owned()),
                None => *self = Seen::All,
            }
        }
    }
}

/// `.name` or `["name"]`
fn attribute(text: &str) -> Option<&str> {
    let text = text.trim_start();
    if let Some(text) = text.strip_prefix('.') {
        let text = text.trim_start();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        // A method such as `headers.items()` may read all headers.
        let is_call = rest.trim_start().starts_with('(');
        return Some(name).filter(|name| !name.is_empty() && !is_call);
    }
    let (name, rest) = literal(text.strip_prefix('[')?.trim_start())?;
    rest.trim_start().starts_with(']').then_some(name)
}

/// A string without escapes, and the rest.
fn literal(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, rest) = text[1..].split_once(quote)?;
    (!name.contains('\\')).then_some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(source: &str) -> (Seen, Vec<String>) {
        let (mut seen, mut others) = (Seen::Names(BTreeSet::new()), Vec::new());
        seen.add(source, &mut others);
        (seen, others)
    }

    #[test]
    fn a_header_is_read_by_its_name_in_any_spelling() {
        let names = ["x-github-event", "x-y", "z"].map(str::to_owned);
        let source = r#"{{ headers["X-GitHub-Event"] }}{% if headers . x_y and headers[ 'Z' ] %}{% endif %}
            {{ payload.headers }}{{ my_headers }}{{ headers_of }}"#;
        assert_eq!(seen(source).0, Seen::Names(names.into()));
        assert_eq!(seen("{{ body }}").0, Seen::Names(BTreeSet::new()));
    }

    #[test]
    fn a_computed_name_may_be_any_header() {
        for source in [
            "{% for name in headers %}{% endfor %}",
            "{{ headers|length }}",
            "{{ headers[name] }}",
            "{{ headers['X-' ~ name] }}",
            "{{ headers['X-\\u0041'] }}",
            "{{ headers.items() }}",
            "{% set all = headers %}{{ headers.x }}",
            "{{ headers.x }}{{ dict(headers) }}",
            "{% include name %}",
            "{% include ['a', 'b'] %}",
        ] {
            assert_eq!(seen(source).0, Seen::All, "{source}");
        }
    }

    #[test]
    fn templates_that_a_template_names_are_searched() {
        let source = "{% extends 'a' %}{%- include \"b\" -%}{%import 'c' as d%}{% from 'e' import f %}{% included %}";
        assert_eq!(seen(source).1, ["a", "b", "c", "e"]);
        let templates = Templates::new(None);
        let headers = [
            "X-GitHub-Event",
            "X-Gitlab-Instance",
            "Date",
            "Authorization",
            "Content-Type",
        ];
        let headers = Headers::new(headers.map(|name| (name.to_owned(), "v".to_owned())));
        assert_eq!(
            templates.seen_headers("github", &headers),
            "x-github-event: v\n"
        );
        assert_eq!(
            templates.seen_headers("gitlab", &headers),
            "x-gitlab-instance: v\n"
        );
        assert_eq!(
            templates.seen_headers("discord", &headers),
            "content-type: v\n"
        );
        for name in ["grafana", "alertmanager", "slack", "none"] {
            assert_eq!(templates.seen_headers(name, &headers), "", "{name}");
        }
    }
}
