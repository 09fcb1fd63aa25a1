//! Slack's markup → text. Its `*bold*`, `_italic_`, `~strike~` and `` `code` `` stay: chat clients know them too
//! (XEP-0393).

/// Replaces references in angle brackets, escaped characters, and shortcodes of emoji. Other angle brackets stay.
pub fn to_text(mrkdwn: &str, _: usize) -> String {
    let mut text = String::with_capacity(mrkdwn.len());
    let mut rest = mrkdwn;
    while let Some((before, tail)) = rest.split_once('<') {
        plain(before, &mut text);
        rest = match reference_in(tail) {
            Some((target, label, tail)) => {
                refer(target, label, &mut text);
                tail
            }
            None => {
                text.push('<');
                tail
            }
        };
    }
    plain(rest, &mut text);
    text
}

/// The target and label of a reference, and the text after it. `text` begins after the `<`.
fn reference_in(text: &str) -> Option<(&str, &str, &str)> {
    let end = text.find(['<', '>', '\n'])?;
    let tail = text[end..].strip_prefix('>')?;
    let (target, label) = text[..end].split_once('|').unwrap_or((&text[..end], ""));
    let (target, label) = (target.trim(), label.trim());
    let is_spaced = target.contains(char::is_whitespace);
    let is_reference = match target.split_at_checked(1) {
        Some(("@" | "#", id)) => !is_spaced && id.starts_with(char::is_alphanumeric),
        Some(("!", command)) => command.starts_with(|c: char| c.is_ascii_alphabetic()),
        _ if is_spaced => false,
        _ => {
            let is_link = ["mailto:", "tel:"]
                .iter()
                .any(|scheme| target.starts_with(scheme));
            is_link || target.contains("://") || !label.is_empty() && target.contains(['.', '/'])
        }
    };
    is_reference.then_some((target, label, tail))
}

/// The text of a reference: a user, a channel, a group, a date, or a link.
fn refer(target: &str, label: &str, text: &mut String) {
    let (sign, name) = match target.split_at_checked(1) {
        Some(("@", id)) => ("@", id),
        Some(("#", id)) => ("#", id),
        Some(("!", command)) => match command.split_once('^') {
            Some(("date", time)) => ("", time.split('^').next().unwrap_or_default()),
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

/// Appends text without references.
fn plain(escaped: &str, text: &mut String) {
    let mut rest = escaped;
    while let Some((before, tail)) = rest.split_once(':') {
        unescape(before, text);
        let emoji = tail.split_once(':').and_then(|(name, tail)| {
            let emoji = (!name.is_empty()).then(|| emojis::get_by_shortcode(name))?;
            Some((emoji?, tail))
        });
        match emoji {
            Some((emoji, tail)) => {
                text.push_str(emoji.as_str());
                rest = tail;
            }
            None => {
                text.push(':');
                rest = tail;
            }
        }
    }
    unescape(rest, text);
}

fn unescape(escaped: &str, text: &mut String) {
    let mut rest = escaped;
    while let Some(at) = rest.find('&') {
        text.push_str(&rest[..at]);
        let known = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&')].into_iter();
        let name = known
            .filter_map(|(name, c)| Some((c, rest[at..].strip_prefix(name)?)))
            .next();
        let (c, tail) = name.unwrap_or(('&', &rest[at + 1..]));
        text.push(c);
        rest = tail;
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::to_text;

    #[test]
    fn references_become_readable_text() {
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
                "latency < 200 ms & errors > 5 %",
                "latency < 200 ms & errors > 5 %",
            ),
            (
                "Alice <alice@example.com> <b>",
                "Alice <alice@example.com> <b>",
            ),
            (
                "1 <2> <!-- no --> <https://example.com/ a> <key: value>",
                "1 <2> <!-- no --> <https://example.com/ a> <key: value>",
            ),
            (
                "a < <https://example.com/> > b",
                "a < https://example.com/ > b",
            ),
            (
                "<example.com|page> <!date^1^{date}>",
                "page (example.com) 1",
            ),
            (
                ":warning: 12:30:45 :no_such: done :tada:",
                "⚠️ 12:30:45 :no_such: done 🎉",
            ),
            ("*bold* _it_ &amp;lt;", "*bold* _it_ &lt;"),
            ("", ""),
        ] {
            assert_eq!(to_text(mrkdwn, 0), text, "{mrkdwn}");
        }
    }

    #[test]
    fn many_open_brackets_are_unchanged() {
        let open = "<".repeat(1_000_000);
        assert_eq!(to_text(&open, 0), open);
    }
}
