//! Emoji by their shortcodes, as GitHub and Slack name them.

mod table {
    include!(concat!(env!("OUT_DIR"), "/emoji.rs"));
}

/// The emoji of a shortcode, without colons.
pub fn named(shortcode: &str) -> Option<&'static str> {
    let at = |index: u32| usize::try_from(index).unwrap_or_default();
    let (_, ends) = table::PLACES.split_first()?;
    let place = table::PLACES
        .get(..ends.len())?
        .binary_search_by(|[begin, end]| {
            let known = table::TEXT.get(at(*begin)..at(*end));
            known.unwrap_or_default().cmp(shortcode)
        });
    let place = place.ok()?;
    let begin = at(table::PLACES.get(place)?[1]);
    table::TEXT.get(begin..at(ends.get(place)?[0]))
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn emoji_have_names() {
        for (shortcode, emoji) in [
            ("+1", Some("👍")),
            ("tada", Some("🎉")),
            ("white_check_mark", Some("✅")),
            ("zzz", Some("💤")),
            ("", None),
            ("~", None),
            ("no such", None),
        ] {
            assert_eq!(named(shortcode), emoji, "{shortcode}");
        }
    }
}
