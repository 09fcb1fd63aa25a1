//! A fragment → plain text.

use super::node::Node;
use crate::message::text::is_space;

/// The nodes as plain text: see [`super::Fragment::to_text`].
pub fn plain_text(nodes: &[Node]) -> String {
    let mut writer = Writer::default();
    writer.nodes(nodes, None);
    writer.finish()
}

#[derive(Default)]
struct Writer {
    text: String,
    /// The line has text after the mark of a list item.
    begun: bool,
    /// White space was read. It is written once text follows on the line.
    space: bool,
    preformatted: bool,
}

impl Writer {
    /// `list` is the name of the list element around these nodes.
    fn nodes(&mut self, nodes: &[Node], list: Option<&str>) {
        let mut number = 0;
        for node in nodes {
            match node {
                Node::Text(text) => self.write(text),
                Node::Element {
                    name: "li",
                    children,
                    ..
                } => {
                    number += 1;
                    self.item(
                        children,
                        if list == Some("ol") {
                            format!("{number}. ")
                        } else {
                            "- ".to_owned()
                        },
                    );
                }
                Node::Element {
                    name,
                    attributes,
                    children,
                } => self.element(name, attributes, children),
            }
        }
    }

    fn item(&mut self, children: &[Node], mark: String) {
        self.end_line();
        self.text.push_str(&mark);
        self.nodes(children, None);
        self.end_line();
    }

    fn element(&mut self, name: &str, attributes: &[(&'static str, String)], children: &[Node]) {
        let value = |name| {
            attributes
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.as_str())
        };
        match name {
            "br" => self.break_line(),
            "img" => {
                let alt = value("alt").filter(|alt| !alt.trim().is_empty());
                self.write(alt.or(value("src")).unwrap_or_default());
            }
            "a" => {
                let start = self.text.len();
                self.nodes(children, None);
                let text = self.text[start..].trim();
                // `mailto:a@example.com` adds nothing to `a@example.com`.
                let is_different = |href: &&str| {
                    *href != text && href.split_once(':').is_none_or(|(_, rest)| rest != text)
                };
                if let Some(href) = value("href").filter(is_different) {
                    self.space = true;
                    self.write(&format!("<{href}>"));
                }
            }
            "address" | "blockquote" | "dd" | "div" | "dl" | "dt" | "h1" | "h2" | "h3" | "h4"
            | "h5" | "h6" | "ol" | "p" | "pre" | "ul" => {
                let was_preformatted = self.preformatted;
                self.begin_block();
                self.preformatted |= name == "pre";
                self.nodes(children, Some(name));
                self.preformatted = was_preformatted;
                self.begin_block();
            }
            _ => self.nodes(children, None),
        }
    }

    fn write(&mut self, text: &str) {
        for char in text.chars() {
            if self.preformatted && char == '\n' {
                self.break_line();
            } else if !self.preformatted && is_space(char) {
                self.space = true;
            } else {
                if self.space && self.begun {
                    self.text.push(' ');
                }
                self.text.push(char);
                self.space = false;
                self.begun = true;
            }
        }
    }

    fn break_line(&mut self) {
        self.text.push('\n');
        self.begun = false;
        self.space = false;
    }

    /// A block begins on a line of its own, or after the mark of its list item.
    fn begin_block(&mut self) {
        if self.begun {
            self.break_line();
        }
        self.space = false;
    }

    /// A list item begins on a line of its own, even after an empty item.
    fn end_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.break_line();
        }
        self.space = false;
    }

    fn finish(self) -> String {
        let mut text = String::with_capacity(self.text.len());
        for line in self.text.lines().map(str::trim_end) {
            if !line.is_empty() || !text.ends_with("\n\n") {
                text.push_str(line);
                text.push('\n');
            }
        }
        text.trim().to_owned()
    }
}
