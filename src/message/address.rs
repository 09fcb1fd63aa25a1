//! An address as a client writes it → the address in the normal form of the server that routes it.

use crate::http::percent;
use crate::http::problem::{Problem, quote};

/// The questions about addresses that only the routing server can answer.
pub trait Server {
    /// The VirtualHost that the request reached.
    fn host(&self) -> &str;

    /// The normal form of an address (`util.jid.prep`), or `None` if it is not an address.
    fn normal(&self, address: &str) -> Option<String>;

    /// Whether a domain, in its normal form, is a host or component of this server.
    fn serves(&self, domain: &str) -> bool;

    /// Whether a domain, in its normal form, is a MUC service of this server (XEP-0045).
    fn has_rooms(&self, domain: &str) -> bool;
}

/// The parts of an address as RFC 7622 names them. They are as written, and not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Absent without an `@`.
    pub localpart: Option<&'a str>,
    pub domain: &'a str,
    /// Absent without a `/`.
    pub resource: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Splits as RFC 7622, section 3.1 does: the first `/` begins the resource, and an `@` before
    /// it ends the localpart.
    pub fn of(address: &'a str) -> Parts<'a> {
        let (bare, resource) = match address.split_once('/') {
            Some((bare, resource)) => (bare, Some(resource)),
            None => (address, None),
        };
        let (localpart, domain) = match bare.split_once('@') {
            Some((localpart, domain)) => (Some(localpart), domain),
            None => (None, bare),
        };
        Parts {
            localpart,
            domain,
            resource,
        }
    }

    fn join(&self) -> String {
        let mut address = String::new();
        if let Some(localpart) = self.localpart {
            address.push_str(localpart);
            address.push('@');
        }
        address.push_str(self.domain);
        if let Some(resource) = self.resource {
            address.push('/');
            address.push_str(resource);
        }
        address
    }
}

/// An address in the normal form of the server that routes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address(String);

impl Address {
    /// Reads a recipient: `user@domain`, `user`, `domain`, each perhaps with a resource, or an
    /// `xmpp:` URI (RFC 5122).
    ///
    /// # Errors
    /// 422, naming the part that is wrong and the field `to`.
    pub fn of_recipient(written: &str, server: &impl Server) -> Result<Address, Problem> {
        recipient(written, server).map_err(|problem| problem.field("to"))
    }

    /// Reads the sender in Basic credentials: `user@virtualhost` or `user`, perhaps with a resource. `None` if it is
    /// not the address of an account.
    pub fn of_sender(written: &str, server: &impl Server) -> Option<Address> {
        if written.len() > LONGEST {
            return None;
        }
        let parts = Parts::of(written);
        let address = match parts.localpart {
            Some(_) => normal(written, server),
            None => normal(
                &Parts {
                    localpart: Some(parts.domain),
                    domain: server.host(),
                    ..parts
                }
                .join(),
                server,
            ),
        };
        address.ok()
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address without its resource.
    pub fn bare(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(bare, _)| bare)
    }

    /// The parts of the address.
    pub fn parts(&self) -> Parts<'_> {
        Parts::of(&self.0)
    }
}

/// The maximum number of bytes of an address: three parts of 1023 bytes, and two separators (RFC 7622, section 3.1). A URI may be
/// longer, because it is percent-encoded.
const LONGEST: usize = 3 * 1023 + 2;

fn recipient(written: &str, server: &impl Server) -> Result<Address, Problem> {
    if written.len() > 4 * LONGEST {
        return Err(too_long(written));
    }
    if written.is_empty() {
        return Err(Problem::meaning(
            "the recipient is empty; an address such as user@example.com is needed",
        ));
    }
    if let Some((scheme, rest)) = split_scheme(written) {
        if !scheme.eq_ignore_ascii_case("xmpp") {
            return Err(Problem::meaning(format!(
                "{} is not an XMPP address; write user@domain or xmpp:user@domain",
                quote(written)
            )));
        }
        return normal(&uri(rest)?, server);
    }
    let parts = Parts::of(written);
    if parts.localpart.is_some() {
        return normal(written, server);
    }
    // A host of this server, or else a user of the request's host.
    if let Ok(address) = normal(written, server) {
        if server.serves(address.parts().domain) {
            return Ok(address);
        }
    }
    if parts.resource.is_some() {
        return Err(Problem::meaning(format!(
            "{} has a resource but no domain that this server serves; write user@domain/resource",
            quote(written)
        )));
    }
    let user = Parts {
        localpart: Some(parts.domain),
        domain: server.host(),
        resource: None,
    };
    normal(&user.join(), server)
}

/// The scheme of a URI, and the rest. In an address, no colon follows a text that could be a scheme.
fn split_scheme(written: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = written.split_once(':')?;
    let known = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    known.then_some((scheme, rest))
}

/// The address in an `xmpp:` URI without authority, query and fragment (RFC 5122, section 2.2).
fn uri(rest: &str) -> Result<String, Problem> {
    let has_no = |what: &str| {
        Problem::meaning(format!(
            "an xmpp: URI that names a recipient has no {what}; write xmpp:user@domain"
        ))
    };
    if rest.starts_with("//") {
        return Err(has_no("authority (//)"));
    }
    if rest.contains('?') {
        return Err(has_no("query (?)"));
    }
    if rest.contains('#') {
        return Err(has_no("fragment (#)"));
    }
    let parts = Parts::of(rest);
    let localpart = parts.localpart.map(|part| unescape(part, "localpart"));
    let domain = unescape(parts.domain, "domain")?;
    let resource = parts.resource.map(|part| unescape(part, "resource"));
    let (localpart, resource) = (localpart.transpose()?, resource.transpose()?);
    // Decoded, these characters would move the borders between the parts.
    for (part, name) in [
        (localpart.as_deref(), "localpart"),
        (Some(domain.as_str()), "domain"),
    ] {
        if part.is_some_and(|part| part.contains(['@', '/'])) {
            return Err(Problem::meaning(format!(
                "the {name} of an address cannot contain @ or /, not even percent-encoded"
            )));
        }
    }
    Ok(Parts {
        localpart: localpart.as_deref(),
        domain: &domain,
        resource: resource.as_deref(),
    }
    .join())
}

fn unescape(part: &str, name: &str) -> Result<String, Problem> {
    percent::decode(part.as_bytes())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            Problem::meaning(format!(
                "the {name} of the URI is not percent-encoded UTF-8; two hex digits must follow %"
            ))
        })
}

fn too_long(written: &str) -> Problem {
    Problem::meaning(format!(
        "{} is too long for an address; each of its parts has 1023 bytes at most",
        quote(written)
    ))
}

/// The normal form, if there is a stable one.
fn normal(written: &str, server: &impl Server) -> Result<Address, Problem> {
    if written.len() > LONGEST {
        return Err(too_long(written));
    }
    let parts = Parts::of(written);
    for (part, name) in [
        (parts.localpart, "localpart"),
        (Some(parts.domain), "domain"),
        (parts.resource, "resource"),
    ] {
        if let Some(control) = part.and_then(|part| part.chars().find(|c| c.is_control())) {
            return Err(Problem::meaning(format!(
                "the {name} of the address contains the control character U+{:04X}; leave it out",
                control as u32
            )));
        }
    }
    let Some(address) = server.normal(written) else {
        return Err(refused(written, parts, server));
    };
    if server.normal(&address).as_ref() != Some(&address) {
        return Err(Problem::meaning(format!(
            "{} has no stable normal form; write it as {}",
            quote(written),
            quote(&address)
        )));
    }
    Ok(Address(address))
}

/// Why the server refuses an address. The `jid` crate has an explanation unless it accepts the address. Asking the
/// server about each part finds the part that is wrong.
fn refused(written: &str, parts: Parts, server: &impl Server) -> Problem {
    let name = if parts.localpart == Some("") {
        "localpart"
    } else if parts.domain.is_empty() || server.normal(parts.domain).is_none() {
        "domain"
    } else if parts.localpart.is_some_and(|part| {
        let alone = Parts {
            localpart: Some(part),
            resource: None,
            ..parts
        };
        server.normal(&alone.join()).is_none()
    }) {
        "localpart"
    } else {
        "resource"
    };
    let why = match jid::Jid::new(written) {
        Err(error) => format!(" ({error})"),
        Ok(_) => String::new(),
    };
    Problem::meaning(format!(
        "{} is not an address: its {name} is not valid{why}; write user@domain",
        quote(written)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server with two domains. Its normal form is in lower case, without a dot at the end.
    struct Ascii;

    impl Server for Ascii {
        fn host(&self) -> &str {
            "example.com"
        }

        fn normal(&self, address: &str) -> Option<String> {
            let Parts {
                localpart,
                domain,
                resource,
            } = Parts::of(address);
            let domain = domain
                .strip_suffix('.')
                .unwrap_or(domain)
                .to_ascii_lowercase();
            let bad = |part: &str| part.is_empty() || part.contains([' ', '&', '@']);
            if bad(&domain)
                || localpart.is_some_and(bad)
                || resource == Some("")
                || !address.is_ascii()
            {
                return None;
            }
            let localpart = localpart.map(str::to_ascii_lowercase);
            Some(
                Parts {
                    localpart: localpart.as_deref(),
                    domain: &domain,
                    resource,
                }
                .join(),
            )
        }

        fn serves(&self, domain: &str) -> bool {
            matches!(domain, "example.com" | "echo.example.com")
        }

        fn has_rooms(&self, _: &str) -> bool {
            false
        }
    }

    #[track_caller]
    fn assert_read(written: &str, address: &str) {
        let read = Address::of_recipient(written, &Ascii);
        assert_eq!(
            read.as_ref().map(Address::as_str),
            Ok(address),
            "{written:?}"
        );
    }

    #[track_caller]
    fn refused(written: &str, part: &str) {
        let problem = Address::of_recipient(written, &Ascii).expect_err(written);
        assert_eq!(
            (problem.status(), problem.field.as_deref()),
            (422, Some("to")),
            "{written:?}"
        );
        assert!(problem.detail.contains(part), "{written:?}: {problem}");
        assert!(
            !problem.detail.contains(char::is_control),
            "{written:?}: {problem}"
        );
    }

    #[test]
    fn an_address_is_read_in_its_normal_form() {
        assert_read("user@example.com", "user@example.com");
        assert_read("USER@Example.COM./Desk 1/@x", "user@example.com/Desk 1/@x");
        assert_read("user@elsewhere.example", "user@elsewhere.example");
    }

    #[test]
    fn each_part_of_an_address_may_have_1023_bytes() {
        let longest = format!("u@example.com/{}", "x".repeat(LONGEST - 14));
        assert_read(&longest, &longest);
        assert!(Address::of_sender(&longest, &Ascii).is_some());
        refused(&(longest.clone() + "x"), "1023 bytes");
        assert!(Address::of_sender(&(longest + "x"), &Ascii).is_none());
        let encoded = format!("xmpp:u@example.com/{}", "%41".repeat(1023));
        assert_read(&encoded, &format!("u@example.com/{}", "A".repeat(1023)));
    }

    #[test]
    fn a_word_is_a_domain_of_this_server_or_else_a_user_of_the_host() {
        assert_read("user", "user@example.com");
        assert_read("Echo.example.com", "echo.example.com");
        assert_read("echo.example.com/a/b", "echo.example.com/a/b");
        assert_read("elsewhere.example", "elsewhere.example@example.com");
        refused("user/desk", "no domain");
        refused("elsewhere.example/desk", "no domain");
    }

    #[test]
    fn a_uri_means_exactly_its_address() {
        assert_read("xmpp:user@example.com", "user@example.com");
        assert_read("XMPP:elsewhere.example", "elsewhere.example");
        assert_read("xmpp:user", "user");
        assert_read(
            "xmpp:us%65r@example.com/a%20b%2Fc",
            "user@example.com/a b/c",
        );
        refused("xmpp://user@example.com", "authority");
        refused("xmpp:user@example.com?message", "query");
        refused("xmpp:user@example.com#x", "fragment");
        refused("xmpp:us%er@example.com", "localpart");
        refused("xmpp:user@example.com/%FF", "resource");
        refused("xmpp:us%40er@example.com", "localpart");
        refused("xmpp:us%2Fer@example.com", "localpart");
        refused("xmpp:user@example.com%2Fx", "domain");
        refused("mailto:user@example.com", "not an XMPP address");
        refused("a:b", "not an XMPP address");
    }

    #[test]
    fn the_wrong_part_is_named() {
        refused("@example.com", "localpart");
        refused("us&er@example.com", "localpart");
        refused("user@", "domain");
        refused("user@ex ample.com", "domain");
        refused("user@example.com/", "resource");
        refused("user@example.com..", "no stable normal form");
        refused("", "empty");
    }

    #[test]
    fn control_characters_are_refused_in_every_part() {
        refused(
            "us\0er@example.com",
            "localpart of the address contains the control character U+0000",
        );
        refused(
            "user@exam\u{85}ple.com",
            "domain of the address contains the control character U+0085",
        );
        refused(
            "user@example.com/\u{7F}",
            "resource of the address contains the control character U+007F",
        );
        refused("xmpp:user@example.com/%0A", "U+000A");
    }

    #[test]
    fn a_sender_is_an_account_and_never_a_domain() {
        let sender = |written| Address::of_sender(written, &Ascii).map(|address| address.0);
        assert_eq!(sender("ME").as_deref(), Some("me@example.com"));
        assert_eq!(sender("me/cron").as_deref(), Some("me@example.com/cron"));
        assert_eq!(
            sender("echo.example.com").as_deref(),
            Some("echo.example.com@example.com")
        );
        assert_eq!(
            sender("me@other.example/x").as_deref(),
            Some("me@other.example/x")
        );
        assert_eq!(sender("@example.com"), None);
        assert_eq!(sender(""), None);
    }

    #[test]
    fn a_bare_address_has_no_resource() {
        let address = |text: &str| Address(text.to_owned());
        assert_eq!(address("a@b/c@d/e").bare(), "a@b");
        assert_eq!(address("a@b").bare(), "a@b");
        let parts = Parts {
            localpart: Some("a"),
            domain: "b",
            resource: Some("c@d/e"),
        };
        assert_eq!(address("a@b/c@d/e").parts(), parts);
    }
}
