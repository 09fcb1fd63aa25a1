//! XHTML-IM (XEP-0071) reduced to its profile.
//!
//! What a client sends as `html` is read as XML, and a new tree is built from what the profile
//! allows. Nothing is copied that is not named here: an element, an attribute or a style property
//! that nobody thought of is left out.

use crate::http::problem::Problem;

const XHTML: &str = "http://www.w3.org/1999/xhtml";
const BEFORE: &str = "<body xmlns='http://www.w3.org/1999/xhtml'>";
const AFTER: &str = "</body>";

/// Elements within each other, in the source. The parser and the functions below recurse that far.
const MAX_DEPTH: usize = 100;
/// The parser compares every attribute of an element with every other one.
const MAX_ATTRIBUTES: usize = 100;
/// The parser copies the declarations in scope for each element that adds one.
const MAX_NAMESPACES: usize = 32;
/// `<` and `=` in the source: the parser makes room for as many nodes and attributes, before it
/// reads any. A source that fits the default `post_msg_size_limit` never holds more.
const MAX_MARKUP: usize = 200_000;
/// CDATA sections times bytes of the source: the parser copies the text before a section to append it.
const MAX_CDATA_WORK: usize = 1 << 28;

/// The elements of the XHTML-IM Integration Set (XEP-0071, section 6) that may stand in a `<body/>`.
#[rustfmt::skip]
const ELEMENTS: [&str; 32] = [
    "a", "abbr", "acronym", "address", "blockquote", "br", "cite", "code", "dd", "dfn", "div",
    "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "img", "kbd", "li", "ol", "p", "pre",
    "q", "samp", "span", "strong", "ul", "var",
];

/// Elements whose content is nothing to read, in any namespace: they go with all that is in them.
#[rustfmt::skip]
const DROPPED: [&str; 28] = [
    "applet", "audio", "base", "button", "canvas", "datalist", "embed", "frame", "frameset",
    "head", "iframe", "input", "link", "math", "meta", "object", "optgroup", "option", "param",
    "script", "select", "style", "svg", "template", "textarea", "title", "video", "xml",
];

/// The recommended style properties (XEP-0071, section 7.6.1).
#[rustfmt::skip]
const PROPERTIES: [&str; 10] = [
    "background-color", "color", "font-family", "font-size", "font-style", "font-weight",
    "margin-left", "margin-right", "text-align", "text-decoration",
];

/// A fragment that holds nothing but the profile; the children of XHTML-IM's `<body/>`
/// (XEP-0071, section 7). Only [`reduce`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    nodes: Vec<Node>,
}

/// A part of a [`Fragment`].
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
        let mut writer = Writer::default();
        writer.nodes(&self.nodes, None);
        writer.finish()
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
    bound(source)?;
    let start = end_of_declaration(source);
    survey(source, start).map_err(at)?;
    let wrapped = [BEFORE, &source[start..], AFTER].concat();
    let document = roxmltree::Document::parse(&wrapped).map_err(|error| {
        let offset = start + offset_of(&wrapped, error.pos()).saturating_sub(BEFORE.len());
        at(explain(source, offset.min(source.len()), &error))
    })?;
    let mut nodes = Vec::new();
    let root = document.root_element();
    reduce_children(lone_body(root).unwrap_or(root), &mut nodes);
    Ok(Fragment { nodes })
}

// Before the parser: what it would not notice, or not survive.

/// Refuses what would cost the parser more memory or time than any message is worth.
fn bound(source: &str) -> Result<(), Problem> {
    let markup = source
        .bytes()
        .filter(|byte| matches!(byte, b'<' | b'='))
        .count();
    let cdata = source.matches("<![CDATA[").count();
    let detail = if markup > MAX_MARKUP {
        format!(
            "the XHTML holds too much markup: up to {MAX_MARKUP} `<` and `=` signs can be taken"
        )
    } else if cdata > 1 && cdata.saturating_mul(source.len()) > MAX_CDATA_WORK {
        "the XHTML holds too many CDATA sections: write &lt; and &amp; instead".to_owned()
    } else {
        return Ok(());
    };
    Err(Problem::too_large(detail).field("html"))
}

/// Where an XML declaration at the very beginning ends, or 0.
fn end_of_declaration(source: &str) -> usize {
    let declared = source
        .strip_prefix("<?xml")
        .is_some_and(|rest| rest.starts_with(is_space));
    let end = source.find("?>").filter(|_| declared);
    end.map_or(0, |end| end + 2)
}

/// Refuses illegal characters, elements that close the wrapper, and excesses.
///
/// roxmltree recurses for every level, so the depth must be known before it runs; and it reads
/// references to surrogates as U+FFFD. This follows the markup only as far as it is well-formed:
/// where it is not, it stops, and the parser stops there too and says why.
fn survey(source: &str, start: usize) -> Result<(), (usize, String)> {
    if let Some((offset, char)) = source.char_indices().find(|(_, char)| !is_xml(*char)) {
        return Err((
            offset,
            format!(
                "XML does not allow the character U+{:04X}: leave it out",
                u32::from(char)
            ),
        ));
    }
    // For each open element, the number of namespace declarations in its scope.
    let mut open: Vec<usize> = Vec::new();
    let mut at = start;
    while let Some(length) = source[at..].find('<') {
        references(source, at, at + length)?;
        at += length;
        let rest = &source[at..];
        let other = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];
        if let Some((begin, end)) = other.iter().find(|(begin, _)| rest.starts_with(begin)) {
            let Some(length) = rest[begin.len()..].find(end) else {
                return Ok(());
            };
            at += begin.len() + length + end.len();
            continue;
        }
        let Some((tag, attributes)) = tag(rest) else {
            return Ok(());
        };
        references(source, at, at + tag.len())?;
        if tag.starts_with("</") {
            if open.pop().is_none() {
                return Err((
                    at,
                    format!(
                        "{} closes an element that was not opened: leave it out",
                        quoted(tag)
                    ),
                ));
            }
        } else {
            let namespaces = open.last().unwrap_or(&0) + tag.matches("xmlns").count();
            let excess = if open.len() >= MAX_DEPTH {
                format!("elements are nested too deep: {MAX_DEPTH} levels are allowed")
            } else if attributes > MAX_ATTRIBUTES {
                format!("an element has too many attributes: {MAX_ATTRIBUTES} are allowed")
            } else if namespaces > MAX_NAMESPACES {
                format!("too many namespaces are declared: {MAX_NAMESPACES} are allowed at a time")
            } else {
                String::new()
            };
            if !excess.is_empty() {
                return Err((at, excess));
            }
            if !tag.ends_with("/>") {
                open.push(namespaces);
            }
        }
        at += tag.len();
    }
    references(source, at, source.len())
}

/// The tag that `text` begins with, and how many attributes it seems to have.
fn tag(text: &str) -> Option<(&str, usize)> {
    let name_start = |char: char| {
        char.is_ascii_alphabetic() || matches!(char, '/' | '_' | ':') || !char.is_ascii()
    };
    if !text[1..].starts_with(name_start) {
        return None;
    }
    let mut quote = None;
    let mut attributes = 0;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match (byte, quote) {
            (b'<', _) => return None,
            (b'"' | b'\'', None) => quote = Some(byte),
            (_, Some(begun)) if begun == byte => quote = None,
            (b'=', None) => attributes += 1,
            (b'>', None) => return Some((&text[..=index], attributes)),
            _ => {}
        }
    }
    None
}

/// Refuses numeric references to what is no character of XML 1.0 (its section 4.1).
fn references(source: &str, start: usize, end: usize) -> Result<(), (usize, String)> {
    for (index, _) in source[start..end].match_indices("&#") {
        let reference = &source[start + index..end];
        let (radix, rest) = match reference[2..].strip_prefix('x') {
            Some(rest) => (16, rest),
            None => (10, &reference[2..]),
        };
        let length = rest
            .find(|char: char| !char.is_digit(radix))
            .unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(length);
        let char = u32::from_str_radix(digits, radix)
            .ok()
            .and_then(char::from_u32);
        if length > 0 && rest.starts_with(';') && !char.is_some_and(is_xml) {
            let reference = quoted(&reference[..=reference.len() - rest.len()]);
            return Err((
                start + index,
                format!("{reference} is no character that XML allows: leave it out"),
            ));
        }
    }
    Ok(())
}

/// Whether XML 1.0 allows it (section 2.2).
fn is_xml(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// XML's white space (section 2.3).
fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r')
}

// What is wrong, and where.

/// What the client should read for an error of the parser, and the offset to show with it.
fn explain(source: &str, offset: usize, error: &roxmltree::Error) -> (usize, String) {
    use roxmltree::Error::*;
    let rest = &source[offset..];
    let ended =
        || "the end comes inside a tag, a comment or a CDATA section: complete it".to_owned();
    let (offset, detail) = match error {
        UnexpectedCloseTag(open, _, _) if rest.is_empty() => {
            let open = quoted(open);
            (offset, format!("<{open}> is not closed: write </{open}>, or <{open}/> where nothing is in it"))
        }
        UnexpectedCloseTag(open, close, _) => {
            let (open, close) = (quoted(open), quoted(close));
            (offset, format!("</{close}> stands where </{open}> must come first; an empty element is written <{open}/>"))
        }
        UnknownEntityReference(name, _) => {
            let name = quoted(name);
            let right = "write the character itself or its number, such as &#160; for &nbsp;";
            (offset, format!("&{name}; is not known in XML: {right}"))
        }
        MalformedEntityReference(_) => (offset, "a bare & : write &amp;".to_owned()),
        UnknownNamespace(prefix, _) => {
            let prefix = quoted(prefix);
            (offset, format!("the prefix {prefix} is not declared: leave it out, or add xmlns:{prefix}='…'"))
        }
        DuplicatedAttribute(name, _) | DuplicatedNamespace(name, _) => {
            (offset, format!("the attribute {} is given twice: leave one out", quoted(name)))
        }
        InvalidChar(_, b'<', _) | InvalidChar2(_, b'<', _) => (offset, "a bare < inside a tag: write &lt; in a value, and end each tag with >".to_owned()),
        InvalidChar(b'=', _, _) | InvalidChar2("a quote", _, _) => {
            (offset, "an attribute needs a value in quotes: name='value'".to_owned())
        }
        InvalidName(_) => (offset, "a name must stand here; in text, write &lt; for <".to_owned()),
        InvalidCharacterData(_) => (offset, "]]> in text: write ]]&gt;".to_owned()),
        InvalidComment(_) => (offset, "a comment holds -- or ends with -: leave it out".to_owned()),
        UnexpectedDeclaration(_) => (offset, "an XML declaration can only be the very beginning: leave it out".to_owned()),
        UnknownToken(_) if rest.starts_with("<!") => {
            (offset, "document types and other declarations are not taken: leave <!…> out".to_owned())
        }
        UnexpectedEndOfStream | UnclosedRootNode => (source.len(), ended()),
 InvalidString(..) if rest.is_empty() => (source.len(), ended()),
        _ => (offset, "this cannot be read as XML: write &lt; for < and &amp; for & in text, and quotes around values".to_owned()),
    };
    (offset, format!("the XHTML is not well-formed: {detail}"))
}

/// As much of the client's own text as belongs in a line.
fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The offset that the parser means, which counts lines by LF.
fn offset_of(text: &str, place: roxmltree::TextPos) -> usize {
    let (row, column) = (place.row as usize - 1, place.col as usize - 1);
    let start: usize = text.split_inclusive('\n').take(row).map(str::len).sum();
    let line = &text[start..];
    start
        + line
            .char_indices()
            .nth(column)
            .map_or(line.len(), |(index, _)| index)
}

/// Both from 1, the column in characters.
fn line_and_column(source: &str, offset: usize) -> (usize, usize) {
    let before = unify_line_ends(&source[..offset]);
    let column = before
        .chars()
        .rev()
        .take_while(|char| *char != '\n')
        .count();
    (before.matches('\n').count() + 1, column + 1)
}

fn unify_line_ends(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

// From the parsed tree to the profile.

/// The one `<body/>` that all of the source is in.
fn lone_body<'a, 'input>(root: roxmltree::Node<'a, 'input>) -> Option<roxmltree::Node<'a, 'input>> {
    let mut content = root.children().filter(|node| match node.text() {
        Some(text) if node.is_text() => !text.chars().all(is_space),
        _ => node.is_element(),
    });
    let body = content
        .next()
        .filter(|node| node.tag_name().name().eq_ignore_ascii_case("body"))?;
    content.next().is_none().then_some(body)
}

fn reduce_children(parent: roxmltree::Node, into: &mut Vec<Node>) {
    for child in parent.children() {
        if child.is_element() {
            reduce_element(child, into);
        } else if child.is_text() {
            push_text(unify_line_ends(child.text().unwrap_or_default()), into);
        }
    }
}

fn reduce_element(source: roxmltree::Node, into: &mut Vec<Node>) {
    // XHTML's names are lower case; <SCRIPT> is no way around that, and <P> is meant well.
    let is = |name: &&&str| source.tag_name().name().eq_ignore_ascii_case(name);
    if DROPPED.iter().any(|name| is(&name)) {
        return;
    }
    let ours = source.tag_name().namespace() == Some(XHTML);
    let Some(&name) = ELEMENTS.iter().find(is).filter(|_| ours) else {
        return reduce_children(source, into);
    };
    let attributes = reduce_attributes(name, source);
    if name == "img" && !attributes.iter().any(|(name, _)| *name == "src") {
        let alt = attributes.into_iter().find(|(name, _)| *name == "alt");
        push_text(alt.map(|(_, value)| value).unwrap_or_default(), into);
        return reduce_children(source, into);
    }
    let mut children = Vec::new();
    reduce_children(source, &mut children);
    // These two are empty by definition: what a client wrote into one comes behind it.
    let behind = if matches!(name, "br" | "img") {
        std::mem::take(&mut children)
    } else {
        Vec::new()
    };
    into.push(Node::Element {
        name,
        attributes,
        children,
    });
    for node in behind {
        match node {
            Node::Text(text) => push_text(text, into),
            element => into.push(element),
        }
    }
}

fn push_text(text: String, into: &mut Vec<Node>) {
    match into.last_mut() {
        Some(Node::Text(before)) => before.push_str(&text),
        _ if text.is_empty() => {}
        _ => into.push(Node::Text(text)),
    }
}

/// The attributes that XEP-0071 recommends (section 7.7, summarised in 7.8).
fn reduce_attributes(element: &str, source: roxmltree::Node) -> Vec<(&'static str, String)> {
    let names: &[&str] = match element {
        "a" => &["href", "type", "style"],
        "br" => &[],
        "img" => &["src", "alt", "height", "width", "style"],
        _ => &["style"],
    };
    let written = |name: &str| {
        let mut attributes = source.attributes();
        let found =
            attributes.find(|a| a.namespace().is_none() && a.name().eq_ignore_ascii_case(name));
        found.map(|attribute| attribute.value())
    };
    let reduced = |name: &str| match name {
        "href" => written(name)
            .filter(|value| is_address(value, &["http", "https", "mailto", "xmpp"]))
            .map(str::to_owned),
        "src" => written(name)
            .filter(|value| is_address(value, &["http", "https"]))
            .map(str::to_owned),
        "type" => written(name)
            .filter(|value| is_media_type(value))
            .map(str::to_owned),
        "height" | "width" => written(name)
            .filter(|value| is_length(value))
            .map(str::to_owned),
        // Required of every picture.
        "alt" => {
            Some(unify_line_ends(written(name).unwrap_or_default()).replace(['\n', '\t'], " "))
        }
        _ => written(name)
            .map(reduce_style)
            .filter(|style| !style.is_empty()),
    };
    names
        .iter()
        .filter_map(|name| Some((*name, reduced(name)?)))
        .collect()
}

/// Whether it is an absolute URI or IRI of one of these schemes, with nothing in it to mislead a reader.
fn is_address(value: &str, schemes: &[&str]) -> bool {
    let odd = |char: char| {
        char.is_control()
            || char.is_whitespace()
            || matches!(char, '<' | '>' | '"' | '\\' | '`')
            // Forbidden in IRIs: they change the order in which the rest is shown (RFC 3987, section 4.1).
            || matches!(char, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
    };
    let Some((scheme, rest)) = value.split_once(':') else {
        return false;
    };
    let known = schemes
        .iter()
        .any(|known| known.eq_ignore_ascii_case(scheme));
    let complete = match scheme.as_bytes().first() {
        Some(b'h' | b'H') => rest
            .strip_prefix("//")
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#'])),
        _ => !rest.is_empty(),
    };
    known && complete && !value.contains(odd)
}

/// RFC 6838, section 4.2; parameters are not for links.
fn is_media_type(value: &str) -> bool {
    let name = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
    };
    value
        .split_once('/')
        .is_some_and(|(kind, subtype)| name(kind) && name(subtype))
}

/// Pixels or a percentage.
fn is_length(value: &str) -> bool {
    let digits = value.strip_suffix('%').unwrap_or(value);
    (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The declarations that pass, each as `name: value`, joined by `; `.
fn reduce_style(style: &str) -> String {
    let declarations = style.split(';').filter_map(|declaration| {
        let (name, value) = declaration.split_once(':')?;
        let name = PROPERTIES
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name.trim()))?;
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        is_style_value(name, &value).then(|| format!("{name}: {value}"))
    });
    declarations.collect::<Vec<_>>().join("; ")
}

/// Words, numbers and colours; quotes where a font is named. What would take a function, an escape,
/// a comment or an address takes a character that is not allowed here.
fn is_style_value(property: &str, value: &str) -> bool {
    let plain = |char: char| char.is_alphanumeric() || " #%,.+-_".contains(char);
    let lower = value.to_ascii_lowercase();
    if value.is_empty() || lower.contains("javascript") || lower.contains("expression") {
        return false;
    }
    match property {
        // A font in quotes may have one kind of quotes in each name: nothing is left open.
        "font-family" => value.split(',').all(|font| {
            let font = font.trim();
            let inner = ['\'', '"']
                .iter()
                .find_map(|quote| font.strip_prefix(*quote)?.strip_suffix(*quote));
            inner.unwrap_or(font).chars().all(plain)
        }),
        "color" | "background-color" => match lower.split_once('(') {
            Some((function, arguments)) => {
                let arguments = arguments.strip_suffix(')').unwrap_or("(");
                matches!(function, "rgb" | "rgba" | "hsl" | "hsla")
                    && arguments
                        .chars()
                        .all(|char| char.is_ascii_digit() || " %,.-".contains(char))
            }
            None => value.chars().all(plain),
        },
        // A negative margin would put the text over someone else's.
        "margin-left" | "margin-right" => !value.contains('-') && value.chars().all(plain),
        _ => value.chars().all(plain),
    }
}

// From the profile to plain text.

#[derive(Default)]
struct Writer {
    text: String,
    /// The line has more on it than the mark of a list item.
    begun: bool,
    /// White space was read, and is written when something follows on the line.
    space: bool,
    preformatted: bool,
}

impl Writer {
    /// `list` is the name of the list whose items these are.
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
                // mailto:a@example.com says no more than a@example.com.
                let differs = |href: &&str| {
                    *href != text && href.split_once(':').is_none_or(|(_, rest)| rest != text)
                };
                if let Some(href) = value("href").filter(differs) {
                    self.space = true;
                    self.write(&format!("<{href}>"));
                }
            }
            "address" | "blockquote" | "dd" | "div" | "dl" | "dt" | "h1" | "h2" | "h3" | "h4"
            | "h5" | "h6" | "ol" | "p" | "pre" | "ul" => {
                let outside = self.preformatted;
                self.begin_block();
                self.preformatted |= name == "pre";
                self.nodes(children, Some(name));
                self.preformatted = outside;
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

    /// A block begins on a line of its own, or behind the mark of its list item.
    fn begin_block(&mut self) {
        if self.begun {
            self.break_line();
        }
        self.space = false;
    }

    /// A list item begins on a line of its own, even behind an item that is empty.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Place;
    use proptest::prelude::*;

    fn escape(text: &str) -> String {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('\'', "&apos;")
    }

    fn serialise(nodes: &[Node]) -> String {
        let mut xml = String::new();
        for node in nodes {
            match node {
                Node::Text(text) => xml += &escape(text),
                Node::Element {
                    name,
                    attributes,
                    children,
                } => {
                    let attributes: String = attributes
                        .iter()
                        .map(|(name, value)| format!(" {name}='{}'", escape(value)))
                        .collect();
                    let inside = serialise(children);
                    xml += &match inside.is_empty() {
                        true => format!("<{name}{attributes}/>"),
                        false => format!("<{name}{attributes}>{inside}</{name}>"),
                    };
                }
            }
        }
        xml
    }

    #[track_caller]
    fn reduces(source: &str, expected: &str) {
        let fragment = reduce(source).unwrap_or_else(|problem| panic!("{source:?}: {problem:?}"));
        assert_eq!(serialise(fragment.nodes()), expected, "from {source:?}");
    }

    #[track_caller]
    fn reads(source: &str, expected: &str) {
        assert_eq!(
            reduce(source).unwrap().to_text(),
            expected,
            "from {source:?}"
        );
    }

    #[track_caller]
    fn refused(source: &str, line: usize, column: usize, part: &str) {
        let problem = reduce(source).expect_err(source);
        assert_eq!(
            (problem.status, problem.field.as_deref()),
            (422, Some("html")),
            "{source:?}"
        );
        assert_eq!(
            problem.place,
            Some(Place::Line { line, column }),
            "{source:?}: {problem}"
        );
        assert!(problem.detail.contains(part), "{source:?}: {problem}");
        assert!(!problem.detail.contains('\n'), "{source:?}: {problem}");
    }

    #[test]
    fn the_elements_of_the_profile_stay() {
        for same in [
            "<p>a <strong>b</strong> <em>c</em> <span>d</span> <cite>e</cite></p>",
            "<blockquote>q</blockquote><ul><li>x</li></ul><ol><li>y</li></ol>",
            "a<br/>b",
            "just text &amp; more",
            "<h1>h</h1><pre>a\n b</pre><dl><dt>t</dt><dd>d</dd></dl>",
            "<p>ü 🦀 مرحبا</p>",
            "",
        ] {
            reduces(same, same);
        }
    }

    #[test]
    fn unknown_elements_give_way_to_their_content() {
        reduces("<p>x <blink>y</blink> z</p>", "<p>x y z</p>");
        reduces(
            "<foo><bar><p>x <em>y</em></p></bar></foo>",
            "<p>x <em>y</em></p>",
        );
        reduces("<form action='x'>a<input name='y'/>b</form>", "ab");
    }

    #[test]
    fn what_is_nothing_to_read_goes_with_its_content() {
        reduces(
            "<p>b</p><script>alert(1)</script><SCRIPT>2</SCRIPT><p>a</p>",
            "<p>b</p><p>a</p>",
        );
        reduces("<style>p{}</style><p>x</p>", "<p>x</p>");
        reduces(
            "<p>x</p><iframe src='https://e'>i</iframe><object data='x'>o</object><embed src='x'/>",
            "<p>x</p>",
        );
        reduces(
            "a<select><option>o</option></select><textarea>t</textarea><button>b</button>",
            "a",
        );
        reduces(
            "<html><head><title>t</title></head><body><p>x</p></body></html>",
            "<p>x</p>",
        );
    }

    #[test]
    fn elements_of_other_namespaces_do_not_stay() {
        reduces(
            "<p>x</p><svg xmlns='http://www.w3.org/2000/svg'><script>1</script><text>t</text></svg>",
            "<p>x</p>",
        );
        reduces(
            "<p>x</p><message xmlns='jabber:client' to='o@e'><body>y</body></message>",
            "<p>x</p>y",
        );
        reduces("<x:p xmlns:x='urn:x'>a<p>b</p></x:p>", "a<p>b</p>");
        reduces("<p xmlns=''>a</p>", "a");
    }

    #[test]
    fn a_prefix_or_upper_case_for_xhtml_is_read_as_it_is_meant() {
        reduces(
            "<h:p xmlns:h='http://www.w3.org/1999/xhtml'>x</h:p>",
            "<p>x</p>",
        );
        reduces(
            "<P>x <A HREF='https://e/' href='https://f/'>y</A></P>",
            "<p>x <a href='https://e/'>y</a></p>",
        );
    }

    #[test]
    fn a_body_around_it_all_is_the_wrapper() {
        reduces("<body><p>x</p></body>", "<p>x</p>");
        reduces(
            " <!-- c -->\n<body xmlns='http://www.w3.org/1999/xhtml' style='color:red' xml:lang='en'> x</body>\n",
            " x",
        );
        let whole = "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>x</body></html>";
        reduces(whole, "x");
    }

    #[test]
    fn comments_instructions_and_the_xml_declaration_are_dropped_and_cdata_is_text() {
        reduces(
            "<?xml version='1.0'?><p>x<!-- secret -->y<?php echo 1 ?></p>",
            "<p>xy</p>",
        );
        reduces(
            "<p>a<![CDATA[<script>x</script>&amp;]]>b</p>",
            "<p>a&lt;script&gt;x&lt;/script&gt;&amp;amp;b</p>",
        );
    }

    #[test]
    fn line_ends_arrive_as_lf() {
        reduces(
            "a\r\nb\rc&#13;d&#13;&#10;e<![CDATA[\r\n]]>",
            "a\nb\nc\nd\ne\n",
        );
        reduces(
            "<img src='https://e/' alt='a&#13;&#10;b&#9;c\nd'/>",
            "<img src='https://e/' alt='a b c d'/>",
        );
    }

    #[test]
    fn attributes_outside_the_profile_are_dropped() {
        reduces(
            "<p onclick='x()' class='c' id='i' title='t' data-x='y' xml:lang='en'>x</p>",
            "<p>x</p>",
        );
        reduces("<p xmlns:x='urn:x' x:style='color: red'>x</p>", "<p>x</p>");
        reduces(
            "<a href='https://e/' rel='r' target='t' type='text/html'>x</a>",
            "<a href='https://e/' type='text/html'>x</a>",
        );
        reduces(
            "<a href='https://e/' type='text/html; x'>x</a><br style='color: red'/>",
            "<a href='https://e/'>x</a><br/>",
        );
    }

    #[test]
    fn links_of_other_schemes_lose_the_address_and_keep_the_text() {
        for good in [
            "https://example.org/?a=b&amp;c",
            "HTTP://e",
            "mailto:a@e",
            "xmpp:u@e?message",
            "https://bücher.example/",
        ] {
            let same = format!("<a href='{good}'>x</a>");
            reduces(&same, &same);
        }
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:x",
            " javascript:x",
            "java&#9;script:x",
            "&#106;avascript:x",
            "vbscript:x",
            "data:text/html,x",
            "file:///etc/passwd",
            "/x",
            "x",
            "//e/",
            "",
            " https://e/",
            "https://e/ x",
            "https:e",
            "https://",
            "https:///x",
            "mailto:",
            "https://e/&#x202E;gpj",
            "https://e\\@f",
            "h:x",
            "cid:x",
        ] {
            reduces(&format!("<a href='{bad}'>x</a>"), "<a>x</a>");
        }
    }

    #[test]
    fn a_picture_without_an_acceptable_address_gives_its_alternative_text() {
        reduces(
            "<img width='2%' src='https://e/x.png' alt='a' height='1' onerror='x' longdesc='https://e'/>",
            "<img src='https://e/x.png' alt='a' height='1' width='2%'/>",
        );
        reduces(
            "<img src='https://e/' height='1px' width='-1'/>",
            "<img src='https://e/' alt=''/>",
        );
        reduces(
            "<p>x <img src='javascript:x' alt='a &lt; b'/> y</p>",
            "<p>x a &lt; b y</p>",
        );
        reduces("<img/><img src='mailto:a@e'/>", "");
    }

    #[test]
    fn what_is_written_into_an_empty_element_comes_behind_it() {
        reduces(
            "<br>a</br><img src='https://e/' alt='i'>b</img>c",
            "<br/>a<img src='https://e/' alt='i'/>bc",
        );
    }

    #[test]
    fn styles_keep_the_properties_of_the_profile() {
        let style = |style: &str, expected: &str| {
            let expected = if expected.is_empty() {
                "<p>x</p>".to_owned()
            } else {
                format!("<p style='{}'>x</p>", escape(expected))
            };
            reduces(&format!("<p style='{}'>x</p>", escape(style)), &expected);
        };
        style("color:red", "color: red");
        style(
            "COLOR : #Ff0000 ;; margin-left:5%;",
            "color: #Ff0000; margin-left: 5%",
        );
        style(
            "color: rgb(1, 2%, 3);background-color:HSLA(1,2%,3%,.5)",
            "color: rgb(1, 2%, 3); background-color: HSLA(1,2%,3%,.5)",
        );
        style(
            "font-family:'Brush  Script MT', \"x\",serif",
            "font-family: 'Brush Script MT', \"x\",serif",
        );
        style("background:url(javascript:x);color:red", "color: red");
        style(
            "position:fixed;top:0;font-size:10pt;text-decoration:underline",
            "font-size: 10pt; text-decoration: underline",
        );
        for bad in [
            "color:expression(alert(1))",
            "color: url(https://e/)",
            "color: rgb(1",
            "color: rgb(calc(1))",
            "color:\\72 ed",
            "color: /* x */ red",
            "color: <red>",
            "color:",
            "color",
            "font-family: 'a",
            "font-family: 'a\"b'",
            "color: @import x",
            "margin-left: -99px",
            "font-family: javascript",
            "color: red !important",
            "col or: red",
            "color: a:b",
        ] {
            style(bad, "");
        }
    }

    #[test]
    fn nothing_leaves_the_wrapper() {
        refused(
            "x</body></html><presence/><body>",
            1,
            2,
            "</body> closes an element that was not opened",
        );
        refused("x</body><body>y", 1, 2, "was not opened");
        refused("x</body>", 1, 2, "was not opened");
        refused("<p>x</p></body><!--", 1, 9, "was not opened");
        refused("</body\n><body>", 1, 1, "was not opened");
        refused("<p></body><body></p>", 1, 4, "</p> must come first");
    }

    #[test]
    fn what_is_not_well_formed_is_refused_with_its_place_and_what_would_be_right() {
        refused("<p>x", 1, 5, "</p>");
        refused("a<br>b", 1, 7, "<br/>");
        refused("<p><em>x</p></em>", 1, 9, "</em>");
        refused("<p>a & b</p>", 1, 6, "&amp;");
        refused("&", 1, 1, "&amp;");
        refused("<p>ü\r\n🦀 < b</p>", 2, 4, "&lt;");
        refused("<p>\ra\r\n&nbsp;</p>", 3, 1, "&#160;");
        refused("<a href=x>y</a>", 1, 9, "quotes");
        refused("<a href>y</a>", 1, 8, "quotes");
        refused("<a href='x' href='y'>z</a>", 1, 13, "twice");
        refused("<a href='a<b'>z</a>", 1, 11, "&lt;");
        refused("<x:p>y</x:p>", 1, 2, "prefix x");
        refused(
            "<!DOCTYPE x [<!ENTITY a 'b'>]><p>&a;</p>",
            1,
            1,
            "document types",
        );
        refused("a ]]> b", 1, 8, "]]&gt;");
        refused("<!-- a -- b -->", 1, 1, "comment");
        refused("ab<!-- c", 1, 9, "comment");
        refused("<p", 1, 3, "end each tag");
        refused(" <?xml version='1.0'?>", 1, 2, "declaration");
        refused("<?xml version='1.0'?>\n<p>&x;</p>", 2, 4, "&x;");
        refused(&format!("<{}>", "x".repeat(1000)), 1, 1003, "x…");
    }

    #[test]
    fn characters_that_xml_does_not_allow_are_refused() {
        for bad in [
            "&#27;",
            "&#0;",
            "&#xFFFE;",
            "&#xD800;",
            "&#x110000;",
            "&#99999999999;",
            "&#x0001B;",
        ] {
            refused(&format!("<p>\nü{bad}</p>"), 2, 2, bad);
            refused(&format!("<p class='{bad}'/>"), 1, 11, bad);
        }
        for bad in ["\0", "\u{1B}", "\u{1F}", "\u{FFFE}", "\u{FFFF}"] {
            refused(&format!("<p>\nü{bad}</p>"), 2, 2, "U+");
            refused(&format!("<!-- {bad} -->"), 1, 6, "U+");
        }
        reduces("&#65;&#x42;&#x1F980;\u{7F}\u{85}", "AB🦀\u{7F}\u{85}");
        reduces("<![CDATA[&#0;]]><!-- &#0; -->", "&amp;#0;");
    }

    #[test]
    fn a_hundred_levels_are_read_and_one_more_is_refused() {
        let nested = |depth: usize| "<span>".repeat(depth) + "x" + &"</span>".repeat(depth);
        reduces(&nested(MAX_DEPTH), &nested(MAX_DEPTH));
        reads(&nested(MAX_DEPTH), "x");
        refused(&nested(MAX_DEPTH + 1), 1, 601, "nested too deep");
        refused(&nested(90_000), 1, 601, "nested too deep");
        refused(&"<p>".repeat(100_000), 1, 301, "nested too deep");
    }

    #[test]
    fn what_would_cost_too_much_is_refused_at_once() {
        let siblings = |count: usize| "<p xmlns:a='b'/>".repeat(count);
        let attributes: String = (0..100_000)
            .map(|number| format!(" a{number}=''"))
            .collect();
        let namespaces: String = (0..90)
            .map(|number| format!(" xmlns:a{number}='{number}'"))
            .collect();
        for (source, status) in [
            ("<p/>".repeat(2_500_000), 413),
            ("=".repeat(10_000_000), 413),
            ("<![CDATA[x]]>".repeat(150_000), 413),
            (format!("<p{attributes}/>"), 422),
            (format!("<p{namespaces}>{}</p>", siblings(50_000)), 422),
            ("&#".repeat(5_000_000), 422),
        ] {
            let problem = reduce(&source).unwrap_err();
            assert_eq!(
                (problem.status, problem.field.as_deref()),
                (status, Some("html")),
                "{problem}"
            );
        }
        assert!(reduce(&siblings(60_000)).is_ok());
        assert!(reduce(&"<![CDATA[x]]>".repeat(1000)).is_ok());
    }

    #[test]
    fn a_fragment_is_empty_when_there_is_nothing_to_see() {
        for empty in [
            "",
            " \n",
            "<p> <br/></p>",
            "<!-- x -->",
            "<script>x</script>",
            "<body/>",
            "<img src='x'/>",
        ] {
            assert!(reduce(empty).unwrap().is_empty(), "{empty:?}");
        }
        for full in ["x", "<p><em>x</em></p>", "<img src='https://e/'/>"] {
            assert!(!reduce(full).unwrap().is_empty(), "{full:?}");
        }
    }

    #[test]
    fn as_text_blocks_and_line_breaks_make_lines() {
        reads(
            " <p>a\n  <em>b</em> c </p> <p>d<br/>e</p>f<div> <div>g</div></div>",
            "a b c\nd\ne\nf\ng",
        );
        reads("<p>a</p><br/><br/><br/><br/><p>b</p>", "a\n\nb");
        reads("<p>x</p><pre>a\n  b\n</pre>c  d", "x\na\n  b\nc d");
        reads("", "");
    }

    #[test]
    fn as_text_list_items_are_marked() {
        reads(
            "a<ul> <li>x</li> <li><p>y</p></li> <li/><li>z</li></ul>b",
            "a\n- x\n- y\n-\n- z\nb",
        );
        reads(
            "<ol><li>x<ul><li>y</li></ul></li><li>z</li></ol>",
            "1. x\n- y\n2. z",
        );
    }

    #[test]
    fn as_text_links_and_pictures_show_what_they_stand_for() {
        reads(
            "see <a href='https://e/'>the <em>page</em></a>.",
            "see the page <https://e/>.",
        );
        reads(
            "<a href='https://e/'> https://e/ </a> <a href='mailto:a@e'>a@e</a>",
            "https://e/ a@e",
        );
        reads("<a href='x:y'>x</a>", "x");
        reads(
            "<img src='https://e/' alt='a picture'/>, <img src='https://e/'/>",
            "a picture, https://e/",
        );
        reads("<a href='https://e/'><img src='x'/></a>", "<https://e/>");
    }

    /// Whatever comes out is a fragment of the profile: well-formed, and the same when reduced again.
    #[track_caller]
    fn holds(source: &str) {
        match reduce(source) {
            Ok(fragment) => {
                let xml = serialise(fragment.nodes());
                roxmltree::Document::parse(&format!("{BEFORE}{xml}{AFTER}")).unwrap();
                assert_eq!(
                    reduce(&xml),
                    Ok(fragment.clone()),
                    "{source:?} gave {xml:?}"
                );
                let text = fragment.to_text();
                assert!(
                    !text.contains("\n\n\n") && text.trim() == text,
                    "{source:?} gave {text:?}"
                );
            }
            Err(problem) => {
                let Some(Place::Line { line, column }) = problem.place else {
                    panic!("{problem:?}")
                };
                let lines = unify_line_ends(source);
                let length = lines
                    .split('\n')
                    .nth(line - 1)
                    .map(|line| line.chars().count());
                assert!(
                    length.is_some_and(|length| column <= length + 1),
                    "{source:?}: {problem:?}"
                );
                assert!(!problem.detail.contains(['\n', '\r']), "{problem:?}");
            }
        }
    }

    #[rustfmt::skip]
    const PIECES: [&str; 60] = [
        "<p>", "</p>", "<p/>", "<em>", "</em>", "<a href='", "<a href='https://e/'>", "</a>",
        "<li>", "</li>", "<ol>", "</ol>", "<pre>", "</pre>", "<br/>", "<br>", "</br>",
        "<img src='https://e/' alt='", "<img src='x' alt='y'/>", "'>", "'/>", "'", "\"", "<body>",
        "</body>", "<script>", "</script>", "<x:y xmlns:x='z'>", "</x:y>", " xmlns=''",
        " style='color:red;x'", "<svg xmlns='s'>", "</svg>", "<!--", "-->", "--", "<![CDATA[",
        "]]>", "<?", "?>", "<?xml ", "<!", "&", "&#", "&#x", ";", "&amp;", "&#13;", "&#10;",
        "&lt;", "\r", "\n", " ", "=", "<", ">", "/", "é🦀", "x", "\u{FEFF}",
    ];

    proptest! {
        #[test]
        fn any_text_is_reduced_or_refused(source in any::<String>()) {
            holds(&source);
        }

        #[test]
        fn any_sequence_of_markup_is_reduced_or_refused(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24)) {
            holds(&pieces.concat());
        }

        #[test]
        fn any_tree_is_reduced(tree in tree()) {
            prop_assert!(reduce(&tree).is_ok(), "{tree:?}");
            holds(&tree);
        }

        #[test]
        fn a_tree_with_something_wrong_in_it_is_reduced_or_refused(
            tree in tree(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&PIECES[..]), 0..4_usize), 1..4),
        ) {
            let mut chars: Vec<char> = tree.chars().collect();
            for (index, piece, removed) in changes {
                let start = index.index(chars.len() + 1);
                let end = (start + removed).min(chars.len());
                chars.splice(start..end, piece.chars());
            }
            holds(&String::from_iter(chars));
        }
    }

    /// Well-formed markup, of the profile and beside it.
    fn tree() -> impl Strategy<Value = String> {
        let text = prop::sample::select(
            &[
                "x",
                " ",
                "\r\n",
                "&#13;",
                "&lt;&amp;",
                "<![CDATA[<]]>",
                "<!-- c -->",
                "<?p i?>",
                "é🦀",
            ][..],
        );
        let name = prop::sample::select(
            &[
                "p", "P", "em", "a", "br", "img", "ul", "ol", "li", "pre", "div", "body", "script",
                "blink", "svg", "h1", "dl",
            ][..],
        );
        let attribute = prop::sample::select(
            &[
                "",
                " href='https://e/'",
                " href='x:y'",
                " src='http://e'",
                " alt='&#10;a'",
                " style='color:red;font-family:\"x\"'",
                " xmlns='urn:x'",
                " class='c'",
                " src='https://e/' width='1' alt=''",
            ][..],
        );
        text.prop_map(str::to_owned)
            .prop_recursive(6, 48, 6, move |inner| {
                (
                    name.clone(),
                    attribute.clone(),
                    prop::collection::vec(inner, 0..6),
                )
                    .prop_map(|(name, attribute, children)| {
                        format!("<{name}{attribute}>{}</{name}>", children.concat())
                    })
            })
    }
}
