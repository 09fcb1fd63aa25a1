//! Origin and Sec-Fetch-Site: whether a page of another site makes a browser send a request.

/// The headers by which a browser describes the page that sends a request. Other clients do not send them.
pub struct BrowserHeaders<'a> {
    /// Origin (RFC 6454, section 7).
    pub origin: Option<&'a [u8]>,
    /// Sec-Fetch-Site (Fetch Metadata, section 2.3), which browsers leave out over plain HTTP.
    pub site: Option<&'a [u8]>,
    /// Host (RFC 9110, section 7.2).
    pub host: Option<&'a [u8]>,
}

impl BrowserHeaders<'_> {
    /// Whether the page has another origin than the request's URL. `url` is the URL under which clients reach the
    /// server: a proxy may have rewritten Host.
    pub fn is_foreign(&self, url: &[u8]) -> bool {
        match self.site {
            Some(b"cross-site" | b"same-site") => return true,
            Some(b"same-origin" | b"none") => return false,
            _ => {}
        }
        let Some(origin) = self.origin else {
            return false;
        };
        let Some((scheme, authority)) = split(origin) else {
            return true;
        };
        let is_host = self
            .host
            .is_some_and(|host| without_default_port(&scheme, host) == authority);
        !is_host && split(url) != Some((scheme, authority))
    }
}

/// The scheme of an origin or URL, and its host in lower case, with the port unless it is the scheme's default.
fn split(url: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let end = url.windows(3).position(|part| part == b"://")?;
    let scheme = url[..end].to_ascii_lowercase();
    let authority = url[end + 3..].split(|&byte| byte == b'/').next()?;
    let authority = without_default_port(&scheme, authority);
    Some((scheme, authority))
}

fn without_default_port(scheme: &[u8], authority: &[u8]) -> Vec<u8> {
    let port: &[u8] = match scheme {
        b"http" => b":80",
        b"https" => b":443",
        _ => b"",
    };
    authority
        .strip_suffix(port)
        .unwrap_or(authority)
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &[u8] = b"https://chat.example:5281/msg";

    fn is_foreign(origin: &str, site: &str, host: &str) -> bool {
        let non_empty = |text: &'static str| (!text.is_empty()).then_some(text.as_bytes());
        let (origin, site, host) = (origin.to_owned(), site.to_owned(), host.to_owned());
        let headers = BrowserHeaders {
            origin: non_empty(origin.leak()),
            site: non_empty(site.leak()),
            host: non_empty(host.leak()),
        };
        headers.is_foreign(URL)
    }

    #[test]
    fn clients_other_than_browsers_are_not_foreign() {
        assert!(!is_foreign("", "", "example.com"));
        assert!(!is_foreign("", "", ""));
    }

    #[test]
    fn a_page_of_the_same_host_is_not_foreign() {
        for (origin, host) in [
            ("http://example.com", "example.com"),
            ("http://example.com", "example.com:80"),
            ("https://example.com", "example.com"),
            ("https://example.com", "EXAMPLE.com:443"),
            ("http://example.com:5280", "example.com:5280"),
            ("http://[::1]:5280", "[::1]:5280"),
            ("https://chat.example:5281", "127.0.0.1:5280"),
            ("https://chat.example:5281", ""),
        ] {
            assert!(!is_foreign(origin, "", host), "{origin} at {host}");
        }
    }

    #[test]
    fn other_origins_are_foreign() {
        for origin in [
            "https://evil.example",
            "http://example.com:8080",
            "https://example.com:80",
            "https://example.com.evil.example",
            "https://evil.example/example.com",
            "http://chat.example:5281",
            "https://chat.example",
            "null",
            "example.com",
            "://example.com:",
            "https://example.com, https://evil.example",
            "\u{fffd}",
        ] {
            assert!(is_foreign(origin, "", "example.com"), "{origin}");
        }
        assert!(is_foreign("https://example.com", "", ""));
    }

    #[test]
    fn sec_fetch_site_has_precedence_over_origin() {
        for site in ["cross-site", "same-site"] {
            assert!(is_foreign("", site, "example.com"), "{site}");
            assert!(is_foreign("https://example.com", site, "example.com"));
        }
        for site in ["same-origin", "none"] {
            let is_foreign = is_foreign("https://rewritten.example", site, "127.0.0.1");
            assert!(!is_foreign, "{site}");
        }
        assert!(is_foreign("https://evil.example", "odd", "example.com"));
        assert!(!is_foreign("", "odd", "example.com"));
    }
}
