//! Markdown → text.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// CommonMark with GitHub's tables, task lists and strikethrough. Links keep their address; HTML in it, comments above
/// all, is left out.
pub fn to_text(markdown: &str) -> String {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut text = Text::default();
    for event in Parser::new_ext(markdown, options) {
        text.take(event);
    }
    text.written.trim().to_owned()
}

#[derive(Default)]
struct Text {
    written: String,
    /// For each list that is open, the number of its next item, or `None` where it has none.
    lists: Vec<Option<u64>>,
    quotes: usize,
    /// For each link that is open, its address and where its text begins.
    links: Vec<(String, usize)>,
}

impl Text {
    fn take(&mut self, event: Event) {
        match event {
            Event::Text(text) | Event::Code(text) => self.write(&text),
            Event::SoftBreak | Event::HardBreak => self.line(),
            Event::Rule => self.write("———"),
            Event::TaskListMarker(done) => self.write(if done { "[x] " } else { "[ ] " }),
            Event::InlineHtml(html) if html.to_ascii_lowercase().starts_with("<br") => self.line(),
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            _ => (),
        }
    }

    fn start(&mut self, tag: Tag) {
        match tag {
            Tag::Heading { .. } | Tag::CodeBlock(_) | Tag::Table(_) => self.paragraph(),
            Tag::Paragraph if !self.at_marker() => self.paragraph(),
            Tag::BlockQuote(_) => {
                self.paragraph();
                self.quotes += 1;
            }
            Tag::List(first) => {
                if self.lists.is_empty() {
                    self.paragraph();
                }
                self.lists.push(first);
            }
            Tag::Item => {
                self.line();
                let depth = self.lists.len().saturating_sub(1);
                let marker = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "• ".to_owned(),
                };
                self.write(&("  ".repeat(depth) + &marker));
            }
            Tag::TableRow | Tag::TableHead => self.line(),
            Tag::TableCell if !self.written.is_empty() && !self.written.ends_with('\n') => {
                self.write(" | ");
            }
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.links
                    .push((dest_url.into_string(), self.written.len()));
            }
            _ => (),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::BlockQuote(_) => self.quotes = self.quotes.saturating_sub(1),
            TagEnd::Link | TagEnd::Image => {
                let Some((url, start)) = self.links.pop() else {
                    return;
                };
                let label = self.written.get(start..).unwrap_or_default();
                if label.is_empty() {
                    self.write(&url);
                } else if label != url && url.contains(':') {
                    self.write(&format!(" ({url})"));
                }
            }
            _ => (),
        }
    }

    /// Whether nothing was written behind the marker of a list's item.
    fn at_marker(&self) -> bool {
        !self.lists.is_empty() && self.written.ends_with(' ')
    }

    fn write(&mut self, text: &str) {
        if self.quotes > 0 && (self.written.is_empty() || self.written.ends_with('\n')) {
            self.written.push_str(&"> ".repeat(self.quotes));
        }
        self.written.push_str(text);
    }

    /// Goes on at the beginning of a line.
    fn line(&mut self) {
        if !self.written.is_empty() && !self.written.ends_with('\n') {
            self.written.push('\n');
        }
    }

    /// Goes on behind an empty line.
    fn paragraph(&mut self) {
        self.line();
        if !self.written.is_empty() && !self.written.ends_with("\n\n") && self.lists.is_empty() {
            self.written.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::to_text;

    #[test]
    fn what_is_marked_up_reads_as_text() {
        for (markdown, text) in [
            (
                "# Title\n\nSome *text* with `code`.\nNext line.",
                "Title\n\nSome text with code.\nNext line.",
            ),
            (
                "[the page](https://example.com/) <https://example.org/>",
                "the page (https://example.com/) https://example.org/",
            ),
            (
                "- a\n- b\n  - c\n\n1. x\n2. y",
                "• a\n• b\n  • c\n\n1. x\n2. y",
            ),
            ("> quoted\n> more\n\nafter", "> quoted\n> more\n\nafter"),
            ("<!-- hidden -->\nshown<br>line", "shown\nline"),
            ("<b>bold</b> and<BR/>below", "bold and\nbelow"),
            ("- [x] done\n- [ ] not", "• [x] done\n• [ ] not"),
            (
                "```sh\nmake\nmake test\n```\nafter",
                "make\nmake test\n\nafter",
            ),
            ("| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n1 | 2"),
            (
                "![graph](https://example.com/g.png)",
                "graph (https://example.com/g.png)",
            ),
            ("a &amp; b ~~c~~", "a & b c"),
            ("", ""),
        ] {
            assert_eq!(to_text(markdown), text, "{markdown}");
        }
    }
}
