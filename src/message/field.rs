//! The fields of a message, each declared once.
//!
//! A row of [`FIELDS`] is all there is to a field: what clients call it, what it takes, how it is
//! written, and what the documentation says of it. Whatever reads, checks, writes or documents
//! messages goes by these rows.

use super::element::Element;
use super::kind::Kind;
use super::language_tag::LanguageTag;
use super::text::{AttributeText, Text};
use super::uri::Uri;
use super::xhtml::{self, Fragment};
use crate::http::problem::{Problem, quote};

/// The fields, in the order in which they are written into a stanza.
pub const FIELDS: &[Field] = &[
    Field {
        name: "to",
        takes: Takes::Addresses,
        suffices: false,
        write: as_it_is,
        says: "the recipients",
    },
    Field {
        name: "type",
        takes: Takes::Word(&Kind::WORDS),
        suffices: false,
        write: as_it_is,
        says: "how clients show it (RFC 6121); `chat` where not told, and `groupchat` to a room of this server",
    },
    Field {
        name: "id",
        takes: Takes::AttributeText,
        suffices: false,
        write: |message, id| message.attribute("id", id.as_str()),
        says: "the message's id; made up where it is absent",
    },
    Field {
        name: "lang",
        takes: Takes::LanguageTag,
        suffices: false,
        write: |message, lang| message.attribute("xml:lang", lang.as_str()),
        says: "the language of the text",
    },
    Field {
        name: "subject",
        takes: Takes::Text,
        suffices: true,
        write: |message, text| message.child(Element::new("subject").text(text.as_str())),
        says: "a heading; alone, to a room, the new subject of the room",
    },
    Field {
        name: "body",
        takes: Takes::Text,
        suffices: true,
        write: |message, text| message.child(Element::new("body").text(text.as_str())),
        says: "the text",
    },
    Field {
        name: "thread",
        takes: Takes::Reference,
        suffices: false,
        write: |message, text| message.child(Element::new("thread").text(text.as_str())),
        says: "the thread that it belongs to",
    },
    Field {
        name: "html",
        takes: Takes::Xhtml,
        suffices: true,
        write: |message, html| {
            let xhtml = Element::new("body").attribute("xmlns", "http://www.w3.org/1999/xhtml");
            let html_im =
                Element::new("html").attribute("xmlns", "http://jabber.org/protocol/xhtml-im");
            message.child(html_im.child(xhtml.fragment(html.nodes())))
        },
        says: "formatted text (XEP-0071); what that does not allow is removed; without `body`, its text becomes the body",
    },
    Field {
        name: "oob_url",
        takes: Takes::Uri,
        suffices: true,
        write: |message, url| {
            let url = Element::new("url").text(url.as_str());
            message.child(
                Element::new("x")
                    .attribute("xmlns", "jabber:x:oob")
                    .child(url),
            )
        },
        says: "a link that clients show as a file or image (XEP-0066)",
    },
    Field {
        name: "state",
        takes: Takes::Word(&["active", "composing", "paused", "inactive", "gone"]),
        suffices: true,
        write: |message, state| {
            let state = Element::new(state.as_str());
            message.child(state.attribute("xmlns", "http://jabber.org/protocol/chatstates"))
        },
        says: "a chat state (XEP-0085)",
    },
    Field {
        name: "replace",
        takes: Takes::AttributeText,
        suffices: false,
        write: |message, id| {
            let replace = Element::new("replace").attribute("id", id.as_str());
            message.child(replace.attribute("xmlns", "urn:xmpp:message-correct:0"))
        },
        says: "the id of an earlier message that this one corrects (XEP-0308)",
    },
];

/// How many fields there are.
pub const COUNT: usize = FIELDS.len();

/// The fields that something else goes by.
pub const TYPE: usize = position("type");
pub const ID: usize = position("id");
pub const BODY: usize = position("body");
pub const OOB_URL: usize = position("oob_url");

/// So many bytes an `id`, `replace` or `thread` may have: servers and clients keep them when the message is gone.
pub const LONGEST_ID: usize = 1024;

/// What is particular to one field.
pub struct Field {
    /// As clients write it: the name that mod_rest has for it.
    pub name: &'static str,
    pub takes: Takes,
    /// Whether a message that holds nothing else is worth sending.
    pub suffices: bool,
    /// Adds a value to the `<message/>`.
    pub write: for<'a> fn(Element<'a>, &'a Value) -> Element<'a>,
    /// What it is for, in Markdown.
    pub says: &'static str,
}

/// Recipient and type are different for each message that the same content becomes, and so are
/// written with it.
fn as_it_is<'a>(message: Element<'a>, _: &'a Value) -> Element<'a> {
    message
}

/// What may be the value of a field. All but [`Takes::Addresses`] is one string.
pub enum Takes {
    /// Recipients: one, or several.
    Addresses,
    Text,
    /// Text that messages are told apart by, of [`LONGEST_ID`] bytes at most.
    Reference,
    /// The same as the value of an attribute.
    AttributeText,
    LanguageTag,
    Uri,
    Xhtml,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// The value of a field, found right: it can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(Text),
    AttributeText(AttributeText),
    LanguageTag(LanguageTag),
    Uri(Uri),
    Xhtml(Fragment),
    Word(&'static str),
}

impl Value {
    /// The value as text; XHTML, which is none, has its [nodes](Value::nodes) instead.
    pub fn as_str(&self) -> &str {
        match self {
            Value::Text(text) => text.as_str(),
            Value::AttributeText(text) => text.as_str(),
            Value::LanguageTag(tag) => tag.as_str(),
            Value::Uri(uri) => uri.as_str(),
            Value::Xhtml(_) => "",
            Value::Word(word) => word,
        }
    }

    /// The nodes of XHTML.
    pub fn nodes(&self) -> &[xhtml::Node] {
        match self {
            Value::Xhtml(fragment) => fragment.nodes(),
            _ => &[],
        }
    }
}

impl Field {
    /// Checks what a client wrote. `None` where it says nothing: empty text, or XHTML with
    /// nothing to see.
    ///
    /// # Errors
    /// 422 with the field, and the place in it where there is one; 413 for more markup than any
    /// message needs.
    pub fn check(&self, written: String) -> Result<Option<Value>, Problem> {
        Ok(Some(match self.takes {
            // An address becomes one only with the server that routes it: `Address`.
            Takes::Addresses => return Ok(None),
            Takes::Text | Takes::Reference if written.is_empty() => return Ok(None),
            Takes::Reference | Takes::AttributeText if written.len() > LONGEST_ID => {
                return Err(Problem::meaning(format!(
                    "`{}` has {} bytes; it may have {LONGEST_ID} at most",
                    self.name,
                    written.len()
                ))
                .field(self.name));
            }
            Takes::Text | Takes::Reference => Value::Text(Text::new(self.name, written)?),
            Takes::AttributeText => Value::AttributeText(AttributeText::new(self.name, written)?),
            Takes::LanguageTag => Value::LanguageTag(LanguageTag::new(self.name, written)?),
            Takes::Uri => Value::Uri(Uri::new(self.name, written)?),
            Takes::Xhtml => {
                let fragment = xhtml::reduce(&written)?;
                return Ok((!fragment.is_empty()).then_some(Value::Xhtml(fragment)));
            }
            Takes::Word(words) => match words.iter().find(|word| **word == written) {
                Some(word) => Value::Word(word),
                None => {
                    return Err(Problem::meaning(format!(
                        "`{}` is {}; one of {}",
                        self.name,
                        quote(&written),
                        words.join(", ")
                    ))
                    .field(self.name));
                }
            },
        }))
    }
}

/// The place of a field among [`FIELDS`]; `None` where no field has this name.
pub fn named(name: &str) -> Option<usize> {
    FIELDS.iter().position(|field| field.name == name)
}

/// The same for a name that is known; another one does not compile.
const fn position(name: &str) -> usize {
    let name = name.as_bytes();
    let mut at = 0;
    while at < FIELDS.len() {
        let other = FIELDS[at].name.as_bytes();
        let mut same = 0;
        while other.len() == name.len() && same < name.len() && other[same] == name[same] {
            same += 1;
        }
        if same == name.len() {
            return at;
        }
        at += 1;
    }
    panic!("no field has this name")
}
