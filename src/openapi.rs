//! What is served, as OpenAPI 3.1 describes it: `openapi.json`, in which words in capitals stand for what is declared of
//! fields, statuses and templates.

use crate::http::answer::STATUSES;
use crate::message::field::{FIELDS, Field, Takes};
use crate::template::source::BUILT_IN;

/// The description for the VirtualHost `host`, served below the path `base`.
pub fn document(base: &str, host: &str) -> String {
    let mut document = include_str!("openapi.json").to_owned();
    let mut problems = Vec::new();
    for status in STATUSES {
        let says = quoted(&format!("{}: {}", status.title, status.when));
        let name = format!("\"Status{}\"", status.code);
        if document.contains(&name) {
            let mark = format!("\"WHEN {}\"", status.code);
            document = document.replace(&mark, &says);
        } else {
            problems.push(format!("{name}:{}", problem(status.code, &says)));
        }
    }
    // No body is posted to be answered 405.
    let statuses = STATUSES.iter().map(|status| status.code);
    let statuses = statuses.filter(|code| *code != 405);
    let statuses = statuses.map(|code| {
        let response = reference("responses", &format!("Status{code}"));
        format!("\"{code}\":{response}")
    });
    let enough = FIELDS.iter().filter(|field| field.suffices);
    let enough = enough.map(|field| format!("{{\"required\":[\"{}\"]}}", field.name));
    let host = quoted(host);
    for (mark, stands_for) in [
        ("\"PROBLEMS\": {}", problems.join(",")),
        ("\"STATUSES\": {}", list(statuses)),
        ("\"FIELDS\": {}", list(FIELDS.iter().map(property))),
        ("\"ENOUGH\"", list(enough)),
        (
            "\"PROGRAMS\"",
            list(BUILT_IN.iter().map(|(name, _)| quoted(name))),
        ),
        ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
        ("\"BASE\"", quoted(if base.is_empty() { "/" } else { base })),
        ("HOST", host.trim_matches('"').to_owned()),
    ] {
        document = document.replace(mark, &stands_for);
    }
    document
}

fn quoted(text: &str) -> String {
    // No text fails to be JSON.
    serde_json::to_string(text).unwrap_or_default()
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

fn reference(kind: &str, name: &str) -> String {
    format!("{{\"$ref\":\"#/components/{kind}/{name}\"}}")
}

fn property(field: &Field) -> String {
    let (name, says) = (field.name, quoted(field.says));
    let takes = match field.takes {
        Takes::Addresses => r#"["string","array"],"items":{"type":"string"}"#.to_owned(),
        Takes::Word(words) => format!("\"string\",\"enum\":{words:?}"),
        Takes::Uri => r#""string","format":"uri""#.to_owned(),
        _ => r#""string""#.to_owned(),
    };
    format!("\"{name}\":{{\"description\":{says},\"type\":{takes}}}")
}

fn problem(code: u16, says: &str) -> String {
    let more = match code {
        401 => Some("WWW-Authenticate"),
        405 => Some("Allow"),
        429 | 503 => Some("Retry-After"),
        _ => None,
    };
    let headers = more.into_iter().chain(["X-Request-Id"]);
    let headers = list(headers.map(|name| format!("\"{name}\":{}", reference("headers", name))));
    let schema = reference("schemas", "Problem");
    format!(
        "{{\"description\":{says},\"headers\":{{{headers}}},\"content\":{{\
         \"application/problem+json\":{{\"schema\":{schema}}},\
         \"text/plain\":{{\"schema\":{{\"type\":\"string\"}}}}}}}}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::payload::format::FORMATS;

    fn read(base: &str, host: &str) -> Value {
        serde_json::from_str(&document(base, host)).unwrap()
    }

    #[test]
    fn every_field_format_and_status_is_described() {
        let components = &read("/msg", "example.com")["components"];
        let keys = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        let fields = FIELDS.iter().map(|field| field.name.to_owned());
        for schema in ["Fields", "Message"] {
            let properties = &components["schemas"][schema]["properties"];
            assert_eq!(keys(properties), sorted(fields.clone().collect()));
        }
        let content = &components["requestBodies"]["Messages"]["content"];
        let formats = FORMATS.iter().map(|format| format.media_type);
        let formats = formats.chain(["application/octet-stream"]); // a file
        assert_eq!(keys(content), sorted(formats.map(str::to_owned).collect()));
        let statuses = STATUSES
            .iter()
            .map(|status| format!("Status{}", status.code));
        let responses = statuses.chain(["Options".to_owned()]).collect();
        assert_eq!(keys(&components["responses"]), sorted(responses));
    }

    #[test]
    fn no_word_stands_for_what_is_declared_any_more() {
        let document = document("", "a\"\\b");
        let (words, _) = ["FIELDS", "ENOUGH", "PROGRAMS", "STATUSES", "PROBLEMS"]
            .into_iter()
            .chain(["WHEN", "VERSION", "BASE", "HOST"])
            .partition::<Vec<_>, _>(|word| document.contains(word));
        assert!(words.is_empty(), "{words:?}");
        assert_eq!(read("", "x")["servers"][0]["url"], "/");
        let recipient = &read("/msg", "a\"\\b")["components"]["parameters"]["Recipient"];
        assert_eq!(recipient["example"], "user@a\"\\b");
    }
}
