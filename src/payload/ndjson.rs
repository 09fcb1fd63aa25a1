//! `application/x-ndjson` → drafts.

use super::body::{Body, Extras, Sink};
use super::json;
use crate::http::charset;
use crate::http::problem::Problem;
use crate::message::draft::Recipients;
use crate::message::limits::Limits;

/// Reads one object per line, at most `limits.batch` of them. Lines end in LF or CR LF. Blank lines are skipped.
///
/// # Errors
///
/// As [`json::read`], with the line of the body: 400 for a line that is not JSON; 422 if there are no lines, or too
/// many.
pub fn read(body: &Body, limits: &Limits, take: &mut Sink) -> Result<Extras, Problem> {
    let text = charset::decode(body.charset, body.bytes)?;
    let (mut messages, mut spellings) = (0, 0);
    for (index, line) in text.split('\n').enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let blank = |byte| matches!(byte, b' ' | b'\t' | b'\r');
        if line.bytes().all(blank) {
            continue;
        }
        let draft = json::read_line(line, index + 1, limits, body.memory)?;
        spellings += draft.to.as_ref().map_or(0, Recipients::count);
        messages += 1;
        if messages > limits.batch || spellings > limits.batch_spellings() {
            return Err(limits.too_many_messages());
        }
        take(draft)?;
    }
    if messages == 0 {
        return Err(Problem::meaning(
            "all lines are blank; an object with the fields of a message is needed on each line",
        ));
    }
    Ok(Extras {
        many: true,
        ..Extras::default()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::message::draft::Draft;
    use crate::message::field::Field;
    use crate::message::limits::EXAMPLE as LIMITS;
    use crate::payload::body::drafts_of;

    /// Reads at most `limit` messages in UTF-8.
    fn read(text: &str, limit: usize) -> Result<Vec<Draft>, Problem> {
        let limits = Limits {
            batch: limit,
            ..LIMITS
        };
        let body = (text.as_bytes(), encoding_rs::UTF_8, None);
        drafts_of(body, |body, take| super::read(body, &limits, take)).map(|(drafts, _)| drafts)
    }

    fn bodies(text: &str) -> Vec<String> {
        let drafts = read(text, 10).unwrap_or_else(|problem| panic!("{text:?}: {problem}"));
        let bodies = drafts
            .into_iter()
            .flat_map(|mut draft| draft.values[Field::Body].take());
        bodies.collect()
    }

    #[track_caller]
    fn assert_meaningless(text: &str, field: Option<&str>, part: &str) {
        let problem = match read(text, 3) {
            Ok(drafts) => drafts
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

    #[track_caller]
    fn assert_malformed_at(text: &str, line: usize, column: usize) {
        read(text, 10)
            .expect_err(text)
            .assert_malformed_at(line, column);
    }

    #[test]
    fn each_line_is_a_message() {
        assert_eq!(bodies("{\"body\":\"a\"}\n{\"body\":\"b\"}\n"), ["a", "b"]);
        assert_eq!(bodies("{\"body\":\"a\"}\r\n {\"body\":\"b\"}"), ["a", "b"]);
    }

    #[test]
    fn the_recipients_of_all_lines_are_counted() {
        let line = |from: usize, to: usize| {
            let names: Vec<String> = (from..to).map(|n| format!("u{n}@example.com")).collect();
            json!({"body": "x", "to": names}).to_string() + "\n"
        };
        let limit = Limits { batch: 2, ..LIMITS }.batch_spellings();
        assert!(read(&(line(1, limit) + &line(0, 1)), 2).is_ok());
        let problem = read(&(line(0, limit) + &line(0, 1)), 2).expect_err("too many");
        assert_eq!(problem.status(), 422, "{problem}");
    }

    #[test]
    fn blank_lines_are_skipped() {
        assert_eq!(
            bodies("\n \t\r\n{\"body\":\"a\"}\n\r\n\n{\"body\":\"b\"}\n\n"),
            ["a", "b"]
        );
    }

    #[test]
    fn a_body_without_lines_is_refused() {
        for text in ["", "\n", " \r\n\t\n"] {
            assert_meaningless(text, None, "object");
        }
    }

    #[test]
    fn a_malformed_line_is_reported_with_its_place() {
        assert_malformed_at("{\n", 1, 2);
        assert_malformed_at("{}\n\n{\"ü\" 1}\n", 3, 6);
        assert_malformed_at("{}\r\n{\r\n", 2, 2);
        assert_malformed_at("{} {}", 1, 4);
        assert_malformed_at("{}\r{}", 1, 4);
        assert_malformed_at("{\"body\":\n\"x\"}", 1, 9);
        assert_malformed_at("{\"body\":1}\nx\n", 2, 1);
        assert_malformed_at("{}\n\u{A0}", 2, 1);
    }

    #[test]
    fn a_line_without_a_message_is_named() {
        assert_meaningless("{}\n\n[{}]\n", None, "an array");
        assert_meaningless("1", None, "a number");
        assert_meaningless(
            "{}\n{\"body\":[]}\n{\"type\":1}",
            Some("body"),
            "`body` is an array",
        );
        assert_meaningless("{\"x\":1,\"x\":2}", Some("x"), "twice");
    }

    #[test]
    fn more_lines_than_the_limit_are_refused() {
        assert_eq!(read("{}\n{}\n{}\n\n", 3).map(|drafts| drafts.len()), Ok(3));
        assert_meaningless("{}\n{}\n{}\n{}\n", None, "more than 3 messages");
    }

    proptest! {
        #[test]
        fn arbitrary_text_does_not_panic(text: String, lines in "([{}\\[\\]\":,a1ü]|\n|\r){0,30}") {
            let _ = read(&text, 3);
            let _ = read(&lines, 3);
        }

        #[test]
        fn an_encoded_message_is_read_unchanged(texts in prop::collection::vec(any::<String>(), 1..5), end in "\r?\n\n?") {
            let lines: String = texts.iter().map(|text| json!({"body": text}).to_string() + &end).collect();
            prop_assert_eq!(bodies(&lines), texts);
        }
    }
}
