//! XML elements: the parts of a stanza.

use std::fmt;

use super::xhtml::Node;

/// An XML element. Its names are legal, and its text has only characters that XML can carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element<'a> {
    name: &'a str,
    attributes: Vec<(&'static str, &'a str)>,
    children: Vec<Child<'a>>,
}

/// A child of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Child<'a> {
    Element(Element<'a>),
    Text(&'a str),
}

impl<'a> Element<'a> {
    /// An empty element.
    pub fn new(name: &'a str) -> Element<'a> {
        Element {
            name,
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }

    /// Adds an attribute.
    pub fn attribute(mut self, name: &'static str, value: &'a str) -> Element<'a> {
        self.attributes.push((name, value));
        self
    }

    /// Adds a child element.
    pub fn child(mut self, child: Element<'a>) -> Element<'a> {
        self.children.push(Child::Element(child));
        self
    }

    /// Adds text, not escaped.
    pub fn text(mut self, text: &'a str) -> Element<'a> {
        if !text.is_empty() {
            self.children.push(Child::Text(text));
        }
        self
    }

    /// Adds the nodes of an XHTML fragment. Their depth is bounded.
    pub fn fragment(mut self, nodes: &'a [Node]) -> Element<'a> {
        for node in nodes {
            self = match node {
                Node::Text(text) => self.text(text),
                Node::Element {
                    name,
                    attributes,
                    children,
                } => {
                    let element = attributes
                        .iter()
                        .fold(Element::new(name), |e, (name, value)| {
                            e.attribute(name, value)
                        });
                    self.child(element.fragment(children))
                }
            };
        }
        self
    }

    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Names and values, in order.
    pub fn attributes(&self) -> &[(&'static str, &'a str)] {
        &self.attributes
    }

    /// Elements and texts, in order.
    pub fn children(&self) -> &[Child<'a>] {
        &self.children
    }

    /// The bytes of this element as Prosody serialises it.
    pub fn serialised_len(&self) -> usize {
        let attributes: usize = self
            .attributes
            .iter()
            .map(|(name, value)| " =''".len() + name.len() + escaped_len(value))
            .sum();
        if self.children.is_empty() {
            return "</>".len() + self.name.len() + attributes;
        }
        let children: usize = self
            .children
            .iter()
            .map(|child| match child {
                Child::Element(element) => element.serialised_len(),
                Child::Text(text) => escaped_len(text),
            })
            .sum();
        "<></>".len() + 2 * self.name.len() + attributes + children
    }
}

/// The bytes of a text after `&`, `<`, `>`, `'` and `"` are escaped.
pub fn escaped_len(text: &str) -> usize {
    // Escaping adds at most 5 bytes to each byte. The sum for a block of 51 bytes fits in a `u8`, so that the compiler
    // can add many at once.
    let bytes_added = |block: &[u8]| {
        block.iter().fold(0_u8, |bytes_added, &b| {
            let quote = u8::from((b == b'\'') | (b == b'"')) * 5;
            let bracket = u8::from((b == b'<') | (b == b'>')) * 3;
            bytes_added + quote + bracket + u8::from(b == b'&') * 4
        })
    };
    let blocks = text.as_bytes().chunks(48);
    text.len()
        + blocks
            .map(|block| usize::from(bytes_added(block)))
            .sum::<usize>()
}

/// The element as XML.
impl fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for (name, value) in &self.attributes {
            write!(f, " {name}='{}'", Escaped(value))?;
        }
        if self.children.is_empty() {
            return f.write_str("/>");
        }
        f.write_str(">")?;
        for child in &self.children {
            match child {
                Child::Element(element) => element.fmt(f)?,
                Child::Text(text) => Escaped(text).fmt(f)?,
            }
        }
        write!(f, "</{}>", self.name)
    }
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['&', '<', '>', '\'', '"']) {
            let escaped = match part.as_bytes().last() {
                Some(b'&') => "&amp;",
                Some(b'<') => "&lt;",
                Some(b'>') => "&gt;",
                Some(b'\'') => "&apos;",
                Some(b'"') => "&quot;",
                _ => {
                    f.write_str(part)?;
                    continue;
                }
            };
            f.write_str(&part[..part.len() - 1])?;
            f.write_str(escaped)?;
        }
        Ok(())
    }
}
