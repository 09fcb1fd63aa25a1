//! Draft → content: what a message says, whoever gets it.

use super::draft::Draft;
use super::element::{Element, escaped_len};
use super::field::{BODY, COUNT, FIELDS, Field, ID, OOB_URL, TYPE, Value};
use super::kind::Kind;
use super::limits::Limits;
use super::text::{AttributeText, Text};
use crate::http::problem::{Problem, names};

/// As many bytes of a message are kept free for the link to its file, and for the body that repeats it.
const LONGEST_LINK: usize = 4096;

/// What a message says. Every value can be written as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Each in the place that its field has in [`FIELDS`].
    values: [Option<Value>; COUNT],
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
        if draft.has_file && values[OOB_URL].is_some() {
            return Err(Problem::meaning(
                "`oob_url` is given beside a file, whose link it would be; leave it out",
            )
            .field("oob_url"));
        }
        let suffices = |(field, value): (&Field, &Option<Value>)| field.suffices && value.is_some();
        if !draft.has_file && !FIELDS.iter().zip(&values).any(suffices) {
            return Err(nothing_to_send(draft.read_as, &draft.unknown));
        }
        if values[BODY].is_none() {
            values[BODY] = values.iter().find_map(body_of).map(Value::Text);
        }
        values[ID].get_or_insert_with(|| Value::AttributeText(AttributeText::random()));
        let mut content = Content {
            values,
            receipt,
            len: 0,
        };
        let shortest = content.element("", "", Kind::Chat).serialised_len();
        let link = if draft.has_file { LONGEST_LINK } else { 0 };
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
        let no_link = || Problem::new(502, "the upload service gives no usable URL of the file");
        if 2 * escaped_len(url) > LONGEST_LINK - 100 {
            return Err(no_link());
        }
        let field = &FIELDS[OOB_URL];
        self.values[OOB_URL] = field.check(url.to_owned()).map_err(|_| no_link())?;
        if self.values[BODY].is_none() {
            self.values[BODY] = FIELDS[BODY].check(url.to_owned()).map_err(|_| no_link())?;
        }
        Ok(())
    }

    /// The type that the client chose.
    pub fn kind(&self) -> Option<Kind> {
        self.values[TYPE]
            .as_ref()
            .and_then(|word| Kind::named(word.as_str()))
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
        for (field, value) in FIELDS.iter().zip(&self.values) {
            if let Some(value) = value {
                message = (field.write)(message, value);
            }
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
