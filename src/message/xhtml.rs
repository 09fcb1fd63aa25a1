//! XHTML-IM (XEP-0071) reduced to its profile.
//!
//! The field `html` is parsed as XML. A new tree is built from the elements, attributes and style properties that the
//! profile allows. Everything that is not listed here is left out.
//!
//! The `ammonia` crate (over `html5ever`) does not suit: it repairs HTML without reporting faults, but XHTML that is
//! not well-formed has to be refused with line and column.
//!
//! | step | module |
//! |---|---|
//! | checks before the parser: its cost, and faults that it does not notice | `survey` |
//! | a fault → an explanation | `explain` |
//! | the parsed tree → the profile | `profile`, `style` |
//! | the profile → plain text | `plain_text` |

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

/// A fragment within the profile: the children of XHTML-IM's `<body/>` (XEP-0071, section 7). Only [`reduce`] makes
/// one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    nodes: Vec<Node>,
}

impl Fragment {
    /// The nodes, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Whether nothing in it is visible: it has no picture, and only white space as text.
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

    /// The fragment as plain text, for the `<body/>` of the message (XEP-0071, section 8, rule 2).
    ///
    /// Blocks, list items and `<br/>` make line breaks. Items begin with `- ` or `1. `. A link is its text, followed by
    /// the address in `<…>` if that differs. A picture is its `alt`, or its address if `alt` is empty. The text is
    /// trimmed, and has at most one blank line in a row.
    pub fn to_text(&self) -> String {
        plain_text(&self.nodes)
    }
}

/// Parses the `html` of a client, and keeps the parts that the profile of XHTML-IM allows.
///
/// Unknown elements are replaced by their content (XEP-0071, section 9). Elements without readable content, such as
/// `<script/>`, are dropped, and so are comments and processing instructions. CDATA is text. A `<body/>` around
/// everything is the wrapper.
///
/// # Errors
///
/// 422 with line and column in `source` if it is not well-formed XML, has a document type or a character that XML 1.0
/// does not allow, or is nested more than 100 deep; 413 if it has too much markup.
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
