//! Templates of the administrator's own: what goes wrong with their files, and what only they use.

use std::fs;
use std::path::{Path, PathBuf};

use minijinja::value::Value;
use post_msg::http::problem::Problem;
use post_msg::message::field::BODY;
use post_msg::template::context::{Call, Headers, now};
use post_msg::template::engine::{Renderings, Templates};
use post_msg::template::source::Folder;

/// A folder of its own for each test.
fn folder(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    for (name, source) in files {
        fs::write(folder.join(name), source).expect("a file");
    }
    folder
}

fn body(templates: &Templates, name: &str, payload: &str) -> Result<String, Problem> {
    let headers = [("X_Event", "push"), ("Authorization", "Bearer x")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let call = Call {
        payload: serde_json::from_str::<Value>(payload).expect("JSON"),
        headers: Headers::new(headers),
        query: Vec::new(),
        now: now(),
    };
    let rendered = templates.render(name, call)?;
    Ok(rendered.draft.values[BODY].clone().unwrap_or_default())
}

#[test]
fn html_is_made_text_and_cut_between_characters() {
    let folder = folder("html", &[("page.j2", b"{{ html|html_to_text }}")]);
    let templates = Templates::new(Some(Folder::new(folder)));
    let text = body(
        &templates,
        "page",
        r#"{"html": "<p>a &amp; b</p><p>c</p>"}"#,
    );
    let text = text.expect("a text").replace("\r\n", "\n");
    assert_eq!(text, "a & b\n\nc");
    let long = format!(r#"{{"html": "x{}"}}"#, "ü".repeat(256 * 1024));
    let text = body(&templates, "page", &long).expect("a text");
    assert_eq!((text.len(), text.ends_with('ü')), (256 * 1024 - 1, true));
    let counts = templates.take_renderings();
    let expected = Renderings {
        rendered: 2,
        failed: 0,
    };
    assert_eq!(counts.get("page"), Some(&expected));
}

#[test]
fn a_file_that_cannot_be_a_template_is_503_and_says_why() {
    let large = vec![b'x'; 256 * 1024 + 1];
    let folder = folder(
        "files",
        &[
            ("large.j2", &large),
            ("bytes.j2", b"\xFF"),
            ("wrong name.j2", b"x"),
        ],
    );
    fs::create_dir(folder.join("folder.j2")).expect("a folder");
    let templates = Templates::new(Some(Folder::new(folder)));
    for (name, why) in [
        (
            "large",
            "large.j2 cannot be read: it has more than 262144 bytes",
        ),
        ("bytes", "bytes.j2 cannot be read: it is not UTF-8"),
        ("folder", "folder.j2 cannot be read: "),
    ] {
        let problem = body(&templates, name, "{}").expect_err(name);
        assert_eq!(problem.status, 503);
        assert!(problem.detail.contains(why), "{problem:?}");
    }
    assert_eq!(templates.faults().len(), 3);
    let problem = body(&templates, "wrong name", "{}").expect_err("no template");
    assert_eq!(
        (problem.status, problem.field.as_deref()),
        (422, Some("as"))
    );
}

#[test]
fn a_fault_is_told_of_the_template_that_has_it() {
    let files: &[(&str, &[u8])] = &[
        ("outer.j2", b"{% include 'inner' %}"),
        ("inner.j2", b"\n  {{ 1 + }}"),
        (
            "missing.j2",
            b"{{ fail('nothing') if not payload.missing }}",
        ),
        ("around.j2", b"\n\n{% include 'missing' %}"),
    ];
    let templates = Templates::new(Some(Folder::new(folder("faults", files))));
    let problem = body(&templates, "outer", "{}").expect_err("broken");
    assert_eq!(problem.status, 503);
    assert!(problem.detail.contains("inner, line 2"), "{problem:?}");
    for name in ["missing", "around"] {
        let problem = body(&templates, name, "{}").expect_err("no such value");
        assert_eq!(problem.status, 422);
        assert!(
            problem.detail.contains("missing, line 1, column "),
            "{problem:?}"
        );
    }
}

#[test]
fn headers_are_listed_without_those_that_hold_credentials() {
    let source = b"{% for name in headers %}{{ name }}: {{ headers[name] }};{% endfor %}";
    let templates = Templates::new(Some(Folder::new(folder("headers", &[("all.j2", source)]))));
    let text = body(&templates, "all", "{}");
    assert_eq!(text.as_deref(), Ok("x-event: push;"));
}

#[test]
fn the_parameters_of_the_program_hold_for_a_template_in_its_place() {
    let files: &[(&str, &[u8])] = &[("discord.j2", b"own"), ("other.j2", b"own")];
    let templates = Templates::new(Some(Folder::new(folder("parameters", files))));
    let render = |name| {
        let call = Call {
            payload: Value::from(()),
            headers: Headers::default(),
            query: vec![("wait".to_owned(), "true".to_owned())],
            now: now(),
        };
        templates.render(name, call).map(|_| ())
    };
    assert_eq!(render("discord"), Ok(()));
    let problem = render("other").expect_err("an unknown parameter");
    assert_eq!(problem.status, 400);
}
