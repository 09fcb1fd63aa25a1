//! Administrators' templates: errors of their files, and functions that only they use.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use minijinja::value::Value;
use post_msg::http::problem::Problem;
use post_msg::message::field::Field;
use post_msg::template::context::{Call, Headers, Occasion, Posted};
use post_msg::template::engine::{RenderResult, Renderings, Templates};
use post_msg::template::source::{BUILT_IN, Folder};
use rustix::time::{ClockId, clock_gettime};

/// A new folder for each test.
fn folder(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    for (name, source) in files {
        fs::write(folder.join(name), source).expect("a file");
    }
    folder
}

fn render(templates: &Templates, name: &str, payload: &str) -> Result<RenderResult, Problem> {
    let headers = [("X_Event", "push"), ("Authorization", "Bearer x")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let call = Call {
        template: None,
        fields: Vec::new(),
        payload: serde_json::from_str::<Value>(payload).expect("JSON"),
        headers: Headers::new(headers),
        query: Vec::new(),
        posted: Posted::default(),
        occasion: Occasion::now(),
    };
    templates.render(name, call)
}

fn body(templates: &Templates, name: &str, payload: &str) -> Result<String, Problem> {
    let rendered = render(templates, name, payload)?;
    Ok(rendered.draft.values[Field::Body]
        .clone()
        .unwrap_or_default())
}

#[test]
fn html_becomes_text_and_is_cut_between_characters() {
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
    assert!((90_000..100_000).contains(&text.len()) && text.ends_with("ü…"));
    let counts = templates.take_renderings();
    let expected = Renderings {
        rendered: 2,
        failed: 0,
    };
    assert_eq!(counts.get("page"), Some(&expected));
}

#[test]
fn lists_of_lists_take_fuel_before_they_are_built() {
    let files: &[(&str, &[u8])] = &[
        (
            "batch.j2",
            b"{{ text|list|batch(2, '-') }} {{ text|batch(9) }}",
        ),
        (
            "slice.j2",
            b"{{ text|list|slice(2, '-') }} {{ text|slice(1) }}",
        ),
        ("batches.j2", b"{{ text|list|batch(1)|length }}"),
        ("slices.j2", b"{{ text|list|slice(text|length)|length }}"),
        ("no-batch.j2", b"{{ text|batch(0) }}"),
        ("most-slices.j2", b"{{ text|slice(9223372036854775807) }}"),
    ];
    let templates = Templates::new(Some(Folder::new(folder("lists", files))));
    let text = |length: usize| format!(r#"{{"text": "{}"}}"#, &"abc".repeat(length)[..length]);
    let shown = body(&templates, "batch", &text(3));
    assert_eq!(
        shown.as_deref(),
        Ok("[['a', 'b'], ['c', '-']] [['a', 'b', 'c']]")
    );
    let shown = body(&templates, "slice", &text(3));
    assert_eq!(
        shown.as_deref(),
        Ok("[['a', 'b'], ['c', '-']] [['a', 'b', 'c']]")
    );
    for name in ["batches", "slices"] {
        assert_eq!(
            body(&templates, name, &text(5000)).as_deref(),
            Ok("5000"),
            "{name}"
        );
        let problem = body(&templates, name, &text(15_000)).expect_err(name);
        assert!(
            problem.detail.contains("more steps or memory"),
            "{problem:?}"
        );
    }
    for name in ["no-batch", "most-slices"] {
        assert_eq!(
            body(&templates, name, &text(3)).expect_err(name).status(),
            422
        );
    }
}

#[test]
fn a_file_that_cannot_be_a_template_is_answered_503_with_the_reason() {
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
        assert_eq!(problem.status(), 503);
        assert!(problem.detail.contains(why), "{problem:?}");
    }
    assert_eq!(templates.faults().len(), 3);
    let problem = body(&templates, "wrong name", "{}").expect_err("no template");
    assert_eq!(
        (problem.status(), problem.field.as_deref()),
        (422, Some("as"))
    );
}

#[test]
fn a_fault_names_the_template_that_has_it() {
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
    assert_eq!(problem.status(), 503);
    assert!(problem.detail.contains("inner, line 2"), "{problem:?}");
    for name in ["missing", "around"] {
        let problem = body(&templates, name, "{}").expect_err("no such value");
        assert_eq!(problem.status(), 422);
        assert!(
            problem.detail.contains("missing, line 1, column "),
            "{problem:?}"
        );
    }
}

#[test]
fn headers_are_listed_without_credentials() {
    let source = b"{% for name in headers %}{{ name }}: {{ headers[name] }};{% endfor %}";
    let templates = Templates::new(Some(Folder::new(folder("headers", &[("all.j2", source)]))));
    let text = body(&templates, "all", "{}");
    assert_eq!(text.as_deref(), Ok("x-event: push;"));
}

#[test]
fn an_administrators_template_knows_the_parameters_of_the_replaced_one() {
    let files: &[(&str, &[u8])] = &[("discord.j2", b"own"), ("other.j2", b"own")];
    let templates = Templates::new(Some(Folder::new(folder("parameters", files))));
    let render = |name| {
        let call = Call {
            template: None,
            fields: Vec::new(),
            payload: Value::from(()),
            headers: Headers::default(),
            query: vec![("wait".to_owned(), "true".to_owned())],
            posted: Posted::default(),
            occasion: Occasion::now(),
        };
        templates.render(name, call).map(|_| ())
    };
    assert_eq!(render("discord"), Ok(()));
    let problem = render("other").expect_err("an unknown parameter");
    assert_eq!(problem.status(), 400);
}

#[test]
fn a_value_in_a_text_of_the_message_counts_as_tried() {
    let slack = BUILT_IN.iter().find(|(name, _)| *name == "slack");
    let (_, slack) = slack.expect("a template");
    let cases: &[(&str, &str, bool)] = &[
        ("if", "{% if text %}{{ text }}{% endif %} ", false),
        (
            "for",
            "{% for text in texts %}{{ text }}{% endfor %}",
            false,
        ),
        ("thread", "{% block thread %}{{ now }}{% endblock %}", false),
        ("answer", "{% block answer %}{{ now }}{% endblock %}", false),
        ("value", "{{ text }}", true),
        ("null", "{{ none }}{% block thread %}x{% endblock %}", true),
        (
            "subject",
            "{% block subject %}{{ text }}{% endblock %}",
            true,
        ),
        (
            "both",
            "{% block thread %}{{ now }}{% endblock %}{{ text }}",
            true,
        ),
        ("slack", slack, true),
    ];
    let files: Vec<_> = cases
        .iter()
        .map(|(name, ..)| format!("{name}.j2"))
        .collect();
    let sources = cases.iter().map(|(_, source, _)| source.as_bytes());
    let files: Vec<_> = files.iter().map(String::as_str).zip(sources).collect();
    let templates = Templates::new(Some(Folder::new(folder("tried", &files))));
    for (name, _, has_tried) in cases {
        let rendered = render(&templates, name, "{}").expect(name);
        assert_eq!(rendered.has_tried, *has_tried, "{name}");
        assert_eq!(
            templates.may_print_nothing(name),
            *name != "slack",
            "{name}"
        );
    }
    assert!(!templates.may_print_nothing("discord"));
}

/// The peak memory of this process, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("the state of this process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let size = line.and_then(|line| line.trim().strip_suffix(" kB"));
    size.and_then(|size| size.trim().parse::<usize>().ok())
        .expect("a size")
        * 1024
}

/// The CPU time of this thread. Other work of the machine does not count.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a time")
}

/// Calls every filter and function with a large output repeatedly, with large values.
#[test]
fn filters_take_fuel_for_their_work() {
    let expressions = [
        "text|html_to_text",
        "text|markdown_to_text",
        "text|discord_to_text",
        "text|slack_to_text",
        "text|reply",
        "text|shorten(5)",
        "list|shorten(5)",
        "text|one_line",
        "list|one_line",
        "text|text",
        "texts|text",
        "text|take(5)",
        "list|take(5)",
        "list|take(100000)",
        "numbered|take(100000)",
        "json|take(100000)",
        "json|take(0)",
        "text|records('a')",
        "texts|records(text)",
        "parameter('x-event', text)",
        "text|int",
        "texts|int",
        "text|link",
        "list|link",
        "texts|link",
        "host|link(host, host)",
        "text|url",
        "list|url",
        "texts|url(texts)",
        "texts|shorten(5)",
        "text|emoji",
        "text|time('%Y')",
        "list|time('%Y')",
        "1|time('%255Y' * 40)",
        "1|time('%Y', 'Europe/Berlin')",
        "text|duration",
        "list|duration(list)",
        "text|replace('-', text)",
        "text|replace('', text)",
        "list|join(text)",
        "text|join(text)",
        "text|indent(100000)",
        "text|split|list",
        "text|split('')",
        "text|lines",
        "text|list",
        "text|upper",
        "text|title",
        "text|trim('-a ')",
        "text|reverse",
        "text|escape",
        "text|tojson",
        "list|tojson(indent=100000)",
        "list|tojson(indent=8)",
        "list|pprint",
        "list|string",
        "list|sort",
        "list|unique",
        "list|batch(1)",
        "list|slice(100000)",
        "list|batch(1000000000, text)",
        "list|map('string')|list",
        "list|map('shorten', 5)|list",
        "list|select('in', list)|list",
        "list|groupby('a')",
        "list|sum",
        "list|max",
        "list|zip(list)|list",
        "list|chain(list)|list",
        "payload|items",
        "payload|dictsort",
        "list + list",
        "list == list",
        "'b' in text",
        "'b' in list",
        "text * 1000000",
        "list * 1000000",
        "text ~ text",
        "text[::-1]",
        "'%1000000000d'|format(1)",
        "range(1000000000)|list",
        "dict(payload)",
        "namespace(payload)",
        "debug()",
    ];
    let payload = format!(
        r#"{{"text": "{}", "list": [{}{{"a": 1}}], "texts": [{}1], "json": "[{}0]", "host": "https://{}/", "numbered": {{{}"x":0}}}}"#,
        "> - <a@".repeat(8 * 1024),
        r#"{"a": 1},"#.repeat(2000),
        format!("{:?},", "https:/x ü".repeat(50)).repeat(200),
        "[],".repeat(8 * 1024),
        "ü".repeat(4000),
        (0..2000).map(|n| format!("\"{n}\":0,")).collect::<String>()
    );
    // A filter of this module also takes fuel for its work, not only for the text that it reads and returns.
    let repeats = |expression: &str| match expression {
        "text|html_to_text"
        | "text|markdown_to_text"
        | "text|discord_to_text"
        | "text|slack_to_text"
        | "text|reply" => 60,
        _ => 100_000,
    };
    let sources: Vec<_> = expressions
        .iter()
        .map(|expression| {
            let repeats = repeats(expression);
            format!("{{% for i in range({repeats}) %}}{{% set x = {expression} %}}{{% endfor %}}")
        })
        .collect();
    let names: Vec<_> = (0..sources.len()).map(|at| format!("t{at}")).collect();
    let files: Vec<_> = names.iter().map(|name| format!("{name}.j2")).collect();
    let files: Vec<_> = files
        .iter()
        .zip(&sources)
        .map(|(file, source)| (file.as_str(), source.as_bytes()))
        .collect();
    let templates = Templates::new(Some(Folder::new(folder("fuel", &files))));
    for (name, expression) in names.iter().zip(expressions) {
        let start = cpu_time();
        let problem = body(&templates, name, &payload).expect_err(expression);
        let took = cpu_time() - start;
        println!(
            "{expression}: {took:?}, {} MB, {}",
            peak() >> 20,
            problem.detail
        );
        assert!(took.as_secs() < 20, "{expression}: {took:?}");
        assert!(peak() < 100 << 20, "{expression}: {} MB", peak() >> 20);
    }
}

#[test]
fn records_are_read_with_their_names_and_quotes() {
    let source = r#"{{ text|records("action", "label", "url")|tojson }}"#;
    let templates = Templates::new(Some(Folder::new(folder(
        "records",
        &[("r.j2", source.as_bytes())],
    ))));
    for (text, expected) in [
        (
            "view, Open, https://a/?b=c, clear=true",
            r#"[{"action":"view","clear":"true","label":"Open","url":"https://a/?b=c"}]"#,
        ),
        (
            "action=view, label='A, B; C', url=\"x\\\"y\" ; http,X;",
            r#"[{"action":"view","label":"A, B; C","url":"x\"y"},{"action":"http","label":"X"}]"#,
        ),
        (
            "view, It's, x",
            r#"[{"action":"view","label":"It's","url":"x"}]"#,
        ),
        (" ; ,, ;", "[]"),
        ("'open", r#"[{"action":"'open"}]"#),
        ("", "[]"),
    ] {
        let payload = serde_json::json!({ "text": text }).to_string();
        let shown = body(&templates, "r", &payload).expect(text);
        let json = |text| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(json(&shown), json(expected), "{text}");
    }
}

#[test]
fn a_protocol_is_declared_in_its_template() {
    let templates = Templates::new(None);
    let (gotify, pushover) = (("gotify", None), ("pushover", Some("token".to_owned())));
    assert_eq!(templates.of_path("message"), Some(gotify));
    assert_eq!(templates.of_path("1/messages.json"), Some(pushover));
    assert_eq!(templates.of_path("x1/messages.json"), None);
    assert_eq!(templates.of_path("user"), None);
    let version = templates.page("version", None).expect("a page");
    assert!(version.starts_with(r#"{"version":""#));
    assert!(templates.page("version", Some("gotify")).is_some());
    assert_eq!(templates.page("version", Some("ntfy")), None);
    assert_eq!(templates.page("", None), None);
    let cut = |name: &str, path: &str| {
        let mut cut = Vec::new();
        let recipient = templates.declarations(name).cut(path.to_owned(), &mut cut);
        (recipient.unwrap_or_default(), cut.concat())
    };
    let is = |recipient: &str, cut: &str| (recipient.to_owned(), cut.to_owned());
    assert_eq!(cut("ntfy", "a/publish"), is("a", "publish"));
    assert_eq!(cut("ntfy", "republish"), is("republish", ""));
    assert_eq!(cut("apprise", "a/notify/key"), is("a", "notify/*"));
    assert_eq!(cut("apprise", "notify"), is("", "notify"));
    assert_eq!(cut("apprise", "key"), is("key", ""));
    assert_eq!(
        cut("pushover", "1/messages.json"),
        is("", "1/messages.json")
    );
    let problem = Problem::meaning("a \"word\"");
    assert_eq!(
        templates.problem("gotify", &problem).expect("an answer"),
        r#"{"error": "Unprocessable Content", "errorCode": 422, "errorDescription": "a \"word\""}"#
    );
    assert_eq!(templates.problem("slack", &problem), None);
    assert_eq!(
        templates.enter("ntfy", "https://example.com", None, "T"),
        "Server: https://example.com\nTopic: any name\nToken: T"
    );
    assert_eq!(
        templates.enter("slack", "https://example.com/msg", Some("user"), "T"),
        "URL: https://example.com/msg/user?token=T"
    );
}
