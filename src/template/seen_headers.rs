//! Finds the headers of a request that a template reads, by its source.

use std::collections::BTreeSet;

use super::context::{Headers, normal};
use super::engine::Templates;

/// Some headers by name, or all headers.
#[derive(Debug, PartialEq, Eq)]
enum HeaderSet {
    Names(BTreeSet<String>),
    All,
}

/// Words in a tag before the name of another template.
const OTHERS: [&str; 4] = ["extends", "include", "import", "from"];

impl Templates {
    /// The headers among `headers` that the template with this name reads, directly or through another template: one a
    /// line, in order. Empty if there is no such template.
    /// `inline` are the sources of the templates in the query and of the token.
    pub fn seen_headers<'a>(
        &self,
        name: &str,
        inline: impl Iterator<Item = &'a str>,
        headers: &Headers,
    ) -> String {
        let (mut header_set, mut done) = (HeaderSet::Names(BTreeSet::new()), BTreeSet::new());
        let mut names = vec![name.to_owned()];
        inline.for_each(|source| header_set.add(source, &mut names));
        if let HeaderSet::Names(names) = &mut header_set {
            // A declaration names them.
            let declared = self.declarations(name);
            names.extend(declared.file_names.iter().map(|name| normal(name)));
        }
        while let Some(name) = names.pop() {
            if let Ok(template) = self.environment.get_template(&name) {
                header_set.add(template.source(), &mut names);
            }
            done.insert(name);
            names.retain(|name| !done.contains(name));
        }
        let mut lines: Vec<String> = headers
            .iter()
            .filter(|(name, _)| match &header_set {
                HeaderSet::Names(names) => names.contains(*name),
                HeaderSet::All => true,
            })
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        lines.sort();
        lines.concat()
    }
}

impl HeaderSet {
    /// Adds the headers that a source reads, and adds the names of further templates to `further_templates`. If the name of a header is
    /// computed, all headers are added.
    fn add(&mut self, source: &str, further_templates: &mut Vec<String>) {
        let source = &without_comments(source);
        for (at, word) in source.match_indices("headers") {
            let previous = source[..at].chars().next_back();
            let rest = &source[at + word.len()..];
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            if previous.is_some_and(|c| is_word(c) || c == '.') || rest.starts_with(is_word) {
                continue;
            }
            match (attribute(rest), &mut *self) {
                (Some(name), HeaderSet::Names(names)) => {
                    names.insert(normal(name));
                }
                _ => *self = HeaderSet::All,
            }
        }
        for (at, call) in source.match_indices("parameter(") {
            let mut rest = &source[at + call.len()..];
            while let Some((name, end)) = literal(rest.trim_start()) {
                if let HeaderSet::Names(names) = self {
                    names.insert(normal(name));
                }
                rest = end.trim_start().trim_start_matches(',');
            }
            if !rest.trim_start().starts_with(')') {
                *self = HeaderSet::All;
            }
        }
        for (at, tag) in source.match_indices("{%") {
            let rest = source[at + tag.len()..].trim_start_matches(['-', '+']);
            let rest = rest.trim_start();
            let argument = OTHERS.iter().find_map(|word| rest.strip_prefix(word));
            let Some(argument) = argument.filter(|it| !it.starts_with(char::is_alphanumeric))
            else {
                continue;
            };
            match literal(argument.trim_start()) {
                Some((name, _)) => further_templates.push(name.to_owned()),
                None => *self = HeaderSet::All,
            }
        }
    }
}

/// A source without its comments.
fn without_comments(source: &str) -> String {
    let mut pieces = source.split("{#");
    let mut rest = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        rest.push_str(piece.split_once("#}").map_or("", |(_, rest)| rest));
    }
    rest
}

/// The template that a source extends, if it has a name in quotes.
pub(super) fn parent(source: &str) -> Option<String> {
    let source = without_comments(source);
    source.match_indices("{%").find_map(|(at, tag)| {
        let rest = source[at + tag.len()..].trim_start_matches(['-', '+']);
        let name = rest.trim_start().strip_prefix("extends")?;
        literal(name.trim_start()).map(|(name, _)| name.to_owned())
    })
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

    fn headers_of(source: &str) -> (HeaderSet, Vec<String>) {
        let (mut header_set, mut further_templates) =
            (HeaderSet::Names(BTreeSet::new()), Vec::new());
        header_set.add(source, &mut further_templates);
        (header_set, further_templates)
    }

    #[test]
    fn a_header_is_read_by_its_name_in_any_spelling() {
        let names = ["x-github-event", "x-y", "z"].map(str::to_owned);
        let source = r#"{{ headers["X-GitHub-Event"] }}{% if headers . x_y and headers[ 'Z' ] %}{% endif %}
            {{ payload.headers }}{{ my_headers }}{{ headers_of }}"#;
        assert_eq!(headers_of(source).0, HeaderSet::Names(names.into()));
        let names = ["x-title", "t"].map(str::to_owned);
        let source = r#"{{ parameter("X-Title", 't') }}"#;
        assert_eq!(headers_of(source).0, HeaderSet::Names(names.into()));
        assert_eq!(
            headers_of("{# headers #}{{ body }}{# parameter( #}").0,
            HeaderSet::Names(BTreeSet::new())
        );
    }

    #[test]
    fn a_computed_name_may_be_any_header() {
        for source in [
            "{{ parameter(name) }}",
            "{{ parameter('a', b) }}",
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
            assert_eq!(headers_of(source).0, HeaderSet::All, "{source}");
        }
    }

    #[test]
    fn templates_that_a_template_names_are_searched() {
        let source = "{% extends 'a' %}{%- include \"b\" -%}{%import 'c' as d%}{% from 'e' import f %}{% included %}";
        assert_eq!(headers_of(source).1, ["a", "b", "c", "e"]);
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
            templates.seen_headers("github", std::iter::empty(), &headers),
            "x-github-event: v\n"
        );
        assert_eq!(
            templates.seen_headers("gitlab", std::iter::empty(), &headers),
            "x-gitlab-instance: v\n"
        );
        assert_eq!(
            templates.seen_headers("discord", std::iter::empty(), &headers),
            "content-type: v\n"
        );
        for name in ["grafana", "alertmanager", "slack", "none"] {
            assert_eq!(
                templates.seen_headers(name, std::iter::empty(), &headers),
                "",
                "{name}"
            );
        }
    }
}
