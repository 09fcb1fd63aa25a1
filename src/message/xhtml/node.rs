//! The parts of a fragment.

/// A part of a [`super::Fragment`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// An element in the namespace of XHTML; the names are those of the profile.
    Element {
        name: &'static str,
        attributes: Vec<(&'static str, String)>,
        children: Vec<Node>,
    },
    /// Text, not escaped; its line ends are LF. Two texts never follow each other.
    Text(String),
}
