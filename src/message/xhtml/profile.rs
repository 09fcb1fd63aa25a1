//! The parsed tree → a fragment within the profile.

use super::node::Node;
use super::style::reduce_style;
use crate::http::media_type::is_media_type;
use crate::http::problem::is_invisible;
use crate::message::text::{is_space, unify_line_ends};

const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// The elements of the XHTML-IM Integration Set (XEP-0071, section 6) that may stand in a `<body/>`.
#[rustfmt::skip]
const ELEMENTS: [&str; 32] = [
    "a", "abbr", "acronym", "address", "blockquote", "br", "cite", "code", "dd", "dfn", "div",
    "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "img", "kbd", "li", "ol", "p", "pre",
    "q", "samp", "span", "strong", "ul", "var",
];

/// Elements without readable content, in any namespace. They are dropped with their content.
#[rustfmt::skip]
const DROPPED: [&str; 28] = [
    "applet", "audio", "base", "button", "canvas", "datalist", "embed", "frame", "frameset",
    "head", "iframe", "input", "link", "math", "meta", "object", "optgroup", "option", "param",
    "script", "select", "style", "svg", "template", "textarea", "title", "video", "xml",
];

/// The `<body/>` around all of the source, if there is one.
pub fn lone_body<'a, 'input>(
    root: roxmltree::Node<'a, 'input>,
) -> Option<roxmltree::Node<'a, 'input>> {
    let mut content = root.children().filter(|node| match node.text() {
        Some(text) if node.is_text() => !text.chars().all(is_space),
        _ => node.is_element(),
    });
    let body = content
        .next()
        .filter(|node| node.tag_name().name().eq_ignore_ascii_case("body"))?;
    content.next().is_none().then_some(body)
}

/// Appends the nodes of an element's content, reduced to the profile.
pub fn reduce_children(parent: roxmltree::Node, into: &mut Vec<Node>) {
    for child in parent.children() {
        if child.is_element() {
            reduce_element(child, into);
        } else if child.is_text() {
            push_text(unify_line_ends(child.text().unwrap_or_default()), into);
        }
    }
}

fn reduce_element(source: roxmltree::Node, into: &mut Vec<Node>) {
    // The names of XHTML are in lower case. Ignoring case drops <SCRIPT>, and keeps <P>.
    let is = |name: &&&str| source.tag_name().name().eq_ignore_ascii_case(name);
    if DROPPED.iter().any(|name| is(&name)) {
        return;
    }
    let is_xhtml = source.tag_name().namespace() == Some(XHTML);
    let Some(&name) = ELEMENTS.iter().find(is).filter(|_| is_xhtml) else {
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
    children.shrink_to_fit();
    // These two are empty by definition, so their content moves behind them.
    let moved_content = if matches!(name, "br" | "img") {
        std::mem::take(&mut children)
    } else {
        Vec::new()
    };
    into.push(Node::Element {
        name,
        attributes,
        children,
    });
    for node in moved_content {
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
    let value_of = |name: &str| {
        let mut attributes = source.attributes();
        let attribute =
            attributes.find(|a| a.namespace().is_none() && a.name().eq_ignore_ascii_case(name));
        attribute.map(|attribute| attribute.value())
    };
    let reduce = |name: &str| match name {
        "href" => value_of(name)
            .filter(|value| is_address(value, &["http", "https", "mailto", "xmpp"]))
            .map(str::to_owned),
        "src" => value_of(name)
            .filter(|value| is_address(value, &["http", "https"]))
            .map(str::to_owned),
        "type" => value_of(name)
            .filter(|value| is_media_type(value.as_bytes()))
            .map(str::to_owned),
        "height" | "width" => value_of(name)
            .filter(|value| is_length(value))
            .map(str::to_owned),
        // Every picture needs one.
        "alt" => {
            Some(unify_line_ends(value_of(name).unwrap_or_default()).replace(['\n', '\t'], " "))
        }
        _ => value_of(name)
            .map(reduce_style)
            .filter(|style| !style.is_empty()),
    };
    names
        .iter()
        .filter_map(|name| Some((*name, reduce(name)?)))
        .collect()
}

/// Whether it is an absolute URI or IRI with one of these schemes, without characters that mislead a reader.
fn is_address(value: &str, schemes: &[&str]) -> bool {
    let is_misleading = |char: char| {
        // IRIs may not hold direction marks: they change the order in which the rest is shown (RFC 3987, section 4.1).
        is_invisible(char)
            || char.is_whitespace()
            || matches!(char, '<' | '>' | '"' | '\\' | '`' | '\u{FEFF}')
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
    known && complete && !value.contains(is_misleading)
}

/// Pixels or a percentage.
fn is_length(value: &str) -> bool {
    let digits = value.strip_suffix('%').unwrap_or(value);
    (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}
