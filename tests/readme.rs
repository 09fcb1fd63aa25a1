//! Checks README.markdown and docs/ against the sources: tables of declarations, messages of templates, and links
//! between pages. `make readme` rewrites the tables of fields and statuses, and the messages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use post_msg::http::answer::{STATUSES, Status};
use post_msg::message::field::{FIELDS, FieldType, LONGEST_ID, Row};
use post_msg::payload::format::FORMATS;
use post_msg::template::source::BUILT_IN;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The paths of `README.markdown` and `docs/*.md`.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).expect("docs/");
    let mut pages: Vec<_> = docs.map(|entry| entry.expect("an entry").path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages.insert(0, root.join("README.markdown"));
    pages
}

fn read(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

/// The only page with `mark`, and its text before and after the mark.
fn page_with(mark: &str) -> (PathBuf, String, String) {
    let mut found = pages().into_iter().filter_map(|page| {
        let text = read(&page);
        let (before, after) = text.split_once(mark)?;
        Some((page, before.to_owned(), after.to_owned()))
    });
    let first = found.next().unwrap_or_else(|| panic!("no page has {mark}"));
    assert!(found.next().is_none(), "two pages have {mark}");
    first
}

/// Checks that the page is as declared. With `make readme`, writes it instead.
fn hold(page: &Path, written: &str, declared: &str) {
    if std::env::var_os("WRITE_README").is_some() {
        std::fs::write(page, declared).expect("written");
    } else {
        let page = page.display();
        assert_eq!(written, declared, "{page} is not up to date: make readme");
    }
}

/// The texts in backquotes in the first column of the table whose head begins with `head`.
fn first_column(head: &str) -> Vec<String> {
    let (_, _, table) = page_with(head);
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| Some(row.split('`').nth(1)?.to_owned()))
        .collect()
}

fn takes(field: &Row) -> String {
    match field.field_type {
        FieldType::Addresses => "string; in JSON also an array, in a form also repeated".to_owned(),
        FieldType::Text => "string".to_owned(),
        FieldType::Reference | FieldType::AttributeText => {
            format!("string, at most {LONGEST_ID} bytes")
        }
        FieldType::LanguageTag => "language tag (BCP 47), such as `en` or `de-CH`".to_owned(),
        FieldType::Uri => "absolute URI".to_owned(),
        FieldType::Xhtml => "string, a fragment of XHTML".to_owned(),
        FieldType::Boolean => "`true` or `false`".to_owned(),
        FieldType::Word(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            let (last, others) = words.split_last().expect("a word");
            format!("{} or {last}", others.join(", "))
        }
    }
}

fn fields() -> String {
    let mut table = "| field | type | |\n|---|---|---|\n".to_owned();
    for field in FIELDS {
        let (name, says) = (field.name, field.description);
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
fn the_table_of_fields_is_up_to_date() {
    let (begin, end) = ("<!-- fields -->\n", "\n<!-- /fields -->");
    let (page, before, rest) = page_with(begin);
    let (_, after) = rest.split_once(end).expect("where the table ends");
    let declared = [&before, begin, &fields(), end, after].concat();
    hold(&page, &[&before, begin, &rest].concat(), &declared);
}

#[test]
fn the_table_of_statuses_is_up_to_date() {
    let (begin, end) = ("<!-- statuses -->\n", "<!-- /statuses -->");
    let (page, before, rest) = page_with(begin);
    let (_, after) = rest.split_once(end).expect("where the table ends");
    let mut table = "| status | when |\n|---|---|\n".to_owned();
    for Status { code, when, .. } in STATUSES {
        table += &format!("| `{code}` | {when} |\n");
    }
    let declared = [&before, begin, &table, end, after].concat();
    hold(&page, &[&before, begin, &rest].concat(), &declared);
}

/// The body of the message in a case of a template.
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
fn the_messages_of_other_programs_are_up_to_date() {
    let (begin, end) = ("<!-- message ", "<!-- /message -->");
    let mut shown = BTreeSet::new();
    for page in pages() {
        let text = read(&page);
        let mut pieces = text.split(begin);
        let mut declared = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let (case, rest) = piece.split_once(" -->").expect("where the name ends");
            let (_, after) = rest.split_once(end).expect("where the message ends");
            let message = message_of(case);
            declared += &format!("{begin}{case} -->\n```text\n{message}\n```\n{end}{after}");
            shown.insert(case.split('/').next().unwrap_or_default().to_owned());
        }
        hold(&page, &text, &declared);
    }
    // The message of Slack also shows Discord's, and that of ntfy shows Gotify's.
    for (name, _) in BUILT_IN {
        let stands_for = match *name {
            "discord" => "slack",
            "gotify" => "ntfy",
            name => name,
        };
        assert!(shown.contains(stands_for), "{name}");
    }
}

#[test]
fn every_program_with_a_template_is_listed() {
    let declared: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    assert_eq!(first_column("| `as` | for |"), declared);
}

#[test]
fn every_format_is_listed() {
    let declared = FORMATS.each_ref().map(|format| format.media_type);
    assert_eq!(first_column("| `Content-Type` |"), declared);
}

/// Whether a file of tests, or a folder of cases, has a test with this name.
fn has_test(place: &str, name: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    if path.is_dir() {
        let cases = std::fs::read_dir(&path).expect("a folder");
        let mut first_lines = cases.filter_map(|case| {
            let text = std::fs::read_to_string(case.expect("an entry").path()).ok()?;
            Some(text.lines().next()?.to_owned())
        });
        return first_lines.any(|line| line == format!("# {name}"));
    }
    let tests = std::fs::read_to_string(&path).unwrap_or_default();
    [format!("it(\"{name}\""), format!("fn {name}(")]
        .iter()
        .any(|test| tests.contains(test))
}

#[test]
fn the_tests_that_the_page_on_security_names_exist() {
    let (_, _, page) = page_with("## Who can do what\n");
    let (section, _) = page.split_once("\n## ").expect("where it ends");
    let mut count = 0;
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.ends_with("| shown by |"));
    for row in rows {
        let shown_by = row
            .trim_end_matches(" |")
            .rsplit(" | ")
            .next()
            .unwrap_or(row);
        let before = count;
        for place in shown_by.split("; ") {
            let (file, names) = place
                .split_once("`: \"")
                .unwrap_or_else(|| panic!("{place}"));
            for name in names.trim_end_matches('"').split("\", \"") {
                let file = file.trim_start_matches('`');
                assert!(has_test(file, name), "{file} has no test {name:?}");
                count += 1;
            }
        }
        assert!(count > before, "{row}");
    }
    assert!(count > 25, "{count} tests");
    assert!(!has_test("spec/auth_spec.lua", "are"));
}

#[test]
fn every_tested_fault_is_in_the_table() {
    let (_, _, table) = page_with("<!-- make soak -->\n");
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec");
    let mut count = 0;
    for spec in [
        "clients_spec",
        "faults_spec",
        "power_spec",
        "faults_soak",
        "hours_soak",
    ] {
        let text = read(&specs.join(spec).with_extension("lua"));
        for call in text.split("show(\"").skip(1) {
            let (fault, _) = call.split_once('"').expect("the end of its name");
            assert!(
                table.contains(&format!("\n| {fault} | ")),
                "{spec}: {fault}"
            );
            count += 1;
        }
    }
    assert!(count > 35, "{count} faults");
}

/// The targets of the links and pictures of a page, and the fragments that GitHub makes of its headings.
fn links_and_headings(text: &str) -> (Vec<String>, BTreeSet<String>) {
    let (mut links, mut headings) = (Vec::new(), BTreeSet::new());
    let mut heading: Option<String> = None;
    let options = Options::ENABLE_TABLES | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    for event in Parser::new_ext(text, options) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let plain = heading.take().unwrap_or_default().to_lowercase();
                let slug = plain
                    .chars()
                    .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                let slug: String = slug.map(|c| if c == ' ' { '-' } else { c }).collect();
                let again = (1..).map(|n| format!("{slug}-{n}"));
                let mut names = std::iter::once(slug.clone()).chain(again);
                let name = names.find(|name| !headings.contains(name));
                headings.insert(name.expect("numbers do not end"));
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url.into_string());
            }
            _ => {}
        }
    }
    (links, headings)
}

#[test]
fn links_lead_to_existing_files_and_headings() {
    let (mut faults, mut relative) = (Vec::new(), 0);
    for page in pages() {
        for link in links_and_headings(&read(&page)).0 {
            if link.contains("://") {
                continue;
            }
            relative += 1;
            let (file, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let folder = page.parent().expect("a folder");
            let target = if file.is_empty() {
                page.clone()
            } else {
                folder.join(file)
            };
            let there = target.exists()
                && (fragment.is_empty() || links_and_headings(&read(&target)).1.contains(fragment));
            if !there {
                faults.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(relative > 20, "{relative} links");
}

#[test]
fn the_readme_links_to_every_page() {
    let mut pages = pages();
    let readme = pages.remove(0);
    let (links, _) = links_and_headings(&read(&readme));
    for page in pages {
        let name = page.file_name().expect("a name").to_string_lossy();
        assert!(links.contains(&format!("docs/{name}")), "{name}");
    }
}
