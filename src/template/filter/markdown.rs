//! Markdown → text.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::html::{self, Html};
use super::pieces::pieces;
use super::writer::Writer;

/// The text of CommonMark with GitHub's tables, task lists and strikethrough, and with HTML. Links keep their address.
/// The text has at most `limit` bytes.
pub fn to_text(markdown: &str, limit: usize) -> String {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let text = read(markdown, options, true, limit);
    match text.is_empty() {
        // Only definitions of links, or marks without a text: the source is the text.
        true => html::to_text(markdown, limit),
        false => text,
    }
}

/// Characters that replace `<` and `&` in Discord's Markdown, which has no HTML and no entities. Neither is a character
/// of any text (they are noncharacters of Unicode).
const HIDDEN: [(char, &str); 2] = [('<', "\u{FDD0}"), ('&', "\u{FDD1}")];

/// Discord's Markdown. <https://support.discord.com/hc/en-us/articles/210298617>
pub fn discord_to_text(markdown: &str, limit: usize) -> String {
    let mut hidden = String::with_capacity(markdown.len());
    for (at, line) in markdown.split('\n').enumerate() {
        if at > 0 {
            hidden.push('\n');
        }
        // Small print (`-# `), and a quotation up to the end (`>>> `).
        let line = line.strip_prefix("-# ").unwrap_or(line);
        let line = line
            .strip_prefix(">>")
            .filter(|line| line.starts_with("> "))
            .unwrap_or(line);
        for (at, c) in line.char_indices() {
            let is_link = c == '<'
                && ["http:", "https:"]
                    .iter()
                    .any(|s| line[at + 1..].starts_with(s));
            let known = HIDDEN.iter().find(|(known, _)| *known == c && !is_link);
            match known {
                Some((_, stand_in)) => hidden.push_str(stand_in),
                None => hidden.push(c),
            }
        }
    }
    let text = read(&hidden, Options::ENABLE_STRIKETHROUGH, false, limit);
    let text = match text.is_empty() {
        true => hidden.trim(),
        false => &text,
    };
    let shown = |c| {
        HIDDEN
            .iter()
            .find(|(_, stand_in)| stand_in.starts_with(c))
            .map_or(c, |(c, _)| *c)
    };
    text.chars().map(shown).collect()
}

/// `is_spaced`: an empty line comes before a list.
fn read(markdown: &str, options: Options, is_spaced: bool, limit: usize) -> String {
    let mut text = Text {
        writer: Writer::new(limit),
        html: Html::default(),
        block: String::new(),
        lists: 0,
        is_code: false,
        is_spaced,
    };
    for piece in pieces(markdown) {
        for event in Parser::new_ext(&piece, options) {
            text.take(event);
            if text.writer.is_full() {
                return text.writer.finish();
            }
        }
    }
    text.writer.finish()
}

struct Text {
    writer: Writer,
    html: Html,
    /// The current block of HTML.
    block: String,
    lists: usize,
    is_code: bool,
    is_spaced: bool,
}

impl Text {
    fn take(&mut self, event: Event) {
        match event {
            Event::Text(_) | Event::Code(_) if self.html.is_hidden() => (),
            Event::Text(text) if self.is_code => self.writer.write_lines(&text),
            Event::Text(text) => self.writer.write(&text),
            Event::Code(text) => self.writer.code(&text),
            Event::SoftBreak | Event::HardBreak => self.writer.line(),
            Event::Rule => self.writer.rule(),
            Event::TaskListMarker(done) => {
                self.writer.write(if done { "[x] " } else { "[ ] " });
            }
            Event::InlineHtml(html) if is_html(&html) => self.html.read(&html, &mut self.writer),
            Event::InlineHtml(text) => self.writer.write(&text),
            Event::Html(html) => self.block.push_str(&html),
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            _ => (),
        }
    }

    fn start(&mut self, tag: Tag) {
        let writer = &mut self.writer;
        match tag {
            Tag::Paragraph if writer.is_at_marker() => (),
            Tag::Paragraph | Tag::Heading { .. } | Tag::Table(_) => writer.paragraph(),
            Tag::CodeBlock(_) => {
                self.is_code = true;
                writer.paragraph();
                writer.fence();
            }
            Tag::HtmlBlock => writer.line(),
            Tag::BlockQuote(_) => writer.start_quote(),
            Tag::List(first) => {
                if self.lists == 0 && self.is_spaced {
                    writer.paragraph();
                }
                self.lists += 1;
                writer.start_list(first);
            }
            Tag::Item => writer.item(),
            Tag::TableRow | Tag::TableHead => writer.row(),
            Tag::TableCell => writer.cell(),
            Tag::Emphasis => writer.start_style('_'),
            Tag::Strong => writer.start_style('*'),
            Tag::Strikethrough => writer.start_style('~'),
            Tag::Link { dest_url, .. } => writer.start_link(&dest_url, false),
            Tag::Image { dest_url, .. } => writer.start_link(&dest_url, true),
            _ => (),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        let writer = &mut self.writer;
        match tag {
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Item => {
                writer.end_inline();
                writer.line();
                self.html.end_block(writer);
            }
            TagEnd::HtmlBlock => {
                self.html.read(&self.block, writer);
                self.block.clear();
                writer.end_inline();
                writer.line();
                self.html.end_block(writer);
            }
            TagEnd::CodeBlock => {
                self.is_code = false;
                writer.fence();
            }
            TagEnd::TableCell => writer.end_inline(),
            TagEnd::List(_) => {
                self.lists -= 1;
                writer.end_list();
            }
            TagEnd::BlockQuote(_) => writer.end_quote(),
            TagEnd::Emphasis => writer.end_style('_'),
            TagEnd::Strong => writer.end_style('*'),
            TagEnd::Strikethrough => writer.end_style('~'),
            TagEnd::Link | TagEnd::Image => writer.end_link(),
            _ => (),
        }
    }
}

/// The inline elements of HTML, including obsolete ones.
const ELEMENTS: &str = " a abbr acronym applet area article aside audio b base basefont bdi bdo big blink blockquote br \
    button canvas caption center cite code col colgroup data datalist dd del details dfn dialog dir div dl dt em embed \
    fieldset figcaption figure font footer form frame frameset g h1 h2 h3 h4 h5 h6 head header hr html i iframe img input \
    ins kbd label legend li link main map mark marquee math menu meta meter nav nobr noscript object ol optgroup option \
    output p param path picture pre progress q rb rp rt ruby s samp script search section select slot small source span \
    strike strong style sub summary sup svg table tbody td template textarea tfoot th thead time title tr track tt u ul \
    use var video wbr ";

/// Whether a text in angle brackets is HTML, and not a placeholder such as `<service>`.
fn is_html(tag: &str) -> bool {
    let inner = tag.trim_start_matches(['<', '/']);
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric());
    let (name, behind) = inner.split_at(end.unwrap_or(inner.len()));
    let name = name.to_ascii_lowercase();
    // Comments, and names with a namespace or of custom elements.
    name.is_empty() || behind.starts_with([':', '-']) || ELEMENTS.contains(&format!(" {name} "))
}

#[cfg(test)]
mod tests {
    use super::{discord_to_text, html, to_text};

    #[test]
    fn markdown_becomes_text() {
        for (markdown, text) in [
            (
                "# Title\n\nSome *text* with `code`.\nNext line.",
                "Title\n\nSome _text_ with `code`.\nNext line.",
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
            ("<b>bold</b> and<BR/>below", "*bold* and\nbelow"),
            ("- [x] done\n- [ ] not", "• [x] done\n• [ ] not"),
            (
                "```sh\nmake\nmake test\n```\nafter",
                "```\nmake\nmake test\n```\n\nafter",
            ),
            ("| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n1 | 2"),
            (
                "![graph](https://example.com/g.png)",
                "graph (https://example.com/g.png)",
            ),
            ("a &amp; b ~~c~~", "a & b ~c~"),
            ("> q\n\n---\n\nafter", "> q\n\n———\n\nafter"),
            (
                "| a | b |\n|---|---|\n| 1 | 2 |\n\n---\n\nafter",
                "a | b\n1 | 2\n\n———\n\nafter",
            ),
            ("text\n\n- a\n\nafter", "text\n\n• a\n\nafter"),
            (
                "> see\n> <https://a.example.com/x>, or\n> .",
                "> see\n> https://a.example.com/x, or\n> .",
            ),
            ("> a\n>\n> b\n\n> c", "> a\n>\n> b\n>\n> c"),
            ("[x]: https://a.example.com", "[x]: https://a.example.com"),
            ("<!-- only a comment -->", ""),
            ("<!-- no end", "no end"),
            ("- - -\n-", "———"),
            (
                "<details>\n<summary>Notes</summary>\n\nThe port is 8443\n\n</details>",
                "Notes\n\nThe port is 8443",
            ),
            (
                "<p align=\"center\"><img alt=\"graph\" src=\"https://i.example.com/a.png\"></p>\n\ntext",
                "graph (https://i.example.com/a.png)\n\ntext",
            ),
            (
                "<p>Backup of <b>db1</b> failed: <a href=\"https://b.example.com/7\">log</a></p>",
                "Backup of *db1* failed: log (https://b.example.com/7)",
            ),
            (
                "<table>\n<tr><td>Deployment</td><td>failed</td></tr>\n<tr><td>Preview</td><td><a href=\"https://p.example.com\">Visit</a></td></tr>\n</table>",
                "Deployment | failed\nPreview | Visit (https://p.example.com)",
            ),
            (
                "a <script>hidden</script>b\n\n<style>\nx\n</style>\nc",
                "a b\n\nc",
            ),
            ("a <script>hidden\n\nb", "a\n\nb"),
            ("a <pre>b\n\nc", "a\n\n```\nb\n```\n\nc"),
            ("restart <service> or <my-service>", "restart <service> or"),
            ("**two\nlines** **a*b** x**y**z", "*two*\n*lines* a*b xyz"),
            (
                "~~**_a_ b**~~ \\*c\\* snake_case_name 2 * 3",
                "~*_a_ b*~ *c* snake_case_name 2 * 3",
            ),
            ("**[a](https://b)** **`c`**", "*a (https://b)* *`c`*"),
            (
                "[![age](https://b.example/x)](https://d.example/)",
                "age (https://d.example/)",
            ),
            ("1. one\n   1. sub\n2. two", "1. one\n  1. sub\n2. two"),
            ("- a\n\n  b\n- c", "• a\nb\n• c"),
            (
                "a\n```\n* x\n\n\n\n\n  y\n```",
                "a\n\n```\n* x\n\n\n  y\n```",
            ),
            ("", ""),
        ] {
            assert_eq!(to_text(markdown, 1000), text, "{markdown}");
        }
    }

    #[test]
    fn discord_has_no_html_and_no_entities() {
        for (markdown, text) in [
            ("a < b &amp; <c> **d**", "a < b &amp; <c> *d*"),
            (
                "see <https://example.com/> `<b>`",
                "see https://example.com/ `<b>`",
            ),
            (
                "text:\n- a\n-# small\n>>> quoted",
                "text:\n• a\nsmall\n\n> quoted",
            ),
            ("[x]: <a>", "[x]: <a>"),
        ] {
            assert_eq!(discord_to_text(markdown, 1000), text, "{markdown}");
        }
    }

    /// Nesting does not multiply the work or the text.
    #[test]
    fn long_nested_markdown_costs_as_little_as_other_text() {
        let quoted = ">".repeat(60_000) + "a\n" + &"a\n".repeat(60_000);
        for markdown in [
            quoted,
            "- ".repeat(90_000),
            "1. ".repeat(60_000),
            "> - ".repeat(45_000),
        ] {
            let text = to_text(&markdown, usize::MAX);
            assert!(text.len() < 10 * markdown.len(), "{}", &markdown[..10]);
            assert!(to_text(&markdown, 20).ends_with('…'));
        }
    }

    proptest::proptest! {
        /// A word stays, whatever is around it, and the text is not much longer than the Markdown.
        #[test]
        fn no_word_is_lost(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    "word", "ü", " ", "\n", "\n\n", "> ", "- ", "1. ", "  ", "    ", "# ", "**", "*", "_", "~~", "~", "`",
                    "```\n", "[", "](", "](https://example.com/)", "![", ")", "<b>", "</b>", "<a href=b:c>", "</a>", "<br>",
                    "<pre>", "</pre>", "<ul>", "<li>", "</ul>", "<table>", "<tr>", "<td>", "<blockquote>", "</blockquote>",
                    "<img src=\"b:c\" alt=\"ü\">", "<i>", "<s>", "|", "|-|-|\n", "---\n", "&amp;", "\\", "[x]: b:c\n", "<b:c>", "[ ] ",
                ]),
                0..40,
            )
        ) {
            let markdown = pieces.concat();
            for (html, text) in [
                (true, to_text(&(markdown.clone() + "\n\nlast\n"), 100_000)),
                (false, discord_to_text(&(markdown.clone() + "\n\nlast\n"), 100_000)),
                (true, html::to_text(&(markdown.clone() + "<p>last"), 100_000)),
            ] {
                proptest::prop_assert!(text.contains("last") || markdown.contains("[x]"), "{html} {text}");
                // A word after a fence names a language, and a word in brackets may define a link.
                let may_lose = ["```", "~~~", "["].iter().any(|mark| markdown.contains(mark));
                let words = |text: &str| text.matches("word").count();
                proptest::prop_assert!(words(&text) >= words(&markdown) || may_lose, "{html} {text}");
                proptest::prop_assert!(text.len() <= 20 * markdown.len() + 100, "{html} {text}");
            }
        }
    }
}
