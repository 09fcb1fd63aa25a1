//! Draft → content: the checked values of a message, without its addresses.

use super::draft::Draft;
use super::element::{Element, escaped_len};
use super::field::{FIELDS, Field, Value, Values};
use super::kind::Kind;
use super::limits::Limits;
use super::text::{AttributeText, Text};
use super::xhtml;
use crate::http::problem::{Problem, ProblemKind, names};

/// The bytes that a message reserves for the link to its file, and for a body that repeats the link.
const LONGEST_LINK: usize = 4096;

/// The values of a message, without its addresses. Every value is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The values, in the order of their fields. A list needs no room for absent values: thousands of messages may wait
    /// to be sent.
    values: Vec<(Field, Value)>,
    /// Whether a delivery receipt is asked for (XEP-0184).
    receipt: bool,
    /// Bytes of the stanza without the addresses and the type, serialised.
    len: usize,
}

impl Content {
    /// Checks every field but `to`.
    ///
    /// # Errors
    /// 413 if the message is too large; 422 if a value is invalid or there is nothing to send.
    pub fn of(draft: Draft, receipt: bool, limits: &Limits) -> Result<Content, Problem> {
        if draft.is_too_large(limits) {
            return Err(limits.too_large());
        }
        if let Some(fault) = draft.fault {
            return Err(fault);
        }
        let mut values = Values::default();
        for (row, written) in draft.values.into_pairs() {
            values[row.field] = row.check(written)?;
        }
        let has_file = draft.files > 0;
        if has_file && values[Field::OobUrl].is_some() {
            return Err(Problem::meaning(
                "`oob_url` is given together with a file; leave it out, because the file's link takes its place",
            )
            .field("oob_url"));
        }
        if !has_file && !values.iter().any(|(row, _)| row.suffices) {
            return Err(nothing_to_send(draft.read_as, &draft.unknown, &values));
        }
        if values[Field::Body].is_none() {
            let html = values[Field::Html].as_ref();
            values[Field::Body] = html.and_then(body_of).map(Value::Text);
        }
        values[Field::Id].get_or_insert_with(|| Value::AttributeText(AttributeText::random()));
        // A batch holds thousands of these, so the list has no spare room.
        let mut list = Vec::with_capacity(values.iter().count());
        list.extend(values.into_pairs().map(|(row, value)| (row.field, value)));
        let mut content = Content {
            values: list,
            receipt,
            len: 0,
        };
        let shortest = content.element("", "", Kind::Chat).serialised_len();
        let link = if has_file { LONGEST_LINK } else { 0 };
        content.len = shortest - Kind::Chat.as_str().len() + link;
        if shortest + link > limits.size {
            return Err(limits.too_large());
        }
        Ok(content)
    }

    /// Adds the link to the message's file (XEP-0066). Without a body, the link also becomes the body: clients show a
    /// file if the body is exactly its link.
    ///
    /// # Errors
    /// 502 if `url` is not a URL, or too long.
    pub fn link(&mut self, url: &str) -> Result<(), Problem> {
        let no_link = || {
            Problem::new(
                ProblemKind::BadGateway,
                "the upload service gives no usable URL of the file",
            )
        };
        if 2 * escaped_len(url) > LONGEST_LINK - 100 {
            return Err(no_link());
        }
        for field in [Field::OobUrl, Field::Body] {
            if self.value(field).is_none() {
                let value = field.row().check(url.to_owned()).map_err(|_| no_link())?;
                self.values.extend(value.map(|value| (field, value)));
            }
        }
        // They are written in this order.
        self.values.sort_unstable_by_key(|(field, _)| *field);
        Ok(())
    }

    fn value(&self, field: Field) -> Option<&Value> {
        let mut values = self.values.iter();
        values.find(|(at, _)| *at == field).map(|(_, value)| value)
    }

    /// The number of XHTML elements.
    pub fn elements(&self) -> usize {
        let nodes = self.values.iter().map(|(_, value)| value.nodes());
        nodes.map(xhtml::elements).sum()
    }

    /// About how many bytes it has on the heap.
    pub fn memory(&self) -> usize {
        let values = self.values.iter().map(|(_, value)| {
            let text = value.as_str().len() + 16;
            size_of::<(Field, Value)>() + text + xhtml::memory(value.nodes())
        });
        values.sum()
    }

    /// The type that the client chose.
    pub fn kind(&self) -> Option<Kind> {
        self.value(Field::Type)
            .and_then(|word| Kind::named(word.as_str()))
    }

    /// The id, which every message has.
    pub fn id(&self) -> &str {
        self.value(Field::Id).map_or("", Value::as_str)
    }

    /// Bytes of the stanza without the addresses and the type, serialised.
    pub fn serialised_len(&self) -> usize {
        self.len
    }

    /// The stanza (RFC 6121, section 5.2) from and to these addresses.
    pub fn element<'a>(&'a self, from: &'a str, to: &'a str, kind: Kind) -> Element<'a> {
        let mut message = Element::new("message")
            .attribute("from", from)
            .attribute("to", to)
            .attribute("type", kind.as_str());
        for (field, value) in &self.values {
            message = (field.row().write)(message, value);
        }
        // A room sends no receipts (XEP-0184, section 5.3).
        if self.receipt && kind != Kind::Groupchat {
            message =
                message.child(Element::new("request").attribute("xmlns", "urn:xmpp:receipts"));
        }
        message
    }
}

/// The body for clients that cannot show XHTML (XEP-0071, section 8).
fn body_of(html: &Value) -> Option<Text> {
    match html {
        Value::Xhtml(fragment) => Text::new("body", fragment.to_text())
            .ok()
            .filter(|text| !text.as_str().is_empty()),
        _ => None,
    }
}

/// `read_as`, and the names of the fields, help the client to correct the request.
fn nothing_to_send(read_as: &str, unknown: &[String], values: &Values<Value>) -> Problem {
    let fields = FIELDS
        .iter()
        .filter(|row| row.suffices && row.field != Field::Body);
    let mut list: Vec<&str> = fields.map(|row| row.name).collect();
    let last = list.pop().unwrap_or_default();
    let known = values.iter().map(|(row, _)| row.name);
    let read = match names(unknown.iter().map(String::as_str).chain(known)) {
        Some(names) => format!(
            "; the body was read as {read_as} with the fields {names}; the text goes into \"body\""
        ),
        None => format!("; the body was read as {read_as}"),
    };
    Problem::meaning(format!(
        "there is nothing to send; a body, {} or {last} that is not empty is needed{read}",
        list.join(", ")
    ))
    .field("body")
}
