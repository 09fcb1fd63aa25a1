//! Replies that quote the original text.

/// The characters that are kept of the first line of a quotation before a reply.
const QUOTATION_LENGTH: usize = 80;

/// Removes quotations from Markdown. A quotation before the reply keeps its first line. A quotation after the reply is
/// removed, with the line in which a mail program names its author. Text that is only a quotation, code, and GitHub's
/// alerts stay.
pub fn own_words(markdown: &str) -> String {
    let mut text = String::new();
    // The end of the reply's own words in `text`.
    let mut end = 0;
    let mut is_code = false;
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if is_code || !is_quoted(line) || line.trim_start().starts_with("> [!") {
            is_code ^= line.trim_start().starts_with("```");
            let is_alert = is_quoted(line) && !is_code;
            text.push_str(line);
            text.push('\n');
            while let Some(line) = lines.next_if(|line| is_alert && is_quoted(line)) {
                text.push_str(line);
                text.push('\n');
            }
            if !line.trim().is_empty() && !is_attribution(line) {
                end = text.len();
            }
            continue;
        }
        let first: String = line.chars().take(QUOTATION_LENGTH).collect();
        let is_cut = first.len() < line.len();
        text.push_str(&first);
        let mut is_more = false;
        while let Some(line) = lines.next_if(|line| is_quoted(line)) {
            is_more |= line.trim_start().len() > 1;
        }
        text.push_str(if is_cut || is_more { " …\n" } else { "\n" });
    }
    match end {
        0 => markdown.to_owned(),
        end => text[..end].trim_end().to_owned(),
    }
}

fn is_quoted(line: &str) -> bool {
    line.trim_start_matches(' ').starts_with('>') && !line.starts_with("    ")
}

/// Whether a line names the author of a quotation, in any language: `On Sun, 22 Nov 2026 at 7:00 bob wrote:`.
fn is_attribution(line: &str) -> bool {
    let Some(line) = line.trim().strip_suffix(':') else {
        return false;
    };
    let is_time = |w: &[u8]| w[0].is_ascii_digit() && w[1] == b':' && w[2].is_ascii_digit();
    line.starts_with("On ") && line.ends_with("wrote") || line.as_bytes().windows(3).any(is_time)
}

#[cfg(test)]
mod tests {
    use super::own_words;

    #[test]
    fn the_words_of_a_reply_are_kept() {
        for (markdown, words) in [
            ("Yes.", "Yes."),
            ("> Is it?\n\nYes.", "> Is it?\n\nYes."),
            ("> Is it?\n> Or not?\n>\n\nYes.", "> Is it? …\n\nYes."),
            ("> a\n>\n\nb\n\n> c\n> d\n\ne", "> a\n\nb\n\n> c …\n\ne"),
            (
                "Fixed in 2.1\r\n\r\nOn Sun, Nov 22, 2026 at 7:00 AM bob wrote:\r\n\r\n> The cart\r\n> is empty\r\n",
                "Fixed in 2.1",
            ),
            ("> only\n> quoted", "> only\n> quoted"),
            ("On Monday I wrote:\n\n> a", "On Monday I wrote:\n\n> a"),
            ("```\n> a\n> b\n```", "```\n> a\n> b\n```"),
            (
                "> [!WARNING]\n> Do not\n> merge\n\nb",
                "> [!WARNING]\n> Do not\n> merge\n\nb",
            ),
            ("", ""),
        ] {
            assert_eq!(own_words(markdown), words, "{markdown}");
        }
        let long = format!("> {}\n\nYes.", "a".repeat(100));
        let short = format!("> {} …\n\nYes.", "a".repeat(78));
        assert_eq!(own_words(&long), short);
    }
}
