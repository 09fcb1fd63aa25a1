//! The tables of README.markdown that say what is declared in the sources, and the messages that templates make. `make
//! readme` writes that of the fields, and the messages, anew.

use post_msg::message::field::{FIELDS, Field, Takes};
use post_msg::payload::format::FORMATS;
use post_msg::template::source::BUILT_IN;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.markdown");

fn takes(field: &Field) -> String {
    match field.takes {
        Takes::Addresses => "string; in JSON also an array, in a form also repeated".to_owned(),
        Takes::Text | Takes::AttributeText => "string".to_owned(),
        Takes::LanguageTag => "language tag (BCP 47), such as `en` or `de-CH`".to_owned(),
        Takes::Uri => "absolute URI".to_owned(),
        Takes::Xhtml => "string, a fragment of XHTML".to_owned(),
        Takes::Word(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            let (last, others) = words.split_last().expect("a word");
            format!("{} or {last}", others.join(", "))
        }
    }
}

fn fields() -> String {
    let mut table = "| field | type | |\n|---|---|---|\n".to_owned();
    for field in FIELDS {
        let (name, says) = (field.name, field.says);
        table += &format!("| `{name}` | {} | {says} |\n", takes(field));
    }
    let mut suffice: Vec<_> = FIELDS.iter().filter(|field| field.suffices).collect();
    let last = suffice.pop().expect("a field that suffices");
    let others: Vec<_> = suffice.iter().map(|f| format!("`{}`", f.name)).collect();
    table
        + &format!(
            "\nOne of {} and `{}` must be there and not be empty.",
            others.join(", "),
            last.name
        )
}

#[test]
fn the_fields_are_those_that_are_declared() {
    let readme = std::fs::read_to_string(README).expect("the README");
    let (begin, end) = ("<!-- fields -->\n", "\n<!-- /fields -->");
    let split = readme.split_once(begin);
    let (before, rest) = split.expect("where the table begins");
    let (written, after) = rest.split_once(end).expect("where the table ends");
    let declared = fields();
    if std::env::var_os("WRITE_README").is_some() {
        let readme = [before, begin, &declared, end, after].concat();
        std::fs::write(README, readme).expect("written");
    } else {
        assert_eq!(
            written, declared,
            "the README is not up to date: make readme"
        );
    }
}

/// The body that a case of a template has.
fn message_of(case: &str) -> String {
    let path = format!("{}/templates/{case}.case", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(&path);
    let (_, body) = text.split_once("\n=> body\n").expect(&path);
    body.split("\n=> ")
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

#[test]
fn the_messages_of_other_programs_are_those_of_the_templates() {
    let readme = std::fs::read_to_string(README).expect("the README");
    let (begin, end) = ("<!-- message ", "<!-- /message -->");
    let mut pieces = readme.split(begin);
    let mut declared = pieces.next().unwrap_or_default().to_owned();
    let mut shown = Vec::new();
    for piece in pieces {
        let (case, rest) = piece.split_once(" -->").expect("where the name ends");
        let (_, after) = rest.split_once(end).expect("where the message ends");
        let message = message_of(case);
        declared += &format!("{begin}{case} -->\n```text\n{message}\n```\n{end}{after}");
        shown.push(case.split('/').next().unwrap_or_default().to_owned());
    }
    if std::env::var_os("WRITE_README").is_some() {
        std::fs::write(README, declared).expect("written");
    } else {
        assert_eq!(
            readme, declared,
            "the README is not up to date: make readme"
        );
    }
    // Slack's stands for Discord's, and ntfy's for Gotify's.
    for (name, _) in BUILT_IN {
        let stands_for = match *name {
            "discord" => "slack",
            "gotify" => "ntfy",
            name => name,
        };
        assert!(shown.iter().any(|shown| shown == stands_for), "{name}");
    }
}

#[test]
fn the_programs_are_those_that_have_a_template() {
    let readme = std::fs::read_to_string(README).expect("the README");
    let table = readme.split("| `as` | for |").nth(1).expect("the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let written: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    let declared: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(written, declared);
}

#[test]
fn the_formats_are_those_that_are_declared() {
    let readme = std::fs::read_to_string(README).expect("the README");
    let table = readme
        .split("| `Content-Type` |")
        .nth(1)
        .expect("the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let written: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(written, FORMATS.each_ref().map(|format| format.media_type));
}
