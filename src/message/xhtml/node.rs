//! The parts of a fragment.

/// A part of a [`super::Fragment`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// An element in the namespace of XHTML, with names of the profile.
    Element {
        name: &'static str,
        attributes: Vec<(&'static str, String)>,
        children: Vec<Node>,
    },
    /// Text, not escaped, with LF as line end. Two texts never follow each other.
    Text(String),
}

/// The number of elements.
pub fn elements(nodes: &[Node]) -> usize {
    let elements = nodes.iter().map(|node| match node {
        Node::Element { children, .. } => 1 + elements(children),
        Node::Text(_) => 0,
    });
    elements.sum()
}

/// About how many bytes the nodes take in memory.
pub fn memory(nodes: &[Node]) -> usize {
    let nodes = nodes.iter().map(|node| {
        let own_bytes = match node {
            Node::Element {
                attributes,
                children,
                ..
            } => {
                let attributes = attributes.iter().map(|(_, value)| 64 + value.len());
                attributes.sum::<usize>() + memory(children)
            }
            Node::Text(text) => 16 + text.len(),
        };
        size_of::<Node>() + own_bytes
    });
    nodes.sum()
}
