//! Messages: from the client's input to the stanza.
//!
//! | from | to | module |
//! |---|---|---|
//! | | the declaration of each field | [`field`] |
//! | the fields in a body | [`draft::Draft`]: a string for each field | [`draft`] |
//! | a draft | [`content::Content`], in which every value is valid | [`content`] |
//! | a value as written | text, a language tag, a URI, XHTML | [`text`], [`language_tag`], [`uri`], [`xhtml`] |
//! | a recipient as written | an address that the server routes | [`address`] |
//! | an address | whether a token may send to it | [`allowed`] |
//! | content and address | [`Message`], and its stanza | here, [`kind`], [`element`] |

pub mod address;
pub mod allowed;
pub mod content;
pub mod draft;
pub mod element;
pub mod field;
pub mod kind;
pub mod language_tag;
pub mod limits;
pub mod text;
pub mod uri;
pub mod xhtml;

use std::collections::HashSet;

use address::{Address, Server};
use content::Content;
use element::{Element, escaped_len};
use kind::Kind;
use limits::Limits;

use crate::http::problem::{Problem, quote};

/// A recipient, and the facts that decide the type of a message to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipient {
    address: Address,
    /// Whether it has the form of a room's address, `room@service`.
    is_like_a_room: bool,
    /// Whether it is the address of a room of this server.
    is_a_room: bool,
}

impl Recipient {
    /// Reads a recipient as the client wrote it. The server needs up to 50 µs for its normal form.
    ///
    /// # Errors
    /// 422 if it is not an address.
    pub fn of(written: &str, server: &impl Server) -> Result<Recipient, Problem> {
        let address = Address::of_recipient(written, server)?;
        let parts = address.parts();
        let is_like_a_room = parts.localpart.is_some() && parts.resource.is_none();
        let is_a_room = is_like_a_room && server.has_rooms(parts.domain);
        Ok(Recipient {
            address,
            is_like_a_room,
            is_a_room,
        })
    }

    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// A message to one recipient. It is valid.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    from: &'a str,
    to: &'a Recipient,
    content: &'a Content,
}

impl<'a> Message<'a> {
    /// `from` is the sender's address.
    ///
    /// # Errors
    /// 413 if it is too large; 422 if a groupchat message is not addressed to a room (XEP-0045, section 7.4).
    pub fn new(
        from: &'a str,
        to: &'a Recipient,
        content: &'a Content,
        limits: &Limits,
    ) -> Result<Message<'a>, Problem> {
        let message = Message::of_checked(from, to, content);
        if message.kind() == Kind::Groupchat && !to.is_like_a_room {
            return Err(Problem::meaning(format!(
                "{} is not the address of a room; type groupchat needs room@service",
                quote(to.address.as_str())
            ))
            .field("to"));
        }
        if message.serialised_len() > limits.size {
            return Err(limits.too_large());
        }
        Ok(message)
    }

    /// Rebuilds a message that [`Message::new`] has checked.
    pub fn of_checked(from: &'a str, to: &'a Recipient, content: &'a Content) -> Message<'a> {
        Message { from, to, content }
    }

    /// The type. By default, a message to a room of this server has the type groupchat, and another message has the
    /// type chat.
    pub fn kind(&self) -> Kind {
        match self.content.kind() {
            Some(kind) => kind,
            None if self.to.is_a_room => Kind::Groupchat,
            None => Kind::Chat,
        }
    }

    /// The bytes of the serialised stanza.
    pub fn serialised_len(&self) -> usize {
        let addresses = escaped_len(self.from) + escaped_len(self.to.address.as_str());
        self.content.serialised_len() + self.kind().as_str().len() + addresses
    }

    /// The stanza (RFC 6121, section 5.2).
    pub fn element(&self) -> Element<'a> {
        let to = self.to.address.as_str();
        self.content.element(self.from, to, self.kind())
    }
}

/// The recipients of one message, each once, in the order given.
#[derive(Debug, Default)]
pub struct Recipients {
    all: Vec<Recipient>,
    known: HashSet<Address>,
}

impl Recipients {
    /// Adds a recipient as the client wrote it.
    ///
    /// # Errors
    /// 422 if it is not an address, or if there are more recipients than the limit.
    pub fn add(
        &mut self,
        written: &str,
        server: &impl Server,
        limits: &Limits,
    ) -> Result<(), Problem> {
        let recipient = Recipient::of(written, server)?;
        if self.known.insert(recipient.address.clone()) {
            self.all.push(recipient);
        }
        if self.all.len() > limits.recipients {
            return Err(limits.too_many_recipients());
        }
        Ok(())
    }

    /// All recipients.
    ///
    /// # Errors
    /// 422 if there are no recipients.
    pub fn all(self) -> Result<Vec<Recipient>, Problem> {
        if self.all.is_empty() {
            return Err(Problem::meaning(
                "there is no recipient; name one in the path, as in /msg/user@example.com, or in the field `to`",
            )
            .field("to"));
        }
        Ok(self.all)
    }
}

#[cfg(test)]
mod tests;
