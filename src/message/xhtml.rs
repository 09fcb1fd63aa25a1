//! XHTML-IM (XEP-0071) reduced to its profile.
//!
//! What a client sends as `html` is read as XML, and a new tree is built from what the profile
//! allows. Nothing is copied that is not named here: an element, an attribute or a style property
//! that nobody thought of is left out.
//!
//! `ammonia` was looked at, over `html5ever`: it repairs HTML and never says what is wrong, where XHTML
//! that is not well-formed is to be refused with its line and column.
//!
//! | step | module |
//! |---|---|
//! | what the parser would not notice, or not survive | [`survey`] |
//! | what is wrong, in words | [`explain`] |
//! | the parsed tree → the profile | [`profile`], [`style`] |
//! | the profile → plain text | [`plain_text`] |

mod explain;
mod node;
mod plain_text;
mod profile;
mod style;
mod survey;

pub use node::{Node, elements, memory};

use explain::{explain, line_and_column, offset_of};
use plain_text::plain_text;
use profile::{lone_body, reduce_children};
use survey::{bound, end_of_declaration, survey};

use crate::http::problem::Problem;

const BEFORE: &str = "<body xmlns='http://www.w3.org/1999/xhtml'>";
const AFTER: &str = "</body>";

/// A fragment that holds nothing but the profile; the children of XHTML-IM's `<body/>`
/// (XEP-0071, section 7). Only [`reduce`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    nodes: Vec<Node>,
}

impl Fragment {
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Whether there is nothing to see: no picture, and no text but white space.
    pub fn is_empty(&self) -> bool {
        fn blank(node: &Node) -> bool {
            match node {
                Node::Element { name, children, .. } => {
                    *name != "img" && children.iter().all(blank)
                }
                Node::Text(text) => text.trim().is_empty(),
            }
        }
        self.nodes.iter().all(blank)
    }

    /// The same as plain text, for the `<body/>` of the message (XEP-0071, section 8, rule 2).
    ///
    /// Blocks, list items and `<br/>` make line breaks; items begin with `- ` or `1. `; a link is its
    /// text, with the address in `<…>` where that is not the text; a picture is its `alt`, or its
    /// address where that is empty. Trimmed, and with no more than one blank line at a time.
    pub fn to_text(&self) -> String {
        plain_text(&self.nodes)
    }
}

/// Reads the `html` that a client wrote, and keeps what the profile of XHTML-IM allows.
///
/// Unknown elements give way to their content (XEP-0071, section 9), but for those that have nothing
/// to read in them, such as `<script/>`. Comments and processing instructions are dropped; CDATA is
/// text; a `<body/>` around it all is taken as the wrapper it is.
///
/// # Errors
///
/// 422 with line and column in `source`, where it is not well-formed XML, holds a document type or a
/// character that XML 1.0 does not allow, or is nested more than 100 deep; 413 where it holds more
/// markup than any message needs.
pub fn reduce(source: &str) -> Result<Fragment, Problem> {
    let at = |(offset, detail): (usize, String)| {
        let (line, column) = line_and_column(source, offset);
        Problem::meaning(detail).field("html").line(line, column)
    };
    let start = end_of_declaration(source);
    survey(source, start).map_err(at)?;
    bound(source)?;
    let wrapped = [BEFORE, &source[start..], AFTER].concat();
    let document = roxmltree::Document::parse(&wrapped).map_err(|error| {
        let offset = start + offset_of(&wrapped, error.pos()).saturating_sub(BEFORE.len());
        at(explain(source, offset.min(source.len()), &error))
    })?;
    let mut nodes = Vec::new();
    let root = document.root_element();
    reduce_children(lone_body(root).unwrap_or(root), &mut nodes);
    nodes.shrink_to_fit();
    Ok(Fragment { nodes })
}

#[cfg(test)]
mod tests;
