//! Families of requests: a small piece, repeated to a size, in each place of each format.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use encoding_rs::Encoding;
use post_msg::template::source::BUILT_IN;
use serde_json::{Map, Value, json};

use super::pieces::repeat;
use super::recipe::Request;
use super::way::output;

fn json_of(field: &str, text: &str) -> Request {
    let mut object = Map::from_iter([("body".to_owned(), json!("x"))]);
    object.insert(field.to_owned(), json!(text));
    Request::new("application/json", Value::Object(object).to_string())
}

fn multipart(parts: &str) -> Request {
    Request::new(
        "multipart/form-data; boundary=B",
        format!("{parts}--B--\r\n"),
    )
}

/// A part of a form. `head` is the rest of its Content-Disposition, and further headers.
fn part(head: &str, content: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
}

/// Every frame around a repeated piece: the name of the family, and its request.
pub fn frames(piece: &str, size: usize) -> Vec<(String, Request)> {
    let text = repeat(piece, size);
    let lines = |line: &str| repeat(line, size);
    let mut all: Vec<(String, Request)> = Vec::new();
    let mut add = |name: &str, request: Request| all.push((name.to_owned(), request));

    add("text", Request::new("text/plain", text.as_str()));
    for charset in [
        "windows-1252",
        "utf-16le",
        "utf-16be",
        "iso-2022-jp",
        "gb18030",
        "shift_jis",
        "euc-kr",
        "big5",
    ] {
        add(
            charset,
            Request::new(&format!("text/plain; charset={charset}"), text.as_str()),
        );
        let form = format!("body={text}");
        add(
            &format!("form in {charset}"),
            Request::new(
                &format!("application/x-www-form-urlencoded; charset={charset}"),
                form,
            ),
        );
    }
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    add(
        "text as UTF-16",
        Request::new("text/plain; charset=utf-16le", utf16),
    );
    let (gb18030, _, _) = Encoding::for_label(b"gb18030")
        .expect("known")
        .encode(&text);
    add(
        "text as GB 18030",
        Request::new("text/plain; charset=gb18030", gb18030.into_owned()),
    );

    let form = "application/x-www-form-urlencoded";
    add("form", Request::new(form, text.as_str()));
    for field in ["body", "to", "html", "thread", "oob_url", "x"] {
        let escaped: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        add(
            &format!("form, {field}"),
            Request::new(form, format!("body=x&{field}={escaped}")),
        );
        add(&format!("JSON, {field}"), json_of(field, &text));
        add(
            &format!("multipart, {field}"),
            multipart(&part(&format!("name={field}"), &text)),
        );
    }
    add(
        "form, pairs",
        Request::new(form, lines(&format!("{piece}={piece}&"))),
    );
    add(
        "form, pairs of `to`",
        Request::new(form, lines(&format!("to={piece}&"))),
    );
    add(
        "form with a template",
        Request::new(form, lines(&format!("{piece}=&"))).with("as", "slack"),
    );

    add("JSON", Request::new("application/json", text.as_str()));
    add(
        "JSON, array of it",
        Request::new("application/json", format!("[{}0]", lines(piece))),
    );
    add(
        "JSON, array of strings",
        Request::new(
            "application/json",
            json!({"body": "x", "z": vec![piece; size / (piece.len() + 3)]}).to_string(),
        ),
    );
    add(
        "JSON, many `to`",
        Request::new(
            "application/json",
            json!({"body": "x", "to": vec![piece; size / (piece.len() + 3)]}).to_string(),
        ),
    );
    add(
        "JSON, array of messages",
        Request::new(
            "application/json",
            json!(vec![json!({"body": piece}); size / (piece.len() + 12)]).to_string(),
        ),
    );
    add(
        "JSON in a member",
        Request::new(
            "application/json",
            format!("{{\"body\":\"x\",\"z\":[{text}0]}}"),
        ),
    );
    add(
        "JSON in a member with a template",
        Request::new(
            "application/json",
            format!("{{\"text\":\"x\",\"z\":[{text}0]}}"),
        )
        .with("as", "slack"),
    );
    add(
        "JSON with a template",
        Request::new("application/json", text.as_str()).with("as", "slack"),
    );
    add(
        "NDJSON",
        Request::new("application/x-ndjson", text.as_str()),
    );
    add(
        "NDJSON, messages",
        Request::new(
            "application/x-ndjson",
            lines(&format!("{}\n", json!({"body": piece}))),
        ),
    );

    add(
        "multipart",
        Request::new("multipart/form-data; boundary=B", text.as_str()),
    );
    add("multipart, content", multipart(&part("name=body", &text)));
    add(
        "multipart, parts",
        multipart(&lines(&part("name=x", piece))),
    );
    add(
        "multipart, parts `to`",
        multipart(&lines(&part("name=to", piece))),
    );
    add(
        "multipart, files",
        multipart(&lines(&part("name=file; filename=a", piece))),
    );
    add(
        "multipart, files, nowhere to upload",
        multipart(&lines(&part("name=file; filename=a", piece))).with("uploads", "nowhere"),
    );
    add(
        "multipart, header",
        multipart(&format!(
            "--B\r\nX: {text}\r\nContent-Disposition: form-data; name=body\r\n\r\nx\r\n"
        )),
    );
    add(
        "multipart, parameters",
        multipart(&part(&format!("name=body{text}"), "x")),
    );
    add(
        "multipart, file name",
        multipart(&part(&format!("name=file; filename=\"{text}\""), "x")),
    );
    add(
        "multipart with a template",
        multipart(&lines(&part("name=x", piece))).with("as", "slack"),
    );
    add(
        "multipart, delimiters",
        Request::new(
            &format!("multipart/form-data; boundary={}", &text[..text.floor(60)]),
            lines("--a\r\n"),
        ),
    );
    add("file", Request::new("image/png", text.as_str()));
    all
}

/// The longest length up to `most` at which a text can be cut.
trait Floor {
    fn floor(&self, most: usize) -> usize;
}

impl Floor for str {
    fn floor(&self, most: usize) -> usize {
        (0..=most.min(self.len()))
            .rev()
            .find(|&at| self.is_char_boundary(at))
            .unwrap_or_default()
    }
}

/// A member that a template reads, the sample payload around it, and whether the message shows its text.
pub struct Sample {
    pub template: &'static str,
    headers: Vec<(String, String)>,
    payload: Value,
    /// The JSON pointer to a string.
    pub place: String,
    pub is_shown: bool,
}

impl Sample {
    /// The payload with this text at the pointer.
    pub fn with(&self, text: &str) -> Request {
        let mut payload = self.payload.clone();
        if let Some(place) = payload.pointer_mut(&self.place) {
            *place = json!(text);
        }
        let mut request =
            Request::new("application/json", payload.to_string()).with("as", self.template);
        request.headers.extend(self.headers.iter().cloned());
        request
    }
}

/// Every member of the sample payloads that is a string, once for each template.
pub fn samples() -> Vec<Sample> {
    let folder = Path::new(super::ROOT).join("templates");
    let mut samples = BTreeMap::new();
    for (template, _) in BUILT_IN {
        let mut cases: Vec<_> = fs::read_dir(folder.join(template))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        cases.sort();
        for case in cases {
            let text = fs::read_to_string(case).expect("a case");
            let (head, rest) = text.split_once("\n\n").unwrap_or(("", &text));
            let payload = rest.split("\n=> ").next().unwrap_or_default();
            let Ok(payload) = serde_json::from_str::<Value>(payload) else {
                continue;
            };
            let headers: Vec<_> = head
                .lines()
                .filter(|line| !line.starts_with('#') && !line.starts_with("Content-Type"))
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let mut places = Vec::new();
            strings(&payload, String::new(), &mut places);
            for place in places {
                let kind: String = place
                    .chars()
                    .map(|c| if c.is_ascii_digit() { '0' } else { c })
                    .collect();
                samples
                    .entry((*template, kind, headers.clone()))
                    .or_insert_with(|| {
                        let mut sample = Sample {
                            template,
                            headers: headers.clone(),
                            payload: payload.clone(),
                            place,
                            is_shown: false,
                        };
                        sample.is_shown = output(&sample.with("Zq9jX")).contains("Zq9jX");
                        sample
                    });
            }
        }
    }
    samples.into_values().collect()
}

fn strings(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::String(_) => places.push(place),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate().take(2) {
                strings(item, format!("{place}/{at}"), places);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                strings(member, format!("{place}/{name}"), places);
            }
        }
        _ => {}
    }
}
