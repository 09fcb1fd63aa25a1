//! Slack's markup → text. Its `*bold*`, `_italic_`, `~strike~` and `` `code` `` are those of chat clients, too
//! (XEP-0393), and stay.

use super::emoji;

/// References in angle brackets, escaped characters and emoji by their shortcodes are undone.
pub fn to_text(mrkdwn: &str) -> String {
    let mut text = String::with_capacity(mrkdwn.len());
    let mut rest = mrkdwn;
    while let Some((before, reference, behind)) = reference_in(rest) {
        plain(before, &mut text);
        let (target, label) = match reference.split_once('|') {
            Some((target, label)) => (target, label),
            None => (reference, ""),
        };
        refer(target, label, &mut text);
        rest = behind;
    }
    plain(rest, &mut text);
    text
}

/// What stands before the next reference, in its brackets, and behind it. Where no bracket closes any more, nothing is
/// looked for.
fn reference_in(text: &str) -> Option<(&str, &str, &str)> {
    let (before, behind) = text.split_once('<')?;
    let (reference, behind) = behind.split_once('>')?;
    Some((before, reference, behind))
}

/// What a reference stands for: somebody, a channel, everybody, a date, or a link.
fn refer(target: &str, label: &str, text: &mut String) {
    let (sign, name) = match target.split_at_checked(1) {
        Some(("@", id)) => ("@", id),
        Some(("#", id)) => ("#", id),
        Some(("!", command)) => match command.split_once('^') {
            Some(("date", _)) => ("", ""),
            Some((_, id)) => ("@", id),
            None => ("@", command),
        },
        _ => {
            let target = target.strip_prefix("mailto:").unwrap_or(target);
            if !label.is_empty() && label != target {
                plain(label, text);
                text.push_str(" (");
                unescape(target, text);
                text.push(')');
            } else {
                unescape(target, text);
            }
            return;
        }
    };
    let label = label.strip_prefix(sign).unwrap_or(label);
    text.push_str(sign);
    unescape(if label.is_empty() { name } else { label }, text);
}

/// Text without references.
fn plain(escaped: &str, text: &mut String) {
    let mut rest = escaped;
    while let Some((before, behind)) = rest.split_once(':') {
        unescape(before, text);
        let emoji = behind
            .split_once(':')
            .and_then(|(name, behind)| Some((emoji::named(name)?, behind)));
        match emoji {
            Some((emoji, behind)) => {
                text.push_str(emoji);
                rest = behind;
            }
            None => {
                text.push(':');
                rest = behind;
            }
        }
    }
    unescape(rest, text);
}

fn unescape(escaped: &str, text: &mut String) {
    text.push_str(
        &escaped
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&"),
    );
}

#[cfg(test)]
mod tests {
    use super::to_text;

    #[test]
    fn references_are_shown_as_a_reader_would_see_them() {
        for (mrkdwn, text) in [
            (
                "<https://example.com/?a=1&amp;b|the page>",
                "the page (https://example.com/?a=1&b)",
            ),
            ("<https://example.com/>", "https://example.com/"),
            (
                "<https://example.com/|https://example.com/>",
                "https://example.com/",
            ),
            ("<mailto:me@example.com|me@example.com>", "me@example.com"),
            (
                "<@U123> <@U123|user> <#C1|general> <!here>",
                "@U123 @user #general @here",
            ),
            (
                "<!subteam^S1|@ops> <!date^1392734382^{date}|18 February>",
                "@ops 18 February",
            ),
            ("a < b &lt;c&gt; <", "a < b <c> <"),
            (
                ":warning: 12:30:45 :no_such: done :tada:",
                "⚠️ 12:30:45 :no_such: done 🎉",
            ),
            ("*bold* _it_ &amp;lt;", "*bold* _it_ &lt;"),
            ("", ""),
        ] {
            assert_eq!(to_text(mrkdwn), text, "{mrkdwn}");
        }
    }

    #[test]
    fn many_brackets_that_do_not_close_stay_as_they_are() {
        let open = "<".repeat(1_000_000);
        assert_eq!(to_text(&open), open);
    }
}
