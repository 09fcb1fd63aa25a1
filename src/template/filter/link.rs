//! Links in payloads → links that a client can open.

use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{Error, State};

use super::{CONVERTED, consume};
use crate::message::uri::Uri;

/// The longest link in bytes. Longer values are text.
const LONGEST: usize = 8 * 1024;
/// The longest domain name in bytes (RFC 1035, section 2.3.4). Its ASCII form is at least as long.
const LONGEST_HOST: usize = 253;
/// The maximum number of candidates that are checked.
const MAX_CANDIDATES: usize = 100;

/// `link(…)`: the first usable link among the value and the arguments (each may be a list), or else the first text,
/// unchanged.
pub fn link(state: &State, value: &Value, others: Rest<Value>) -> Result<String, Error> {
    if let Some(link) = first(state, value, &others, usable_link)? {
        return Ok(link);
    }
    let text = first(state, value, &others, |text| {
        (!text.is_empty()).then(|| without_passwords(text))
    });
    Ok(text?.unwrap_or_default())
}

/// `url(…)`: the same for links of http and https only. The result may be empty.
pub fn url(state: &State, value: &Value, others: Rest<Value>) -> Result<String, Error> {
    let url = first(state, value, &others, |text| {
        // A field with one link has no room for a second one.
        usable_link(text).map(|links| links.split(' ').next().unwrap_or_default().to_owned())
    });
    Ok(url?.unwrap_or_default())
}

/// The first candidate for which `make` returns a value.
///
/// # Errors
/// If no fuel is left.
fn first(
    state: &State,
    value: &Value,
    others: &[Value],
    make: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, Error> {
    let make_link = |candidate: &Value| -> Result<_, Error> {
        let Some(text) = candidate.as_str() else {
            consume(state, 1)?;
            return Ok(None);
        };
        consume(state, 1 + text.len() / CONVERTED)?;
        Ok(make(without_brackets(text)))
    };
    for value in std::iter::once(value).chain(others) {
        let link = match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                let mut items = value.try_iter()?.take(MAX_CANDIDATES);
                items
                    .find_map(|item| make_link(&item).transpose())
                    .transpose()?
            }
            _ => make_link(value)?,
        };
        if link.is_some() {
            return Ok(link);
        }
    }
    Ok(None)
}

/// A candidate without the brackets of Slack or Markdown. A scheme alone is empty: Uptime Kuma posts `https://` for a
/// monitor without a URL.
fn without_brackets(text: &str) -> &str {
    let text = text.trim();
    let slack = text
        .strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'));
    if let Some(inner) = slack.filter(|inner| !inner.contains(['<', '>'])) {
        return inner.split('|').next().unwrap_or_default().trim();
    }
    let markdown = text
        .strip_prefix(['[', '!'])
        .and_then(|text| text.strip_suffix(')'))
        .and_then(|text| text.split_once("]("));
    if let Some((_, target)) = markdown.filter(|(_, target)| !target.contains("](")) {
        // A title may follow: [text](url "title").
        let target = target.split(" \"").next().unwrap_or_default();
        return target.trim().trim_matches(['<', '>']);
    }
    match text.strip_suffix("://") {
        Some(scheme) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => "",
        _ => text,
    }
}

/// A link of http or https (RFC 9110, section 4.2), or several separated by spaces. Characters that RFC 3986 does not
/// allow are percent-encoded.
fn usable_link(text: &str) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    // Most candidates are valid links.
    let (_, tail) = scheme(text)?;
    let authority = &tail[..authority_len(tail)];
    if !authority.is_empty() && !authority.starts_with(':') && !authority.contains('@') {
        if let Ok(link) = Uri::new("oob_url", text.to_owned()) {
            return Some(link.as_str().to_owned());
        }
    }
    let mut links = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_link_at = |at: usize| scheme(&rest[at..]).is_some();
        let mut spaces = rest.char_indices().filter(|(_, c)| c.is_whitespace());
        let next = spaces.find(|(at, c)| is_link_at(at + c.len_utf8()));
        let (link, tail) = rest.split_at(next.map_or(rest.len(), |(at, _)| at));
        links.push(encode_link(link.trim_end().trim_end_matches([',', ';']))?);
        rest = tail.trim_start();
    }
    (!links.is_empty()).then(|| links.join(" "))
}

/// The scheme `http` or `https`, and the rest.
fn scheme(link: &str) -> Option<(&'static str, &str)> {
    ["https://", "http://"].into_iter().find_map(|scheme| {
        let begin = link.get(..scheme.len())?;
        begin
            .eq_ignore_ascii_case(scheme)
            .then(|| (scheme, &link[scheme.len()..]))
    })
}

fn encode_link(link: &str) -> Option<String> {
    let (scheme, rest) = scheme(link)?;
    if rest.contains(['\n', '\r']) {
        return None;
    }
    let rest = without_user(rest);
    let (authority, tail) = rest.split_at(authority_len(rest));
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority.ends_with(']') => authority.split_at(at),
        _ => (authority, ""),
    };
    if host.is_empty() {
        return None;
    }
    let mut uri = scheme.to_owned();
    match host.is_ascii() {
        true => uri.push_str(host),
        false if host.chars().count() > LONGEST_HOST => return None,
        false => uri.push_str(&idna::domain_to_ascii(host).ok()?),
    }
    uri.push_str(port);
    // Browsers read a backslash here as a slash.
    let tail = match tail.strip_prefix('\\') {
        Some(tail) => {
            uri.push('/');
            tail
        }
        None => tail,
    };
    let mut has_fragment = false;
    for (at, c) in tail.char_indices() {
        let is_escape = || {
            let digits = tail.as_bytes().get(at + 1..at + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        let is_unchanged = match c {
            '%' => is_escape(),
            '#' => !std::mem::replace(&mut has_fragment, true),
            c => c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?".contains(c),
        };
        if is_unchanged {
            uri.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                uri.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    Uri::new("oob_url", uri)
        .ok()
        .map(|uri| uri.as_str().to_owned())
}

fn authority_len(rest: &str) -> usize {
    rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())
}

/// The text after `//`, without a user name and password. A password may have a slash that should be encoded. Then the
/// port is not a number.
fn without_user(rest: &str) -> &str {
    let authority = &rest[..authority_len(rest)];
    if let Some(at) = authority.rfind('@') {
        return &rest[at + 1..];
    }
    let has_wrong_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.ends_with(']') && port.bytes().any(|b| !b.is_ascii_digit()));
    let word = rest.split(char::is_whitespace).next().unwrap_or_default();
    match word.rfind('@') {
        Some(at) if has_wrong_port => &rest[at + 1..],
        _ => rest,
    }
}

/// A text that is not a link. User names and passwords in its links are removed.
fn without_passwords(text: &str) -> String {
    let mut without_passwords = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        without_passwords.push_str(head);
        let is_end = |c: char| c.is_whitespace() || "<>()[]\"'".contains(c);
        let (word, tail) = tail.split_at(tail.find(is_end).unwrap_or(tail.len()));
        without_passwords.push_str(without_user(word));
        rest = tail;
    }
    without_passwords + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(value: &Value, others: Rest<Value>) -> String {
        let environment = minijinja::Environment::new();
        super::link(&environment.empty_state(), value, others).expect("a link")
    }

    fn url(value: &Value, others: Rest<Value>) -> String {
        let environment = minijinja::Environment::new();
        super::url(&environment.empty_state(), value, others).expect("a link")
    }

    fn one(text: &str) -> String {
        link(&Value::from(text), Rest(Vec::new()))
    }

    #[test]
    fn a_link_from_a_payload_becomes_usable() {
        for (text, expected) in [
            ("https://example.com/a?b=c#d", "https://example.com/a?b=c#d"),
            ("HTTP://Example.com", "HTTP://Example.com"),
            (
                "https://grafana.example.com/d?var-job=node exporter&x=1",
                "https://grafana.example.com/d?var-job=node%20exporter&x=1",
            ),
            (
                "https://example.com/x?a[]=1&f={\"b\":1}|c\\d^`<>",
                "https://example.com/x?a%5B%5D=1&f=%7B%22b%22:1%7D%7Cc%5Cd%5E%60%3C%3E",
            ),
            (
                "https://wiki.example.com/Plattenüberwachung",
                "https://wiki.example.com/Platten%C3%BCberwachung",
            ),
            (
                "https://example.com/100%/%zz/%41%",
                "https://example.com/100%25/%25zz/%41%25",
            ),
            ("https://example.com/#a#b", "https://example.com/#a%23b"),
            (
                "https://prüfung.example.de/",
                "https://xn--prfung-4ya.example.de/",
            ),
            (
                "https://[2001:db8::1]:80/[x]",
                "https://[2001:db8::1]:80/%5Bx%5D",
            ),
            ("https://example.com\\x", "https://example.com/x"),
            ("<https://example.com/x|Runbook>", "https://example.com/x"),
            ("[Runbook](https://example.com/x)", "https://example.com/x"),
            (
                "[Runbook](<https://example.com/x> \"title\")",
                "https://example.com/x",
            ),
            (
                "https://example.com/x, https://example.com/y z",
                "https://example.com/x https://example.com/y%20z",
            ),
            (
                "https://me:secret@example.com/x@y",
                "https://example.com/x@y",
            ),
            ("https://me:sec/ret@example.com/x", "https://example.com/x"),
        ] {
            assert_eq!(one(text), expected, "{text}");
            let first = expected.split(' ').next().expect("a link");
            assert_eq!(url(&Value::from(text), Rest(Vec::new())), first);
        }
    }

    #[test]
    fn a_text_that_is_not_a_link_is_unchanged() {
        for (text, expected) in [
            ("wiki.example.com/x", "wiki.example.com/x"),
            ("mailto:me@example.com", "mailto:me@example.com"),
            ("see https://example.com/x.", "see https://example.com/x."),
            (
                "see https://me:pw@example.com/x",
                "see https://example.com/x",
            ),
            ("mysql://me:pw@db1:3306/shop", "mysql://db1:3306/shop"),
            (
                "[a](https://a/) [b](https://b/)",
                "[a](https://a/) [b](https://b/)",
            ),
            ("https://two words/", "https://two words/"),
            ("https://example.com/a\nb", "https://example.com/a\nb"),
            ("https://", ""),
            ("", ""),
        ] {
            assert_eq!(one(text), expected, "{text}");
            assert_eq!(url(&Value::from(text), Rest(Vec::new())), "", "{text}");
        }
    }

    #[test]
    fn only_a_host_of_legal_length_is_encoded() {
        // Encoding a label takes time that grows with the square of its distinct letters.
        let host = |letters| -> String { ('\u{4E00}'..).take(letters).collect() };
        let short = format!("https://{}.example.com/", host(10));
        assert!(one(&short).starts_with("https://xn--"));
        let long = format!("https://{}.example.com/", host(900));
        assert_eq!(one(&long), long);
    }

    #[test]
    fn the_first_usable_candidate_is_taken() {
        let value = |text: &str| Value::from(text);
        let list = Value::from_iter([value(""), value("job/7/"), value("https://a.example/")]);
        assert_eq!(link(&list, Rest(Vec::new())), "https://a.example/");
        let others = Rest(vec![Value::from(7), Value::UNDEFINED, list]);
        assert_eq!(link(&value("x/y"), others), "https://a.example/");
        assert_eq!(link(&value("x/y"), Rest(vec![value("z")])), "x/y");
        assert_eq!(link(&Value::from(true), Rest(Vec::new())), "");
    }
}
