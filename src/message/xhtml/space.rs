//! White space and line ends of XML.

/// XML's white space (section 2.3).
pub fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r')
}

/// Line ends as a parser hands them on: LF (XML 1.0, section 2.11).
pub fn unify_line_ends(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}
