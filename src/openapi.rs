//! The OpenAPI 3.1 description of the module: `openapi.json`, in which words in capitals are replaced by the
//! declarations of fields, statuses and templates.

use crate::http::answer::{STATUSES, json};
use crate::message::field::{FIELDS, Field, FieldType, LONGEST_ID, Row};
use crate::template::source::BUILT_IN;

/// The description for the VirtualHost `host`, served below the path `base`.
pub fn document(base: &str, host: &str) -> String {
    let mut document = include_str!("openapi.json").to_owned();
    let (mut statuses, mut problems) = (String::new(), String::new());
    for status in STATUSES {
        let code = status.code;
        let description = json(&format!("{}: {}", status.title, status.when));
        if document.contains(&format!("\"Status{code}\"")) {
            fill(&mut document, &format!("\"WHEN {code}\""), &description);
        } else {
            add(&mut problems, &problem(code, &description));
        }
        // A POST is never answered 405.
        if code != 405 {
            let response =
                format!("\"{code}\":{{\"$ref\":\"#/components/responses/Status{code}\"}}");
            add(&mut statuses, &response);
        }
    }
    let (mut fields, mut enough, mut programs) = (String::new(), String::new(), String::new());
    let mut query = String::new();
    for field in FIELDS {
        add(&mut fields, &property(field));
        // Generators of clients call the body of the request `body`.
        let is_in_query = !matches!(field.field, Field::To | Field::Html | Field::Body);
        if is_in_query {
            add(&mut query, &parameter(field));
        }
        if field.suffices {
            add(
                &mut enough,
                &format!("{{\"required\":[\"{}\"]}}", field.name),
            );
        }
    }
    for (name, _) in BUILT_IN {
        add(&mut programs, &json(name));
    }
    fill(&mut document, "\"PROBLEMS\": {}", &problems);
    fill(&mut document, "\"STATUSES\": {}", &statuses);
    fill(&mut document, "\"FIELDS\": {}", &fields);
    fill(&mut document, "\"ENOUGH\"", &enough);
    fill(&mut document, "{ \"QUERY\": {} }", &query);
    fill(&mut document, "\"PROGRAMS\"", &programs);
    fill(&mut document, "VERSION", env!("CARGO_PKG_VERSION"));
    fill(&mut document, "HOST", json(host).trim_matches('"'));
    // In OpenAPI a path is never empty; elsewhere in this module, the base path ends without a slash.
    let root = if base.is_empty() { "/" } else { base };
    fill(&mut document, "\"BASE\"", &json(root));
    fill(&mut document, "BASE", json(base).trim_matches('"'));
    document
}

fn fill(document: &mut String, mark: &str, text: &str) {
    *document = document.replace(mark, text);
}

/// Adds an item to a list.
fn add(list: &mut String, item: &str) {
    if !list.is_empty() {
        list.push(',');
    }
    list.push_str(item);
}

/// A field as a parameter of the query.
fn parameter(field: &Row) -> String {
    let name = field.name;
    let description = format!(
        "The field `{name}`, if the body does not have it; with `as`, a template that makes it from the payload"
    );
    format!(
        "{{\"name\":\"{name}\",\"in\":\"query\",\"schema\":{{\"type\":\"string\"}},\"description\":{}}}",
        json(&description)
    )
}

fn property(field: &Row) -> String {
    let (name, description) = (field.name, json(field.description));
    let mut takes = "\"string\"".to_owned();
    match field.field_type {
        FieldType::Addresses => {
            takes = r#"["string","array"],"items":{"type":"string"}"#.to_owned()
        }
        FieldType::Boolean => {
            takes = r#"["boolean","string"]"#.to_owned();
        }
        FieldType::Word(words) => takes += &format!(",\"enum\":{words:?}"),
        FieldType::Reference | FieldType::AttributeText => {
            takes += &format!(",\"maxLength\":{LONGEST_ID}");
        }
        FieldType::Uri => takes += ",\"format\":\"uri\"",
        _ => (),
    }
    format!("\"{name}\":{{\"description\":{description},\"type\":{takes}}}")
}

/// The response of a status with a problem.
fn problem(code: u16, description: &str) -> String {
    let header = match code {
        401 => "WWW-Authenticate",
        405 => "Allow",
        429 | 503 => "Retry-After",
        _ => "",
    };
    let mut headers = String::new();
    for name in ["X-Request-Id", header] {
        if !name.is_empty() {
            let reference = format!("\"{name}\":{{\"$ref\":\"#/components/headers/{name}\"}}");
            add(&mut headers, &reference);
        }
    }
    format!(
        "\"Status{code}\":{{\"description\":{description},\"headers\":{{{headers}}},\"content\":{{\
         \"application/problem+json\":{{\"schema\":{{\"$ref\":\"#/components/schemas/Problem\"}}}},\
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
    fn every_word_in_capitals_is_replaced() {
        let document = document("", "a\"\\b");
        let (words, _) = [
            "FIELDS", "QUERY", "ENOUGH", "PROGRAMS", "STATUSES", "PROBLEMS",
        ]
        .into_iter()
        .chain(["WHEN", "VERSION", "BASE", "HOST"])
        .partition::<Vec<_>, _>(|word| document.contains(word));
        assert!(words.is_empty(), "{words:?}");
        assert!(read("", "x")["paths"]["/"].is_object());
        assert!(read("/a/b", "x")["paths"]["/a/b/{recipient}"].is_object());
        let recipient = &read("/msg", "a\"\\b")["components"]["parameters"]["Recipient"];
        assert_eq!(recipient["example"], "user@a\"\\b");
    }
}
