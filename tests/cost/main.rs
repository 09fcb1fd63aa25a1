//! Limits of the cost of every request: memory, and the time for which it blocks the event loop and the thread.
//!
//! The requests come from `fuzz/corpus/cost`, and from families of repeated pieces in every place of every format. They
//! are measured in the release build: `cargo test --release --test cost`.

mod families;
mod numbered;
mod parts;
mod pieces;
mod recipe;
mod rules;
mod way;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use families::{frames, samples};
use pieces::{MARKUP, PIECES, repeat};
use recipe::Request;
use rules::Cost;
use way::{LIMITS, cost};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The templates of `tests/cost/templates`.
const FILTERS: [&str; 4] = ["html-text", "markdown-text", "slack-text", "filters"];

/// The requests that cost too much, by family: their number, and the worst.
#[derive(Default)]
struct Faults {
    requests: usize,
    families: BTreeMap<String, (usize, f64, String)>,
}

impl Faults {
    fn add(&mut self, family: &str, piece: &str, bytes: usize, cost: &Cost) {
        self.requests += 1;
        let faults = cost.faults(bytes);
        let Some(times) = faults.iter().map(|(times, _)| *times).reduce(f64::max) else {
            return;
        };
        let (count, worst, line) = self.families.entry(family.to_owned()).or_default();
        *count += 1;
        if times > *worst {
            *worst = times;
            let faults: Vec<_> = faults.into_iter().map(|(_, fault)| fault).collect();
            let (status, faults) = (cost.status, faults.join("; "));
            *line = format!("{piece:?}, {bytes} bytes, answered {status}: {faults}");
        }
    }

    fn of(&mut self, family: &str, piece: &str, request: &Request) {
        self.add(family, piece, request.bytes(), &cost(request));
    }

    #[track_caller]
    fn assert_empty(self, at_least: usize) {
        assert!(self.requests >= at_least, "only {} requests", self.requests);
        let lines = self
            .families
            .iter()
            .map(|(family, (count, _, worst))| format!("{family} ({count}): {worst}"));
        let lines: Vec<_> = lines.collect();
        let ms = rules::millisecond();
        assert!(
            lines.is_empty(),
            "of {} requests, a millisecond being {ms:.2} here:\n{}",
            self.requests,
            lines.join("\n")
        );
    }
}

/// Every `step`th piece. Each size starts at another piece, so that together they use more pieces.
fn frames_of(size: usize, step: usize, coding: Option<&str>) -> Faults {
    let mut faults = Faults::default();
    for piece in PIECES.iter().skip(size % step).step_by(step) {
        for (name, request) in frames(piece, size) {
            match coding {
                Some(coding) if request.header("Content-Encoding").is_none() => {
                    faults.of(&format!("{coding}, {name}"), piece, &request.packed(coding));
                }
                _ => faults.of(&name, piece, &request),
            }
        }
    }
    faults
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn requests_that_cost_too_much_in_earlier_versions() {
    let mut faults = Faults::default();
    let files = fs::read_dir(Path::new(ROOT).join("fuzz/corpus/cost")).expect("a folder");
    let files: Vec<_> = files.map(|entry| entry.expect("an entry").path()).collect();
    assert!(files.len() > 30);
    for file in &files {
        let request = Request::read(&fs::read(file).expect("a file"), LIMITS.body);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        faults.of(&name, "", &request);
    }
    faults.assert_empty(files.len());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn repeated_pieces_that_may_be_read_on_the_event_loop() {
    frames_of(7_500, 1, None).assert_empty(10_000);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn repeated_pieces_that_fill_a_message() {
    frames_of(60_001, 3, None).assert_empty(3_000);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn repeated_pieces_of_256_kb() {
    frames_of(250_000, 11, None).assert_empty(800);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn repeated_pieces_in_a_content_coding() {
    frames_of(60_000, 7, Some("gzip")).assert_empty(1_000);
    frames_of(60_001, 7, Some("deflate")).assert_empty(1_000);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn repeated_pieces_in_headers_and_addresses() {
    let mut faults = Faults::default();
    for piece in PIECES {
        // Prosody accepts a head of 10 KB, and an address has at most 3 KB.
        for size in [3_000, 10_000] {
            let text = repeat(piece, size);
            for (name, cost) in parts::costs(&text) {
                faults.add(name, piece, text.len(), &cost);
            }
        }
    }
    faults.assert_empty(4_000);
}

/// Tests each text that a template shows, small enough for the event loop and larger; of the texts that it does not
/// show, only some.
#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn markup_in_the_texts_of_every_template() {
    let mut faults = Faults::default();
    for (at, sample) in samples().iter().enumerate() {
        let shown = if sample.is_shown { 1 } else { 17 };
        for (number, piece) in MARKUP.iter().enumerate().skip(at % shown).step_by(shown) {
            let sizes = [
                7_000,
                if (at + number) % 7 == 0 {
                    250_000
                } else {
                    30_000
                },
            ];
            for &size in &sizes[..if (at + number) % 3 == 0 { 2 } else { 1 }] {
                let request = sample.with(&repeat(piece, size));
                faults.of(
                    &format!("{} {}", sample.template, sample.place),
                    piece,
                    &request,
                );
            }
        }
    }
    faults.assert_empty(20_000);
}

/// The most memory of an administrator's template for any request: 64 bytes for each step, and a copy. The template
/// `filters` tries to reach it.
const RENDERING: u64 = 2 * 64 * 200_000;

#[test]
#[cfg_attr(debug_assertions, ignore = "needs the release build")]
fn texts_in_every_filter() {
    let mut faults = Faults::default();
    for template in FILTERS {
        for piece in PIECES.iter().chain(MARKUP) {
            let payload = serde_json::json!({"text": repeat(piece, 60_000)}).to_string();
            let request = Request::new("application/json", payload).with("as", template);
            let mut cost = cost(&request);
            if template == "filters" {
                cost.memory = cost.memory.saturating_sub(RENDERING);
            }
            faults.add(template, piece, request.bytes(), &cost);
        }
    }
    faults.assert_empty(700);
}

/// The template chooses the factor, not the payload, so only the fuel limits it.
#[test]
fn fuel_limits_the_output_of_a_template() {
    // 64 bytes for each of 200,000 steps, twice, because the finished text is copied.
    let most = 2 * 64 * 200_000 + 4_000_000;
    for times in [0, 4, 64, 1000, 1_000_000] {
        for size in [100, 7_500, 60_000, 1_000_000] {
            let text = ["a".repeat(size), ">\n".repeat(size / 2)][usize::from(times == 0)].clone();
            let payload = serde_json::json!({"text": text, "times": times});
            let request = Request::new("application/json", payload.to_string());
            let cost = cost(&request.with("as", "multiplied"));
            let (memory, status) = (cost.memory, cost.status);
            assert!(
                memory <= most + 20 * size as u64,
                "{times} × {size}: {memory} bytes"
            );
            let is_small = times > 0 && times * size < 5_000_000;
            assert!(status == 422 || status == 200, "{status}");
            assert!(status == 200 || !is_small, "{times} × {size}");
        }
    }
}

#[test]
fn a_recipe_makes_its_request() {
    let recipe = b"# A sentence.\nContent-Type: text/plain\nas: slack\n\n3*a\\#\\n\nb\\\\\\x41\n2^";
    let request = Request::read(recipe, 100);
    assert_eq!(request.body, b"a0\na1\na2\nb\\Aa0\na1\na2\nb\\A");
    assert_eq!((request.header("As"), request.bytes()), (Some("slack"), 24));
    assert_eq!(Request::read(recipe, 5).body, b"a0\n");
    let packed = Request::read(b"Content-Encoding: gzip\n\n5000*a", 5000);
    assert_eq!(packed.bytes(), 5000);
    assert!(packed.body.starts_with(b"\x1f\x8b") && packed.body.len() < 100);
}

#[test]
fn templates_that_try_the_filters_make_messages() {
    for template in FILTERS {
        let request = Request::new("application/json", "{\"text\":\"abc\"}").with("as", template);
        assert_eq!(cost(&request).status, 200, "{template}");
    }
}

#[test]
fn too_much_cost_is_a_fault() {
    let cost = Cost {
        memory: 2_097_152 + 20 * 1000,
        elements: 2_100,
        on_loop: (2.0, "to read"),
        on_thread: 100.5,
        status: 200,
    };
    assert!(cost.faults(1000).is_empty());
    assert_eq!(cost.faults(900).len(), 1);
    let (memory, elements) = (cost.memory + 1, cost.elements + 1);
    let more = Cost {
        memory,
        elements,
        on_loop: (2.1, "to read"),
        on_thread: 102.0,
        ..cost
    };
    assert_eq!(more.faults(1000).len(), 4);
}
