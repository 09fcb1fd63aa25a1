//! The language of a text.

use std::collections::HashSet;

use crate::http::problem::{Problem, quote};

/// A well-formed language tag (BCP 47, RFC 5646, section 2.1), as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanguageTag(String);

impl LanguageTag {
    /// # Errors
    /// 422 with the field.
    pub fn new(field: &'static str, tag: String) -> Result<LanguageTag, Problem> {
        let parsed = oxilangtag::LanguageTag::parse(tag.as_str());
        if parsed.is_ok_and(|parsed| has_no_repetition(&parsed)) {
            return Ok(LanguageTag(tag));
        }
        Err(Problem::meaning(format!(
            "`{field}` is {}; a language tag of BCP 47 is needed, such as en or de-CH",
            quote(&tag)
        ))
        .field(field))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Each variant and each singleton of an extension may stand only once, ignoring case (RFC 5646, section 2.2.9).
/// `oxilangtag` does not check this.
fn has_no_repetition(tag: &oxilangtag::LanguageTag<&str>) -> bool {
    let mut variants = HashSet::new();
    let mut singletons = HashSet::new();
    tag.variant_subtags()
        .all(|variant| variants.insert(variant.to_ascii_lowercase()))
        && tag
            .extension_subtags()
            .all(|(singleton, _)| singletons.insert(singleton.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_a_well_formed_tag() {
        // From RFC 5646, appendix A, and irregular tags.
        for tag in [
            "de",
            "zh-Hant",
            "zh-cmn-Hans-CN",
            "sr-Latn-RS",
            "sl-rozaj-biske",
            "de-CH-1901",
            "hy-Latn-IT-arevela",
            "es-419",
            "x-whatever",
            "qaa-Qaaa-QM-x-southern",
            "en-US-u-islamcal",
            "en-a-myext-b-another",
            "zh-yue-HK",
            "i-klingon",
            "sgn-BE-FR",
            "en-GB-oed",
            "art-lojban",
            "zh-min-nan",
            "abcd",
            "abcdefgh",
        ] {
            assert!(LanguageTag::new("lang", tag.to_owned()).is_ok(), "{tag}");
        }
        for tag in [
            "",
            "a",
            "a-DE",
            "de_CH",
            "de-",
            "-de",
            "de--CH",
            "abcdefghi",
            "de-419-DE",
            "ar-a-aaa-b-bbb-a-ccc",
            "en-a",
            "en-x",
            "x",
            "dé",
            "de CH",
            "12",
            "de-abcdefghi",
            "de-1901-1901",
            "en-aaa-bbb-ccc-ddd",
            "abcd-aaa",
            "i-unknown",
            "d1",
        ] {
            let problem = LanguageTag::new("lang", tag.to_owned()).expect_err(tag);
            assert_eq!(problem.facts(), (422, Some("lang"), None), "{tag}");
        }
    }
}
