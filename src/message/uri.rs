//! x

use crate::http::percent;
use crate::http::problem::{Problem, quote};

/// A URI with a scheme (RFC 3986, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri(String);

impl Uri {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// # Errors
    /// 422, with the offset of the first character that no URI has.
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
        if percent::decode(uri.as_bytes()).is_err() {
            return Err(problem("a % is not followed by two hex digits"));
        }
        let Some((scheme, rest)) = uri.split_once(':') else {
            return Err(problem("it has no scheme"));
        };
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            || !scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        {
            return Err(problem("it has no scheme"));
        }
        if !is_hier_part(rest) {
            return Err(problem("it is not formed as RFC 3986 says"));
        }
        Ok(Uri(uri))
    }
}

/// unreserved, reserved and "%" (RFC 3986, sections 2.1 to 2.3).
fn is_uri_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c)
}

/// What follows the scheme: brackets only around an IP literal, one fragment, digits as port.
fn is_hier_part(rest: &str) -> bool {
    let (before, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (path, query) = before.split_once('?').unwrap_or((before, ""));
    if fragment.contains(['#', '[', ']']) || query.contains(['[', ']']) {
        return false;
    }
    let Some(authority_and_path) = path.strip_prefix("//") else {
        return !path.contains(['[', ']']);
    };
    let (authority, path) = match authority_and_path.find('/') {
        Some(at) => authority_and_path.split_at(at),
        None => (authority_and_path, ""),
    };
    let (userinfo, host_and_port) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (host, port) = match host_and_port.strip_prefix('[') {
        Some(literal) => {
            let Some((literal, port)) = literal.split_once(']') else {
                return false;
            };
            if !is_ip_literal(literal) || !(port.is_empty() || port.starts_with(':')) {
                return false;
            }
            ("", port.trim_start_matches(':'))
        }
        None => host_and_port.split_once(':').unwrap_or((host_and_port, "")),
    };
    !path.contains(['[', ']'])
        && !userinfo.contains(['@', '[', ']'])
        && !host.contains(['[', ']'])
        && port.bytes().all(|b| b.is_ascii_digit())
}

/// IP-literal without its brackets (RFC 3986, section 3.2.2).
fn is_ip_literal(literal: &str) -> bool {
    if let Some(future) = literal.strip_prefix(['v', 'V']) {
        return future.split_once('.').is_some_and(|(version, address)| {
            !version.is_empty()
                && version.bytes().all(|b| b.is_ascii_hexdigit())
                && !address.is_empty()
                && !address.contains(['/', '@', '[', ']', '%'])
        });
    }
    literal.parse::<std::net::Ipv6Addr>().is_ok()
}
