//! The fields of a message, each declared once.
//!
//! A row of [`FIELDS`] declares everything about a field: its name, the values that it takes, how it is written into a
//! stanza, and its description for the documentation. All code that reads, checks, writes or documents messages uses
//! these rows.

use std::ops::{Index, IndexMut};

use super::element::Element;
use super::kind::Kind;
use super::language_tag::LanguageTag;
use super::text::{AttributeText, Text};
use super::uri::Uri;
use super::xhtml::{self, Fragment};
use crate::http::problem::{Problem, quote};

/// Declares the fields, in the order in which they are written into a stanza: each is a variant of [`Field`] and a row of
/// [`FIELDS`].
macro_rules! fields {
    ($($field:ident { $($member:tt)* })*) => {
        /// A field of a message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Field {
            $($field),*
        }

        /// The declarations of the fields, in their order.
        pub const FIELDS: &[Row] = &[$(Row { field: Field::$field, $($member)* }),*];
    };
}

fields! {
    To {
        name: "to",
        field_type: FieldType::Addresses,
        suffices: false,
        goes_with_all_files: false,
        if_too_long: TooLong::Refuse,
        write: write_nothing,
        description: "the recipients",
    }
    Type {
        name: "type",
        field_type: FieldType::Word(&Kind::WORDS),
        suffices: false,
        goes_with_all_files: true,
        if_too_long: TooLong::Refuse,
        write: write_nothing,
        description: "how clients show it (RFC 6121); by default `chat`, and `groupchat` to a room of this server",
    }
    Id {
        name: "id",
        field_type: FieldType::AttributeText,
        suffices: false,
        goes_with_all_files: false,
        if_too_long: TooLong::Hash,
        write: |message, id| message.attribute("id", id.as_str()),
        description: "the message's id; by default a random one",
    }
    Lang {
        name: "lang",
        field_type: FieldType::LanguageTag,
        suffices: false,
        goes_with_all_files: true,
        if_too_long: TooLong::Refuse,
        write: |message, lang| message.attribute("xml:lang", lang.as_str()),
        description: "the language of the text",
    }
    Subject {
        name: "subject",
        field_type: FieldType::Text,
        suffices: true,
        goes_with_all_files: false,
        if_too_long: TooLong::Cut,
        write: |message, text| message.child(Element::new("subject").text(text.as_str())),
        description: "a heading; alone, to a room, the new subject of the room",
    }
    Body {
        name: "body",
        field_type: FieldType::Text,
        suffices: true,
        goes_with_all_files: false,
        if_too_long: TooLong::CutToRest,
        write: |message, text| message.child(Element::new("body").text(text.as_str())),
        description: "the text",
    }
    Thread {
        name: "thread",
        field_type: FieldType::Reference,
        suffices: false,
        goes_with_all_files: true,
        if_too_long: TooLong::Hash,
        write: |message, text| message.child(Element::new("thread").text(text.as_str())),
        description: "the thread that it belongs to",
    }
    Html {
        name: "html",
        field_type: FieldType::Xhtml,
        suffices: true,
        goes_with_all_files: false,
        if_too_long: TooLong::LeaveOut,
        write: |message, html| {
            let xhtml = Element::new("body").attribute("xmlns", "http://www.w3.org/1999/xhtml");
            let html_im =
                Element::new("html").attribute("xmlns", "http://jabber.org/protocol/xhtml-im");
            message.child(html_im.child(xhtml.fragment(html.nodes())))
        },
        description: "formatted text (XEP-0071); everything else in it is removed; without `body`, its text becomes the body",
    }
    OobUrl {
        name: "oob_url",
        field_type: FieldType::Uri,
        suffices: true,
        goes_with_all_files: false,
        if_too_long: TooLong::Refuse,
        write: |message, url| {
            let url = Element::new("url").text(url.as_str());
            message.child(
                Element::new("x")
                    .attribute("xmlns", "jabber:x:oob")
                    .child(url),
            )
        },
        description: "a link that clients show as a file or image (XEP-0066)",
    }
    State {
        name: "state",
        field_type: FieldType::Word(&["active", "composing", "paused", "inactive", "gone"]),
        suffices: true,
        goes_with_all_files: false,
        if_too_long: TooLong::Refuse,
        write: |message, state| {
            let state = Element::new(state.as_str());
            message.child(state.attribute("xmlns", "http://jabber.org/protocol/chatstates"))
        },
        description: "a chat state (XEP-0085)",
    }
    Replace {
        name: "replace",
        field_type: FieldType::AttributeText,
        suffices: false,
        goes_with_all_files: false,
        if_too_long: TooLong::Hash,
        write: |message, id| {
            let replace = Element::new("replace").attribute("id", id.as_str());
            message.child(replace.attribute("xmlns", "urn:xmpp:message-correct:0"))
        },
        description: "the id of an earlier message that this one corrects (XEP-0308)",
    }
    Styling {
        name: "styling",
        field_type: FieldType::Boolean,
        suffices: false,
        goes_with_all_files: true,
        if_too_long: TooLong::Refuse,
        write: |message, styling| match styling.as_str() {
            "false" => message.child(Element::new("unstyled").attribute("xmlns", "urn:xmpp:styling:0")),
            _ => message,
        },
        description: "whether clients style `*` and `_` in the text (XEP-0393): `true`, the default, or `false`",
    }
}

const COUNT: usize = FIELDS.len();

/// The maximum number of bytes of an `id`, `replace` or `thread`. Servers and clients keep these longer than the message.
pub const LONGEST_ID: usize = 1024;

/// The declaration of a field.
pub struct Row {
    pub field: Field,
    /// The name that clients write. It is the same as in mod_rest.
    pub name: &'static str,
    /// The values that the field takes.
    pub field_type: FieldType,
    /// Whether a message with only this field is sent.
    pub suffices: bool,
    /// If a request has several files, each becomes a message. Whether all these messages have this field, or only the
    /// first.
    pub goes_with_all_files: bool,
    /// What to do with a value of a template that is too long.
    pub if_too_long: TooLong,
    /// Adds a value to the `<message/>`.
    pub write: for<'a> fn(Element<'a>, &'a Value) -> Element<'a>,
    /// Its description, in Markdown.
    pub description: &'static str,
}

/// What happens to a value of a template that is too long: the program that posts to a webhook cannot correct it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLong {
    /// The message is refused, as if a client had written it.
    Refuse,
    /// It is replaced by its hash, so that different texts stay different.
    Hash,
    /// It is cut to an eighth of the longest message.
    Cut,
    /// It is cut to the space that the other fields leave in the longest message.
    CutToRest,
    /// It is left out if there is no space for it beside the body, which has the same content.
    LeaveOut,
}

/// For the fields `to` and `type`: `Content::element` writes them, because they depend on the recipient.
fn write_nothing<'a>(message: Element<'a>, _: &'a Value) -> Element<'a> {
    message
}

/// The values that a field takes. Each is one string, except [`FieldType::Addresses`].
pub enum FieldType {
    /// One recipient, or several.
    Addresses,
    Text,
    /// Text of at most [`LONGEST_ID`] bytes that identifies something.
    Reference,
    /// The same, for the value of an XML attribute.
    AttributeText,
    LanguageTag,
    Uri,
    Xhtml,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Boolean,
}

/// A valid value of a field. It can be written into a stanza.
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
    /// The value as text. For XHTML it is empty: see [`Value::nodes`].
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

impl Row {
    /// Checks a value that a client wrote. `None` if it has no content: empty text, or XHTML without text and pictures.
    ///
    /// # Errors
    /// 422 with the field and, if known, the place in it; 413 for too much markup.
    pub fn check(&self, written: String) -> Result<Option<Value>, Problem> {
        Ok(Some(match self.field_type {
            // Addresses are checked by `Address`, which needs the server.
            FieldType::Addresses => return Ok(None),
            FieldType::Text | FieldType::Reference if written.is_empty() => return Ok(None),
            FieldType::Reference | FieldType::AttributeText if written.len() > LONGEST_ID => {
                return Err(Problem::meaning(format!(
                    "`{}` has {} bytes; it may have {LONGEST_ID} at most",
                    self.name,
                    written.len()
                ))
                .field(self.name));
            }
            FieldType::Text | FieldType::Reference => Value::Text(Text::new(self.name, written)?),
            FieldType::AttributeText => {
                Value::AttributeText(AttributeText::new(self.name, written)?)
            }
            FieldType::LanguageTag => Value::LanguageTag(LanguageTag::new(self.name, written)?),
            FieldType::Uri => Value::Uri(Uri::new(self.name, written)?),
            FieldType::Xhtml => {
                let fragment = xhtml::reduce(&written)?;
                return Ok((!fragment.is_empty()).then_some(Value::Xhtml(fragment)));
            }
            FieldType::Word(words) => self.word(words, &written)?,
            FieldType::Boolean => self.word(&["true", "false"], &written)?,
        }))
    }

    fn word(&self, words: &[&'static str], written: &str) -> Result<Value, Problem> {
        let word = words.iter().find(|word| **word == written);
        word.map(|word| Value::Word(word)).ok_or_else(|| {
            Problem::meaning(format!(
                "`{}` is {}; one of {}",
                self.name,
                quote(written),
                words.join(", ")
            ))
            .field(self.name)
        })
    }
}

impl Field {
    /// The declaration of this field.
    pub fn row(self) -> &'static Row {
        &FIELDS[self as usize]
    }

    /// Whether a field has this name.
    pub fn is_name(name: &str) -> bool {
        Field::named(name).is_some()
    }

    /// The field with this name.
    pub fn named(name: &str) -> Option<Field> {
        FIELDS
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.field)
    }
}

/// At most one value for each field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values<T>([Option<T>; COUNT]);

impl<T> Values<T> {
    /// The fields that have a value, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Row, &T)> {
        let values = FIELDS.iter().zip(&self.0);
        values.filter_map(|(row, value)| Some((row, value.as_ref()?)))
    }

    /// The fields that have a value, in their order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&'static Row, &mut T)> {
        let values = FIELDS.iter().zip(&mut self.0);
        values.filter_map(|(row, value)| Some((row, value.as_mut()?)))
    }

    /// The values, in the order of their fields.
    pub fn into_pairs(self) -> impl Iterator<Item = (&'static Row, T)> {
        let values = FIELDS.iter().zip(self.0);
        values.filter_map(|(row, value)| Some((row, value?)))
    }
}

impl<T> Default for Values<T> {
    fn default() -> Values<T> {
        Values([const { None }; COUNT])
    }
}

impl<T> Index<Field> for Values<T> {
    type Output = Option<T>;

    fn index(&self, field: Field) -> &Option<T> {
        &self.0[field as usize]
    }
}

impl<T> IndexMut<Field> for Values<T> {
    fn index_mut(&mut self, field: Field) -> &mut Option<T> {
        &mut self.0[field as usize]
    }
}
