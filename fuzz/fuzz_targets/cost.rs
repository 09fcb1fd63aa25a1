//! Measures the cost of requests that repeat small pieces.
//!
//! The input is a recipe: see `tests/cost/recipe.rs`. The request has at most 256 KB, and a compressed body at most a
//! megabyte after decoding.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};
use mod_post_msg_fuzz::hold_to_rules;
use mod_post_msg_fuzz::pieces::PIECES;
use mod_post_msg_fuzz::recipe::Request;

const PLAIN: usize = 256 << 10;
const PACKED: usize = 1 << 20;

/// Lines of heads.
const HEADS: &[&str] = &[
    "Content-Type: text/plain",
    "Content-Type: text/plain; charset=utf-16le",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: application/x-www-form-urlencoded; charset=iso-2022-jp",
    "Content-Type: multipart/form-data; boundary=B",
    "Content-Type: application/json",
    "Content-Type: application/x-ndjson",
    "Content-Type: image/png",
    "Content-Encoding: gzip",
    "Content-Encoding: deflate",
    "packed: yes",
    "uploads: nowhere",
    "Prefer: wait=1",
    "as: alertmanager",
    "as: discord",
    "as: gitea",
    "as: github",
    "as: gitlab",
    "as: gotify",
    "as: grafana",
    "as: healthchecks",
    "as: ntfy",
    "as: slack",
    "as: uptime-kuma",
    "as: html-text",
    "as: markdown-text",
    "as: slack-text",
    "as: filters",
];

fuzz_target!(|input: &[u8]| -> Corpus {
    let is_packed = input.windows(16).any(|bytes| bytes == b"Content-Encoding");
    let request = Request::read(input, if is_packed { PACKED } else { PLAIN });
    if request.body.is_empty() {
        return Corpus::Reject;
    }
    hold_to_rules(&request);
    Corpus::Keep
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random(u64::from(seed) | 1 << 32);
    if random.below(4) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut lines: Vec<Vec<u8>> = data[..size].split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let body = lines.iter().position(Vec::is_empty).map_or(lines.len(), |at| at + 1);
    if body == lines.len() {
        lines.push(Vec::new());
    }
    let body = body.min(lines.len() - 1);
    mutate(&mut lines, body, &mut random);
    let mutated = lines.join(&b'\n');
    match data.get_mut(..mutated.len()).filter(|_| mutated.len() <= max_size) {
        Some(place) => {
            place.copy_from_slice(&mutated);
            mutated.len()
        }
        None => size,
    }
});

/// Changes a line of the head, or of the body, which begins with the line `body`.
fn mutate(lines: &mut Vec<Vec<u8>>, body: usize, random: &mut Random) {
    let at = body + random.below(lines.len() - body);
    match random.below(8) {
        0 => lines.insert(at, repeated(random)),
        1 => lines[at] = repeated(random),
        2 => lines.insert(at, piece(random)),
        3 => {
            let line = lines[at].clone();
            let place = body + random.below(lines.len() - body);
            lines.insert(place, line);
        }
        4 if lines.len() > body + 1 => {
            lines.remove(at);
        }
        // So many repetitions that the size is reached, or another number.
        5 => {
            let digits = lines[at].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let count = count(random);
            lines[at].splice(..digits, count);
            if digits == 0 {
                let digits = lines[at].iter().take_while(|byte| byte.is_ascii_digit()).count();
                lines[at].insert(digits, b'*');
            }
        }
        6 => lines.insert(at, [count(random), b"^".to_vec()].concat()),
        _ => {
            let line = HEADS[random.below(HEADS.len())].as_bytes().to_vec();
            let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
            let known = lines[..body].iter().position(|known| known.starts_with(name));
            match known {
                Some(at) => lines[at] = line,
                None => lines.insert(0, line),
            }
        }
    }
}

fn count(random: &mut Random) -> Vec<u8> {
    let most = [10, 1000, 10_000, PLAIN][random.below(4)];
    random.below(most).to_string().into_bytes()
}

fn repeated(random: &mut Random) -> Vec<u8> {
    [count(random), b"*".to_vec(), piece(random)].concat()
}

/// One or two pieces in the notation of recipes; half of them are escaped as in JSON.
fn piece(random: &mut Random) -> Vec<u8> {
    let mut text = PIECES[random.below(PIECES.len())].to_owned();
    if random.below(2) == 0 {
        text.push_str(PIECES[random.below(PIECES.len())]);
    }
    if random.below(2) == 0 {
        text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    }
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").into_bytes()
}

/// Pseudo-random numbers from a seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % most
    }
}
