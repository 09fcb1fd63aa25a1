//! x

use crate::http::problem::{Problem, quote};

/// A well-formed language tag (BCP 47, RFC 5646, section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanguageTag(String);

impl LanguageTag {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// # Errors
    /// 422.
    pub fn new(field: &'static str, tag: String) -> Result<LanguageTag, Problem> {
        if is_language_tag(&tag) {
            return Ok(LanguageTag(tag));
        }
        Err(Problem::meaning(format!(
            "`lang` is {}; a language tag of BCP 47 is needed, such as en or de-CH",
            quote(&tag)
        ))
        .field("lang"))
    }
}

/// Tags of RFC 5646, section 2.2.8, that are registered as a whole and do not follow the grammar.
const IRREGULAR: &[&str] = &[
    "en-gb-oed",
    "i-ami",
    "i-bnn",
    "i-default",
    "i-enochian",
    "i-hak",
    "i-klingon",
    "i-lux",
    "i-mingo",
    "i-navajo",
    "i-pwn",
    "i-tao",
    "i-tay",
    "i-tsu",
    "sgn-be-fr",
    "sgn-be-nl",
    "sgn-ch-de",
];

fn is_language_tag(tag: &str) -> bool {
    let tag = tag.to_ascii_lowercase();
    if IRREGULAR.contains(&tag.as_str()) {
        return true;
    }
    let mut subtags: Vec<&str> = tag.split('-').collect();
    if subtags
        .iter()
        .any(|s| s.is_empty() || s.len() > 8 || !s.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        return false;
    }
    let alphabetic = |s: &str| s.bytes().all(|b| b.is_ascii_alphabetic());
    // privateuse = "x" 1*("-" (1*8alphanum)), alone or behind everything else.
    if let Some(at) = subtags.iter().position(|&s| s == "x") {
        if at + 1 == subtags.len() {
            return false;
        }
        subtags.truncate(at);
        if at == 0 {
            return true;
        }
    }
    let mut rest = subtags.into_iter().peekable();
    let language = rest.next().unwrap_or_default();
    if !alphabetic(language) || language.len() < 2 {
        return false;
    }
    // extlang, script and region, each at its place.
    for _ in 0..3 {
        if language.len() > 3 || rest.next_if(|s| s.len() == 3 && alphabetic(s)).is_none() {
            break;
        }
    }
    rest.next_if(|s| s.len() == 4 && alphabetic(s));
    rest.next_if(|s| {
        s.len() == 2 && alphabetic(s) || s.len() == 3 && s.bytes().all(|b| b.is_ascii_digit())
    });
    let mut variants = Vec::new();
    while let Some(variant) =
        rest.next_if(|s| s.len() >= 5 || s.len() == 4 && s.as_bytes()[0].is_ascii_digit())
    {
        if variants.contains(&variant) {
            return false;
        }
        variants.push(variant);
    }
    // extension = singleton 1*("-" (2*8alphanum)), each singleton once.
    let mut singletons = Vec::new();
    while let Some(singleton) = rest.next_if(|s| s.len() == 1) {
        if singletons.contains(&singleton) || rest.next_if(|s| s.len() >= 2).is_none() {
            return false;
        }
        singletons.push(singleton);
        while rest.next_if(|s| s.len() >= 2).is_some() {}
    }
    rest.next().is_none()
}
