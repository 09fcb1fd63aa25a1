//! The page's request about an account's sending tokens: a JSON object.

use serde_json::{Map, Value};

use crate::http::problem::{Problem, quote};

/// The value of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    Text(String),
    Texts(Vec<String>),
}

/// The known members, and their types.
const MEMBERS: [(&str, &str); 10] = [
    ("action", "text"),
    ("id", "text"),
    ("label", "text"),
    ("to", "list of addresses"),
    ("as", "text"),
    ("days", "whole number"),
    ("rate", "whole number"),
    ("get", "boolean"),
    ("replies", "boolean"),
    ("nick", "text"),
];

/// Reads the members. A number or boolean becomes text; `null` is an absent member.
///
/// # Errors
/// 422 unless the bytes are a JSON object, and for a member that is unknown or has another type.
pub fn read(body: &[u8]) -> Result<Vec<(&'static str, Member)>, Problem> {
    let object: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        let detail = format!(
            "a JSON object in UTF-8 with `action` (list, add or revoke) is needed: {}",
            quote(&error.to_string())
        );
        Problem::meaning(detail).field("action")
    })?;
    let present = object.into_iter().filter(|(_, value)| !value.is_null());
    present.map(|(name, value)| member(&name, value)).collect()
}

fn member(name: &str, value: Value) -> Result<(&'static str, Member), Problem> {
    let Some((known, kind)) = MEMBERS.into_iter().find(|(known, _)| *known == name) else {
        let detail = format!(
            "there is no member {}; a token has label, to, as, days, rate, get, replies and nick",
            quote(name)
        );
        return Err(Problem::meaning(detail).field(name.chars().take(60).collect::<String>()));
    };
    let read = match value {
        Value::String(text) if kind != "list of addresses" => Some(Member::Text(text)),
        Value::Bool(value) if kind == "boolean" => Some(Member::Text(value.to_string())),
        Value::Number(number) if kind == "whole number" => Some(Member::Text(number.to_string())),
        Value::Array(values) if kind == "list of addresses" => {
            let texts = values.into_iter().map(|value| match value {
                Value::String(text) if !text.is_empty() => Some(text),
                _ => None,
            });
            texts.collect::<Option<_>>().map(Member::Texts)
        }
        _ => None,
    };
    let read = read.map(|member| (known, member));
    read.ok_or_else(|| Problem::meaning(format!("`{known}` is a {kind}")).field(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_texts_and_lists_of_texts() {
        let read = read(br#"{"action":"add","to":["a@b"],"days":30,"rate":"7","label":null}"#);
        let mut read = read.expect("a request");
        read.sort_by_key(|(name, _)| *name);
        assert_eq!(
            read,
            [
                ("action", Member::Text("add".to_owned())),
                ("days", Member::Text("30".to_owned())),
                ("rate", Member::Text("7".to_owned())),
                ("to", Member::Texts(vec!["a@b".to_owned()])),
            ]
        );
    }

    #[test]
    fn other_bodies_are_refused_and_the_member_is_named() {
        let deep = "[".repeat(60_000);
        for (body, field) in [
            (&b""[..], "action"),
            (b"{", "action"),
            (b"[]", "action"),
            (b"{\"action\":\"add\",\"\xff\":1}", "action"),
            (deep.as_bytes(), "action"),
            (br#"{"x":{"x":[]}}"#, "x"),
            (br#"{"action":{}}"#, "action"),
            (br#"{"days":true}"#, "days"),
            (br#"{"to":"a@b"}"#, "to"),
            (br#"{"to":[""]}"#, "to"),
            (br#"{"to":["a@b",7]}"#, "to"),
            (br#"{"id":7}"#, "id"),
        ] {
            let problem = read(body).expect_err("a problem");
            assert_eq!(
                (problem.status(), problem.field.as_deref()),
                (422, Some(field))
            );
            assert!(problem.detail.len() < 300, "{}", problem.detail);
        }
        let long = format!("{{\"{}\":1}}", "x".repeat(60_000));
        let problem = read(long.as_bytes()).expect_err("a problem");
        assert!(problem.detail.len() < 300 && problem.field.is_some_and(|name| name.len() == 60));
    }
}
