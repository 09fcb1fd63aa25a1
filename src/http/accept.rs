//! `Accept`: the media type of the answer.

use mediatype::{MediaType, MediaTypeList, ReadParams};

/// Whether the answer to a successful request is JSON: `Accept` names `application/json` (RFC 9110, section 12.5.1).
pub fn wants_json(accept: &[u8]) -> bool {
    names(accept, &["json"])
}

/// Whether the answer is a page: `Accept` names `text/html`, and gives JSON no higher weight.
pub fn wants_html(accept: &[u8]) -> bool {
    let html = weight(accept, "text", "html").unwrap_or(0.0);
    let json = [("application", "json"), ("application", "*"), ("*", "*")];
    let json = json
        .iter()
        .find_map(|(ty, subty)| weight(accept, ty, subty));
    html > 0.0 && html >= json.unwrap_or(0.0)
}

/// The highest weight of a media range, if it is named.
fn weight(accept: &[u8], ty: &str, subty: &str) -> Option<f32> {
    let named = ranges(accept)
        .filter(|range| range.suffix.is_none() && range.ty == ty && range.subty == subty);
    named.map(|range| weight_of(&range)).reduce(f32::max)
}

/// Whether a problem is answered in JSON: `Accept` names one of its media types; or `Accept` is absent or `*/*`, and
/// the request's own body is JSON.
pub fn wants_problem_json(accept: Option<&[u8]>, content_type: Option<&[u8]>) -> bool {
    match accept {
        Some(accept) if !is_unspecific(accept) => names(accept, &["json", "problem+json"]),
        _ => {
            let essence = content_type
                .unwrap_or_default()
                .split(|&b| b == b';')
                .next();
            let essence = essence.unwrap_or_default().trim_ascii();
            essence.eq_ignore_ascii_case(b"application/json")
                || essence.eq_ignore_ascii_case(b"application/x-ndjson")
        }
    }
}

fn is_unspecific(accept: &[u8]) -> bool {
    ranges(accept).all(|range| range.ty == "*" && range.subty == "*")
}

/// Whether `Accept` names one of these subtypes of `application` with a weight above 0.
fn names(accept: &[u8], subtypes: &[&str]) -> bool {
    ranges(accept).any(|range| {
        let suffix = range.suffix.map(|suffix| format!("+{suffix}"));
        let subtype = range.subty.to_string() + suffix.as_deref().unwrap_or_default();
        range.ty == "application"
            && subtypes
                .iter()
                .any(|known| subtype.eq_ignore_ascii_case(known))
            && weight_of(&range) > 0.0
    })
}

/// The weight of a range, from 0 (refused) to 1 (RFC 9110, section 12.4.2). A malformed weight counts as 1.
fn weight_of(range: &MediaType) -> f32 {
    let weight = mediatype::Name::new("q").and_then(|q| range.get_param(q));
    let weight = weight.and_then(|weight| weight.as_str().parse().ok());
    weight
        .filter(|weight| (0.0..=1.0).contains(weight))
        .unwrap_or(1.0)
}

/// The media ranges. Malformed ones are skipped.
fn ranges(accept: &[u8]) -> impl Iterator<Item = MediaType<'_>> {
    MediaTypeList::new(std::str::from_utf8(accept).unwrap_or_default()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_wanted_if_accept_names_it() {
        for accept in [
            "application/json",
            "text/html, Application/JSON;q=0.001",
            "*/*;q=0.1,application/json ; x=y",
        ] {
            assert!(wants_json(accept.as_bytes()), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/*",
            "application/problem+json",
            "application/json;q=0",
            "application/json; Q=0.000",
            "application/jsonp",
            ",;,",
        ] {
            assert!(!wants_json(accept.as_bytes()), "{accept}");
        }
        assert!(!wants_json(b"\xFF\0"));
    }

    #[test]
    fn a_page_is_wanted_if_accept_gives_html_at_least_the_weight_of_json() {
        for accept in [
            "text/html",
            "Text/HTML;q=0.001",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
            "application/json;q=0.5, text/html;q=0.6",
            "application/json, text/html",
            "text/html;q=0.2, application/json;q=0.1, */*",
            "text/html;q=0, text/html;q=0.3",
            "text/html;q=high",
            "application/problem+json, text/html;q=0.1",
        ] {
            assert!(wants_html(accept.as_bytes()), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/*",
            "text/html;q=0",
            "application/json",
            "application/json, text/html;q=0.1",
            "text/html;q=0.1, application/json",
            "text/html;q=0.5, application/*",
            "text/html;q=0.5, */*",
            "text/html;q=0.5, application/json;q=NaN",
            "application/xhtml+xml",
        ] {
            assert!(!wants_html(accept.as_bytes()), "{accept}");
        }
        assert!(!wants_html(b"text/html\xFF"));
    }

    #[test]
    fn a_request_in_json_is_answered_in_json_unless_accept_says_something_else() {
        let json = Some(&b"application/json; charset=utf-8"[..]);
        for nothing in [
            None,
            Some("*/*"),
            Some("*/*;q=0.8, "),
            Some(""),
            Some("?"),
            Some(",;,"),
        ] {
            let accept = nothing.map(str::as_bytes);
            assert!(wants_problem_json(accept, json), "{nothing:?}");
            assert!(
                !wants_problem_json(accept, Some(b"text/plain")),
                "{nothing:?}"
            );
        }
        for (accept, wanted) in [
            ("text/plain", false),
            ("text/*, */*", false),
            ("application/problem+json", true),
            ("application/problem+json;q=0, text/plain", false),
        ] {
            assert_eq!(
                wants_problem_json(Some(accept.as_bytes()), json),
                wanted,
                "{accept}"
            );
        }
    }
}
