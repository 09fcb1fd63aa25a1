//! Draft → content: what a message says, whoever gets it.

use super::draft::Draft;
use super::element::{Element, escaped_len};
use super::field::{BODY, COUNT, FIELDS, Field, ID, OOB_URL, TYPE, Value};
use super::kind::Kind;
use super::limits::Limits;
use super::text::{AttributeText, Text};
use super::xhtml;
use crate::http::problem::{Problem, ProblemKind, names};

/// As many bytes of a message are kept free for the link to its file, and for the body that repeats it.
const LONGEST_LINK: usize = 4096;

/// What a message says. Every value can be written as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Those that there are, by the place of their field in [`FIELDS`]: thousands of messages may wait to be sent.
    values: Vec<(usize, Value)>,
    /// Whether a delivery receipt is asked for (XEP-0184).
    receipt: bool,
    /// Bytes of the stanza without the addresses and the type, serialised.
    len: usize,
}

impl Content {
    /// Checks every field but `to`.
    ///
    /// # Errors
    /// 413 where the message is too large, 422 where a value is out of its range or there is
    /// nothing to send.
    pub fn of(draft: Draft, receipt: bool, limits: &Limits) -> Result<Content, Problem> {
        if draft.is_too_large(limits) {
            return Err(limits.too_large());
        }
        if let Some(fault) = draft.fault {
            return Err(fault);
        }
        let mut values = [const { None }; COUNT];
        for ((field, value), written) in FIELDS.iter().zip(&mut values).zip(draft.values) {
            if let Some(written) = written {
                *value = field.check(written)?;
            }
        }
        let has_file = draft.files > 0;
        if has_file && values[OOB_URL].is_some() {
            return Err(Problem::meaning(
                "`oob_url` is given beside a file, whose link it would be; leave it out",
            )
            .field("oob_url"));
        }
        let suffices = |(field, value): (&Field, &Option<Value>)| field.suffices && value.is_some();
        if !has_file && !FIELDS.iter().zip(&values).any(suffices) {
            return Err(nothing_to_send(draft.read_as, &draft.unknown));
        }
        if values[BODY].is_none() {
            values[BODY] = values.iter().find_map(body_of).map(Value::Text);
        }
        values[ID].get_or_insert_with(|| Value::AttributeText(AttributeText::random()));
        // A batch holds thousands of these: no more room than is used.
        let mut kept = Vec::with_capacity(values.iter().flatten().count());
        let places = values.into_iter().enumerate();
        kept.extend(places.filter_map(|(field, value)| Some((field, value?))));
        let mut content = Content {
            values: kept,
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

    /// Links to the file of the message (XEP-0066), and has the link for its body where it has none: clients show a
    /// file whose link is all of the body.
    ///
    /// # Errors
    /// 502 for what is no URL, or too long.
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
        for field in [OOB_URL, BODY] {
            if self.value(field).is_none() {
                let value = FIELDS[field].check(url.to_owned()).map_err(|_| no_link())?;
                self.values.extend(value.map(|value| (field, value)));
            }
        }
        // In this order they are written.
        self.values.sort_unstable_by_key(|(field, _)| *field);
        Ok(())
    }

    fn value(&self, field: usize) -> Option<&Value> {
        let mut values = self.values.iter();
        values.find(|(at, _)| *at == field).map(|(_, value)| value)
    }

    /// How many elements of XHTML it has.
    pub fn elements(&self) -> usize {
        let nodes = self.values.iter().map(|(_, value)| value.nodes());
        nodes.map(xhtml::elements).sum()
    }

    /// About how many bytes it has in memory, beside its own.
    pub fn memory(&self) -> usize {
        let values = self.values.iter().map(|(_, value)| {
            let text = value.as_str().len() + 16;
            size_of::<(usize, Value)>() + text + xhtml::memory(value.nodes())
        });
        values.sum()
    }

    /// The type that the client chose.
    pub fn kind(&self) -> Option<Kind> {
        self.value(TYPE).and_then(|word| Kind::named(word.as_str()))
    }

    /// The id, which every message has.
    pub fn id(&self) -> &str {
        self.value(ID).map_or("", Value::as_str)
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
            message = (FIELDS[*field].write)(message, value);
        }
        // A room sends none (XEP-0184, section 5.3).
        if self.receipt && kind != Kind::Groupchat {
            message =
                message.child(Element::new("request").attribute("xmlns", "urn:xmpp:receipts"));
        }
        message
    }
}

/// For those who cannot show XHTML (XEP-0071, section 8).
fn body_of(value: &Option<Value>) -> Option<Text> {
    match value {
        Some(Value::Xhtml(fragment)) => Text::new("body", fragment.to_text())
            .ok()
            .filter(|text| !text.as_str().is_empty()),
        _ => None,
    }
}

/// `read_as` and the names of the unknown fields say what the client can correct.
fn nothing_to_send(read_as: &str, unknown: &[String]) -> Problem {
    let others = FIELDS
        .iter()
        .filter(|field| field.suffices && field.name != "body");
    let mut others: Vec<&str> = others.map(|field| field.name).collect();
    let last = others.pop().unwrap_or_default();
    let read = match names(unknown) {
        Some(names) => format!(
            "; the body was read as {read_as} with the fields {names}, which are unknown here: the text goes into \"body\", a plain text is sent with Content-Type: text/plain, JSON with Content-Type: application/json"
        ),
        None => String::new(),
    };
    Problem::meaning(format!(
        "there is nothing to send; a body, {} or {last} that is not empty is needed{read}",
        others.join(", ")
    ))
    .field("body")
}
