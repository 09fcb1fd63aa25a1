//! HTML → text.

use std::convert::Infallible;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Error, Span, Tokenizer};

use super::writer::Writer;

/// The text of HTML, with the addresses of its links and pictures. The text has at most `limit` bytes.
pub fn to_text(html: &str, limit: usize) -> String {
    let mut writer = Writer::new(limit);
    Html::default().read(html, &mut writer);
    writer.finish()
}

/// Elements whose text browsers do not show.
const HIDDEN: [&str; 6] = [
    "script", "style", "template", "title", "noembed", "noframes",
];

/// The state between two pieces of HTML.
#[derive(Default)]
pub struct Html {
    tag: Tag,
    /// The open hidden element.
    hidden: Option<&'static str>,
    is_preformatted: bool,
    /// A line end right after `<pre>` is not part of the text.
    is_pre_start: bool,
    is_comment_open: bool,
}

/// The current start tag.
#[derive(Default)]
struct Tag {
    name: String,
    attribute: Option<usize>,
    /// The values of [`ATTRIBUTES`].
    values: [Option<String>; 4],
}

const ATTRIBUTES: [&str; 4] = ["href", "src", "alt", "start"];

impl Html {
    /// Reads a piece of HTML.
    pub fn read(&mut self, html: &str, writer: &mut Writer) {
        let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| {
            if !writer.is_full() {
                self.take(event, writer);
            }
            None::<Infallible>
        });
        emitter.naively_switch_states(true);
        let Ok(()) = Tokenizer::new_with_emitter(html, emitter).finish();
    }

    /// Whether text is part of a hidden element.
    pub fn is_hidden(&self) -> bool {
        self.hidden.is_some()
    }

    /// Ends hidden and preformatted elements without an end tag.
    pub fn end_block(&mut self, writer: &mut Writer) {
        self.hidden = None;
        self.end("pre", writer);
    }

    fn take(&mut self, event: CallbackEvent, writer: &mut Writer) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.tag = Tag {
                    name: String::from_utf8_lossy(name).into_owned(),
                    ..Tag::default()
                };
            }
            CallbackEvent::AttributeName { name } => {
                let at = ATTRIBUTES.iter().position(|known| known.as_bytes() == name);
                // If an attribute is repeated, the first counts.
                let at = at.filter(|at| self.tag.values[*at].is_none());
                self.tag.attribute = at;
                if let Some(at) = at {
                    self.tag.values[at] = Some(String::new());
                }
            }
            CallbackEvent::AttributeValue { value } => {
                if let Some(at) = self.tag.attribute {
                    self.tag.values[at] = Some(String::from_utf8_lossy(value).into_owned());
                }
            }
            CallbackEvent::CloseStartTag { .. } => {
                let tag = std::mem::take(&mut self.tag);
                self.start(&tag, writer);
            }
            CallbackEvent::EndTag { name } => self.end(&String::from_utf8_lossy(name), writer),
            CallbackEvent::String { value } => {
                let text = String::from_utf8_lossy(value);
                let is_start = std::mem::take(&mut self.is_pre_start);
                let text = text
                    .strip_prefix('\n')
                    .filter(|_| is_start)
                    .unwrap_or(&text);
                match self.is_preformatted {
                    _ if self.is_hidden() => (),
                    true => writer.write_lines(text),
                    false => writer.write_words(text),
                }
            }
            CallbackEvent::Error(Error::EofInComment) => self.is_comment_open = true,
            // An unfinished comment is text.
            CallbackEvent::Comment { value } if self.is_comment_open => {
                self.is_comment_open = false;
                writer.write_words(&String::from_utf8_lossy(value));
            }
            _ => (),
        }
    }

    fn start(&mut self, tag: &Tag, writer: &mut Writer) {
        if self.is_hidden() {
            return;
        }
        let [href, src, alt, first] = tag.values.each_ref().map(|value| value.as_deref());
        match tag.name.as_str() {
            "br" => writer.line_break(),
            "hr" => writer.rule(),
            "a" => {
                // Links cannot be nested.
                writer.end_link();
                if let Some(href) = href {
                    writer.start_link(href.trim(), false);
                }
            }
            "img" => {
                writer.start_link(src.unwrap_or_default().trim(), true);
                writer.write_words(alt.unwrap_or_default());
                writer.end_link();
            }
            "ul" | "menu" => writer.start_list(None),
            "ol" => writer.start_list(Some(first.and_then(|n| n.parse().ok()).unwrap_or(1))),
            "li" => {
                writer.end_inline();
                writer.item();
            }
            "blockquote" => writer.start_quote(),
            "pre" => {
                self.is_preformatted = true;
                self.is_pre_start = true;
                writer.paragraph();
                writer.fence();
            }
            "tr" => writer.row(),
            "td" | "th" => writer.cell(),
            name => match (mark(name), hidden(name)) {
                (Some(_), _) if self.is_preformatted => (),
                (Some(mark), _) => writer.start_style(mark),
                (_, Some(name)) => self.hidden = Some(name),
                _ => block(name, writer),
            },
        }
    }

    fn end(&mut self, name: &str, writer: &mut Writer) {
        if self.is_hidden() {
            self.hidden = self.hidden.filter(|hidden| *hidden != name);
            return;
        }
        match name {
            "a" => writer.end_link(),
            "ul" | "ol" | "menu" => {
                writer.end_list();
                writer.paragraph();
            }
            "blockquote" => writer.end_quote(),
            "pre" if self.is_preformatted => {
                self.is_preformatted = false;
                writer.fence();
                writer.paragraph();
            }
            "td" | "th" => writer.end_inline(),
            "br" => writer.line_break(),
            name => match mark(name) {
                Some(_) if self.is_preformatted => (),
                Some(mark) => writer.end_style(mark),
                None => block(name, writer),
            },
        }
    }
}

/// The mark of an element's style in chat.
fn mark(name: &str) -> Option<char> {
    match name {
        "b" | "strong" => Some('*'),
        "i" | "em" => Some('_'),
        "s" | "del" | "strike" => Some('~'),
        "code" | "tt" => Some('`'),
        _ => None,
    }
}

fn hidden(name: &str) -> Option<&'static str> {
    HIDDEN.into_iter().find(|hidden| *hidden == name)
}

/// Begins a line or paragraph at the beginning or end of a block element.
fn block(name: &str, writer: &mut Writer) {
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "table" | "dl" | "details" | "figure" => {
            writer.end_inline();
            writer.paragraph();
        }
        "div" | "li" | "dt" | "dd" | "section" | "article" | "header" | "footer" | "main"
        | "nav" | "aside" | "address" | "summary" | "caption" | "figcaption" | "center"
        | "form" | "fieldset" | "legend" | "option" | "body" | "head" | "html" | "tr" | "thead"
        | "tbody" | "tfoot" => writer.line(),
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use super::to_text;

    #[test]
    fn html_becomes_text() {
        for (html, text) in [
            (
                "<p>a  b\nc</p><p>d &amp; &eacute;&#33;</p>",
                "a b c\n\nd & é!",
            ),
            (
                "<a href=\"https://example.com/?a=1&amp;b\">page</a> <a href='https://example.com/'>https://example.com/</a>",
                "page (https://example.com/?a=1&b) https://example.com/",
            ),
            (
                "<a href=mailto:a@example.com>a@example.com</a>",
                "a@example.com",
            ),
            (
                "<ul><li>a</li><li>b<ol start=3><li>c</ol></ul>d",
                "• a\n• b\n  3. c\n\nd",
            ),
            (
                "<blockquote><p>a</p><p>b</p></blockquote>c",
                "> a\n>\n> b\n\nc",
            ),
            (
                "<tr><th>a<th>b<tr><td>1</td><td>2</td></tr>",
                "a | b\n1 | 2",
            ),
            ("a<br>b<br><br>c<hr>d", "a\nb\n\nc\n\n———\n\nd"),
            (
                "<head><title>t</title><style>s</style></head><body>a<script>b</script></body>",
                "a",
            ),
            ("<pre>\na\n  b\n</pre>", "```\na\n  b\n```"),
            ("<pre><code>a\n\nb</code></pre>c", "```\na\n\nb\n```\n\nc"),
            ("a<!-- b -->c <!-- d", "ac d"),
            ("<b>bold </b>x <del>gone</del> <b></b>", "*bold* x ~gone~"),
            ("a < b <", "a < b <"),
            ("", ""),
        ] {
            assert_eq!(to_text(html, 1000), text, "{html}");
        }
    }

    #[test]
    fn the_text_of_unfinished_tags_is_cut() {
        for piece in [
            "<a href=\"",
            "<a@",
            "<![CDATA[",
            "<!",
            "</",
            "<?",
            "<b>",
            "<ul><li>",
            "<p a=b>",
        ] {
            let text = to_text(&piece.repeat(200_000 / piece.len()), 1000);
            assert!(text.len() <= 1000 + "…".len(), "{piece}");
        }
    }
}
