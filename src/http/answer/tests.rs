use serde_json::{Value, json};

use super::*;
use crate::http::problem::ProblemKind;

fn refuse(problem: &Problem, accept: Option<&str>, content_type: Option<&str>) -> Answer {
    let context = AnswerContext {
        accept: accept.map(str::as_bytes),
        content_type: content_type.map(str::as_bytes),
        id: None,
    };
    refusal(problem, context)
}

fn parse(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

fn gone_problem() -> Problem {
    let mut problem = Problem::new(ProblemKind::Other(410), "a@b: gone");
    problem.condition = Some("gone".to_owned());
    problem
}

#[test]
fn a_problem_has_the_media_type_that_accept_names() {
    let problem = Problem::meaning("x");
    let (text, json) = ("text/plain", "application/json");
    for (accept, content_type, is_json) in [
        (Some(json), Some(text), true),
        (Some("application/problem+json"), None, true),
        (
            Some("text/html, application/problem+json;q=0.2"),
            Some(text),
            true,
        ),
        (None, Some(json), true),
        (None, Some("Application/JSON;charset=utf-8"), true),
        (Some("*/*"), Some("application/x-ndjson"), true),
        (Some(""), Some(json), true),
        (Some("text/plain"), Some(json), false),
        (Some("text/plain, */*"), Some(json), false),
        (Some("application/json;q=0"), Some(json), false),
        (None, Some(text), false),
        (
            Some("*/*"),
            Some("application/x-www-form-urlencoded"),
            false,
        ),
        (None, None, false),
    ] {
        let media_type = refuse(&problem, accept, content_type).media_type;
        assert_eq!(
            media_type == "application/problem+json",
            is_json,
            "{accept:?} {content_type:?}"
        );
        assert!(is_json || media_type.starts_with("text/plain"));
    }
}

#[test]
fn problem_json_has_the_members_that_apply() {
    let accept = Some("application/json");
    let problem = Problem::meaning("d").field("body").offset(3);
    assert_eq!(
        parse(&refuse(&problem, accept, None)),
        json!({"status": 422, "title": "Unprocessable Content", "detail": "d", "field": "body", "offset": 3})
    );
    let problem = Problem::syntax("d").line(2, 5);
    assert_eq!(
        parse(&refuse(&problem, accept, None)),
        json!({"status": 400, "title": "Bad Request", "detail": "d", "line": 2, "column": 5})
    );
    assert_eq!(
        parse(&refuse(&gone_problem(), accept, None)),
        json!({"status": 410, "title": "Gone", "detail": "a@b: gone", "condition": "gone"})
    );
}

#[test]
fn a_problem_in_text_is_one_line_without_markup() {
    let problem = Problem::meaning(
        "<b>\r\n\u{1B}[31m\u{85}\u{202E}\u{2028}\u{200F}\u{2069}</b>".to_owned()
            + &"x".repeat(5000),
    );
    let answer = refuse(&problem, None, None);
    assert_eq!(answer.body.find('\n'), Some(answer.body.len() - 1));
    assert!(
        !answer
            .body
            .trim_end()
            .contains(|c: char| is_invisible(c) || c == '<' || c == '>')
    );
    assert!(answer.body.chars().count() < 1010);
    let answer = refuse(&problem, Some("application/json"), None);
    assert!(!answer.body.contains(['<', '\n']));
}

#[test]
fn every_status_of_the_contract_has_its_title() {
    for status in [
        400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 429, 501, 502, 503, 504,
    ] {
        assert_ne!(title(status), title(500), "{status}");
    }
}

#[test]
fn a_problem_in_json_has_the_request_s_id() {
    let json = Some(&b"application/json"[..]);
    let (accept, id) = (json, Some("cron-7"));
    for (accept, expected) in [(accept, Some("cron-7")), (None, None)] {
        let answer = refusal(
            &gone_problem(),
            AnswerContext {
                accept,
                content_type: None,
                id,
            },
        );
        let id = expected.map(|_| parse(&answer)["request_id"].clone());
        assert_eq!(id, expected.map(Value::from));
        assert_eq!(answer.body.contains("cron-7"), expected.is_some());
    }
}

type Outcome<'a> = (&'a str, Result<u16, Problem>);

fn report(json: bool, many: bool, outcomes: Vec<Outcome>) -> Answer {
    let mut report = Report::new(json);
    for (to, outcome) in outcomes {
        report.add(["i", "me@b", to], None, outcome);
    }
    let accept = json.then_some(&b"application/json"[..]);
    let context = AnswerContext {
        accept,
        ..AnswerContext::default()
    };
    let answer = report.finish(many, context);
    Answer {
        status: answer.status,
        media_type: answer.media_type,
        body: answer.body.into_text(),
    }
}

#[test]
fn a_sent_message_is_answered_in_json_only_if_accept_names_it() {
    for (status, word) in [(201, "sent"), (202, "sent"), (200, "delivered")] {
        let answer = report(false, false, vec![("a@b", Ok(status))]);
        assert_eq!((answer.status, answer.body.as_str()), (status, ""));
        let answer = report(true, false, vec![("a@b", Ok(status))]);
        assert_eq!(
            (answer.status, answer.media_type),
            (status, "application/json")
        );
        assert_eq!(
            parse(&answer),
            json!({"id": "i", "from": "me@b", "to": "a@b", "status": word})
        );
    }
}

#[test]
fn a_failed_message_is_answered_with_its_problem() {
    let answer = report(false, false, vec![("a@b", Err(gone_problem()))]);
    assert_eq!((answer.status, answer.body.as_str()), (410, "a@b: gone\n"));
    let answer = report(true, false, vec![("a@b", Err(gone_problem()))]);
    assert_eq!(
        (answer.status, answer.media_type),
        (410, "application/problem+json")
    );
    assert_eq!(parse(&answer)["condition"], "gone");
}

#[test]
fn an_array_is_answered_with_an_array_in_its_order() {
    let answer = report(true, true, vec![("a@b", Ok(201))]);
    assert_eq!(
        (answer.status, &parse(&answer)[0]["to"]),
        (201, &json!("a@b"))
    );
    let answer = report(true, true, vec![("c@d", Ok(201)), ("a@b", Ok(201))]);
    assert_eq!(
        (
            answer.status,
            &parse(&answer)[0]["to"],
            &parse(&answer)[1]["to"]
        ),
        (201, &json!("c@d"), &json!("a@b"))
    );
    let answer = report(false, true, vec![("c@d", Ok(201)), ("a@b", Ok(201))]);
    assert_eq!((answer.status, answer.body.as_str()), (201, ""));
}

#[test]
fn different_outcomes_are_answered_207() {
    let outcomes = || {
        vec![
            ("a@b", Err(gone_problem())),
            ("c@d", Ok(201)),
            (
                "e@f",
                Err(Problem::new(ProblemKind::Other(404), "e@f: item-not-found")),
            ),
        ]
    };
    let answer = report(true, true, outcomes());
    assert_eq!(
        (answer.status, answer.media_type),
        (207, "application/json")
    );
    let array = parse(&answer);
    assert_eq!(array[0]["status"], "failed");
    assert_eq!(
        (&array[0]["error"]["status"], &array[0]["error"]["title"]),
        (&json!(410), &json!("Gone"))
    );
    assert_eq!(
        (&array[1]["status"], &array[1]["error"]),
        (&json!("sent"), &Value::Null)
    );
    assert_eq!(array[2]["error"]["status"], 404);
    let answer = report(false, true, outcomes());
    assert_eq!(answer.status, 207);
    assert_eq!(answer.body, "a@b: gone\nc@d: sent\ne@f: item-not-found\n");
}

#[test]
fn messages_that_all_failed_with_one_status_are_answered_with_it() {
    for json in [true, false] {
        let answer = report(
            json,
            true,
            vec![("a@b", Err(gone_problem())), ("c@d", Err(gone_problem()))],
        );
        assert_eq!(answer.status, 410, "{answer:?}");
    }
}

#[test]
fn details_of_many_failures_are_bounded_and_each_outcome_has_a_reason() {
    for json in [true, false] {
        let mut report = Report::new(json);
        let count = 5000;
        for number in 0..count {
            let to = format!("{number}@b");
            let mut problem = Problem::new(
                ProblemKind::Other(410 - number % 2),
                format!("{to}: {}", "y".repeat(2000)),
            );
            problem.condition = (number % 3 == 0).then(|| "gone".to_owned());
            report.add(["i", "me@b", &to], None, Err(problem));
        }
        let answer = report.finish(true, AnswerContext::default());
        assert_eq!(answer.status, 207);
        assert!(answer.body.len() < DETAILS + usize::from(count) * 200);
        let body = answer.body.into_text();
        let last = if json {
            let outcomes: Vec<Value> = serde_json::from_str(&body).unwrap();
            assert_eq!(outcomes.len(), usize::from(count));
            outcomes[4998]["error"]["detail"].to_string()
        } else {
            body.lines().nth(4998).unwrap().to_owned()
        };
        assert_eq!(last.trim_matches('"'), "4998@b: gone");
    }
}
