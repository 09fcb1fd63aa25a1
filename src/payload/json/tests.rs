use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::http::problem::Place;
use crate::message::limits::EXAMPLE as LIMITS;
use crate::payload::body::drafts_of;

/// Reads at most `limit` messages in UTF-8.
fn read(text: &str, limit: usize) -> Result<(Vec<Draft>, bool), Problem> {
    let limits = Limits {
        batch: limit,
        ..LIMITS
    };
    let body = (text.as_bytes(), encoding_rs::UTF_8, None);
    drafts_of(body, |body, take| super::read(body, &limits, take)).map(|(drafts, read)| {
        let drafts = drafts.into_iter().map(Draft::known);
        (drafts.collect(), read.many)
    })
}

fn spellings(draft: Draft) -> Option<Vec<String>> {
    draft.to.map(|to| to.into_spellings(&LIMITS).unwrap())
}

#[track_caller]
fn read_one(text: &str) -> Draft {
    match read(text, 10) {
        Ok((drafts, false)) => drafts.into_iter().next().unwrap(),
        other => panic!("{text}: {other:?}"),
    }
}

#[track_caller]
fn assert_malformed_at(text: &str, line: usize, column: usize) {
    read(text, 10)
        .expect_err(text)
        .assert_malformed_at(line, column);
}

#[track_caller]
fn assert_meaningless(text: &str, field: Option<&str>, part: &str) {
    let problem = match read(text, 3) {
        Ok((drafts, _)) => drafts
            .into_iter()
            .find_map(|draft| draft.fault)
            .expect(text),
        Err(problem) => problem,
    };
    assert_eq!(
        (problem.status(), problem.field.as_deref()),
        (422, field),
        "{text}: {problem}"
    );
    assert!(problem.detail.contains(part), "{text}: {problem}");
}

#[test]
fn each_field_gets_its_value() {
    let draft = read_one(
        r#"{"to":"a","type":"chat","body":"\u00fc\n\ud83e\udd80","subject":"2","html":"3","thread":"4","id":"5",
            "lang":"6","oob_url":"7","state":"8","replace":"9","x":{"body":[1,null]}}"#,
    );
    let expected = Draft::of(&[
        ("to", "a"),
        ("type", "chat"),
        ("body", "ü\n🦀"),
        ("subject", "2"),
        ("html", "3"),
        ("thread", "4"),
        ("id", "5"),
        ("lang", "6"),
        ("oob_url", "7"),
        ("state", "8"),
        ("replace", "9"),
    ]);
    assert_eq!(draft, expected);
}

#[test]
fn to_is_a_string_or_an_array_of_strings() {
    let recipients = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(
        spellings(read_one(r#"{"to":["a","b","a"]}"#)),
        Some(recipients)
    );
    assert_eq!(spellings(read_one(r#"{"to":[]}"#)), Some(vec![]));
    assert_eq!(
        spellings(read_one(r#"{"to":["a",15,1.50,true]}"#)),
        Some(["a", "15", "1.50", "true"].map(str::to_owned).to_vec())
    );
    assert_meaningless(
        r#"{"to":{}}"#,
        Some("to"),
        "`to` is an object; a string or an array of strings is needed",
    );
    assert_meaningless(r#"{"to":["a",null,"b"]}"#, Some("to"), "`to` holds null");
    assert_meaningless(r#"{"to":[["a"]]}"#, Some("to"), "`to` holds an array");
}

#[test]
fn null_is_an_absent_field() {
    assert_eq!(
        read_one(r#"{"to":null,"body":null,"x":null}"#),
        Draft::default()
    );
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    for (value, kind) in [(r#"["x"]"#, "an array"), (r#"{"a":{}}"#, "an object")] {
        let part = format!("`body` is {kind}; a string is needed");
        assert_meaningless(&format!(r#"{{"body":{value},"x":1}}"#), Some("body"), &part);
    }
}

#[test]
fn a_repeated_key_is_refused() {
    assert_meaningless(r#"{"body":"a","body":"a"}"#, Some("body"), "twice");
    assert_meaningless(r#"{"body":null,"b\u006fdy":"a"}"#, Some("body"), "twice");
    assert_meaningless(r#"{"to":"a","to":"b"}"#, Some("to"), "twice");
    assert_meaningless(r#"{"x y":1,"x y":1}"#, Some("x y"), "twice");
    assert_eq!(read_one(r#"{"x":{"a":1,"a":2}}"#), Draft::default());
}

#[test]
fn only_objects_are_messages() {
    for (text, kind) in [
        ("1", "a number"),
        ("null", "null"),
        (r#""x""#, "a string"),
        ("true", "a boolean"),
    ] {
        assert_meaningless(text, None, &format!("the JSON is {kind}; an object"));
        let part = format!("{kind} stands where an object");
        assert_meaningless(&format!("[{{}},{text}]"), None, &part);
    }
    assert_meaningless("[]", None, "empty");
    assert_meaningless("[[{}]]", None, "an array");
}

#[test]
fn an_error_in_an_array_names_the_message() {
    assert_meaningless(
        r#"[{},{"body":[]},{"type":2}]"#,
        Some("body"),
        "`body` is an array",
    );
}

#[test]
fn an_array_with_more_messages_than_the_limit_is_refused() {
    let (drafts, many) = read(r#"[{"body":"a"},{},{}]"#, 3).unwrap();
    assert_eq!((drafts.len(), many), (3, true));
    assert_meaningless("[{},{},{},{}]", None, "more than 3 messages");
    assert_meaningless("[{},{},{},1,", None, "more than 3 messages");
    let to: Vec<_> = (0..13).map(|number| number.to_string()).collect();
    let many = json!([{ "to": to[..7] }, { "to": to[7..] }]);
    assert_meaningless(&many.to_string(), None, "more than 3 messages");
}

#[test]
fn malformed_json_is_reported_with_its_place() {
    assert_malformed_at("", 1, 1);
    assert_malformed_at("{", 1, 2);
    assert_malformed_at("{\"body\": ", 1, 10);
    assert_malformed_at("{\n", 2, 1);
    assert_malformed_at("{\"ü🦀\" 1}", 1, 7);
    assert_malformed_at("{\n  \"ü\": x}", 2, 8);
    assert_malformed_at("{} {}", 1, 4);
    assert_malformed_at("[{},]", 1, 5);
    assert_malformed_at("{\"a\":\"ü\nb\"}", 1, 8);
    assert_malformed_at("{\"body\":\"ü\nb\"}", 1, 11);
    assert_malformed_at("{\"a\":01}", 1, 7);
    assert_malformed_at("\u{FEFF}\u{FEFF}{}", 1, 1);
    assert_malformed_at("nul", 1, 4);
}

#[test]
fn a_lone_surrogate_is_malformed_everywhere() {
    for text in [
        r#"{"body":"\ud800"}"#,
        r#"{"x":"\udc00"}"#,
        r#"{"x":[{"y":"\ud800\u0041"}]}"#,
        r#"{"\ud800":1}"#,
        r#"{"x":{"\ud800x":1}}"#,
        r#"{"body":1,"x":"\ud800"}"#,
        r#"[1,"\ud800"]"#,
    ] {
        let problem = read(text, 10).expect_err(text);
        assert_eq!(problem.status(), 400, "{text}: {problem}");
        assert!(
            matches!(problem.place, Some(Place::Line { line: 1, .. })),
            "{text}: {problem:?}"
        );
    }
}

#[test]
fn deep_nesting_is_malformed() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth| {
            let text = format!("{{\"x\":{}1{}}}", open.repeat(depth), close.repeat(depth));
            read(&text, 10)
                .map(|_| ())
                .map_err(|problem| problem.status())
        };
        assert_eq!(
            (nested(126), nested(127), nested(100_000)),
            (Ok(()), Err(400), Err(400))
        );
    }
}

#[test]
fn unknown_members_may_hold_any_json() {
    let digits = "9".repeat(400);
    let numbers = [&digits, "-1e999", "1E+400", &format!("0.{digits}e400")];
    for (open, close) in [("", ""), ("[", "]"), ("{\"a\":", "}")] {
        for depth in [1, 126] {
            for number in numbers {
                let (open, close) = (open.repeat(depth), close.repeat(depth));
                let text = format!("{{\"x\":{open}{number}{close}}}");
                assert_eq!(read(&text, 1), Ok((vec![Draft::default()], false)));
            }
        }
    }
}

#[test]
fn a_number_or_boolean_is_taken_as_its_text() {
    let long = "9".repeat(400);
    for text in [
        "0",
        "-0",
        "95",
        "95.0",
        "-1.50e+3",
        "1E2",
        "18446744073709551616",
        "1e999",
        "-1e999",
        &long,
        "true",
        "false",
    ] {
        let json = format!(r#"{{"x": [1.5, "1e5\"2", -2e9], "body": {text} , "id":7, "y":1e999}}"#);
        assert_eq!(
            read_one(&json),
            Draft::of(&[("body", text), ("id", "7")]),
            "{json}"
        );
        let json = format!(r#"[{{"body":1.0}},{{"body":{text}}},{{"to":[{text},1.0]}}]"#);
        let drafts = read(&json, 9).unwrap().0;
        assert_eq!(
            drafts[..2],
            [Draft::of(&[("body", "1.0")]), Draft::of(&[("body", text)])]
        );
        assert_eq!(
            spellings(drafts[2].clone()),
            Some(vec![text.to_owned(), "1.0".to_owned()])
        );
    }
}

#[test]
fn a_malformed_number_is_reported_with_its_place() {
    for (text, line, column) in [
        (r#"{"body":1.5.5}"#, 1, 9),
        (r#"{"x":1e999,"body":1.}"#, 1, 19),
        ("{\"body\":1.5,\n\"x\":01}", 2, 5),
        (r#"{"x":1e999,"y":1.5.5}"#, 1, 16),
        (r#"{"x":1e999,"y":--5}"#, 1, 17),
        (r#"{"body":1.5,"x":"\ud800"}"#, 1, 24),
    ] {
        read(text, 9)
            .expect_err(text)
            .assert_malformed_at(line, column);
    }
}

#[test]
fn malformed_json_is_reported_before_wrong_fields() {
    assert_malformed_at("{\"body\":1,\"body\":2", 1, 19);
    assert_malformed_at("[1,{\"body\":2},", 1, 15);
    assert_malformed_at("1 2", 1, 3);
}

proptest! {
    #[test]
    fn arbitrary_text_does_not_panic(text: String) {
        let _ = read(&text, 3);
    }

    #[test]
    fn a_damaged_object_does_not_panic(
        text in r#"[\[{]{1,2}("(body|to|x|ü)":("[a-zü]*"|[0-9]{1,3}|null|\["a"\]|\{\}),){0,4}"x":"\\ud83e\\udd80"[}\]]{0,2}"#,
        place: prop::sample::Index,
        length in "[\\PC\n]",
    ) {
        let mut text: Vec<char> = text.chars().collect();
        let place = place.index(text.len());
        text.splice(place..=place, length.chars());
        let text: String = text.into_iter().collect();
        if let Err(Problem { place: Some(Place::Line { line, column }), .. }) = read(&text, 3) {
            let length = text.split('\n').nth(line - 1).map(|line| line.chars().count());
            prop_assert!(length.is_some_and(|length| (1..=length + 1).contains(&column)), "{line}:{column} of {text:?}");
        }
    }

    #[test]
    fn an_encoded_message_is_read_unchanged(body: String, to: Vec<String>, unknown: Option<f64>) {
        let object = json!({"body": body, "to": to, "x": unknown});
        let mut draft = Draft::of(&[("body", &body)]);
        let recipients = draft.to.get_or_insert_default();
        for to in to {
            recipients.add(to, &LIMITS);
        }
        prop_assert_eq!(read(&object.to_string(), 1000), Ok((vec![draft.clone()], false)));
        prop_assert_eq!(read(&json!([object, object]).to_string(), 1000), Ok((vec![draft.clone(), draft], true)));
    }
}
