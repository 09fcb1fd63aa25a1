//! Messages: from what a client wrote to the stanza.
//!
//! | from | to | module |
//! |---|---|---|
//! | | a field's name, what it takes, how it is written | [`field`] |
//! | what a body held | [`draft::Draft`]: strings, each in its field's place | [`draft`] |
//! | a draft | [`content::Content`], in which every value is right | [`content`] |
//! | one value | text, a language tag, a URI, XHTML | [`text`], [`language_tag`], [`uri`], [`xhtml`] |
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

/// A message to one recipient, of which nothing needs to be checked any more.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    from: &'a str,
    to: &'a Address,
    kind: Kind,
    content: &'a Content,
}

impl<'a> Message<'a> {
    /// `from` is the sender's address. Without a type of its own, a message to a room of this server is
    /// said in it, and any other is a chat message.
    ///
    /// # Errors
    /// 413, and 422 where a groupchat message is not addressed to a room (XEP-0045, section 7.4).
    pub fn new(
        from: &'a str,
        to: &'a Address,
        content: &'a Content,
        server: &impl Server,
        limits: &Limits,
    ) -> Result<Message<'a>, Problem> {
        let parts = to.parts();
        let like_a_room = parts.localpart.is_some() && parts.resource.is_none();
        let kind = match content.kind() {
            Some(Kind::Groupchat) if !like_a_room => {
                return Err(Problem::meaning(format!(
                    "{} is not the address of a room; type groupchat needs room@service",
                    quote(to.as_str())
                ))
                .field("to"));
            }
            Some(kind) => kind,
            None if like_a_room && server.has_rooms(parts.domain) => Kind::Groupchat,
            None => Kind::Chat,
        };
        let addresses = escaped_len(from) + escaped_len(to.as_str());
        if content.serialised_len() + kind.as_str().len() + addresses > limits.size {
            return Err(limits.too_large());
        }
        Ok(Message {
            from,
            to,
            kind,
            content,
        })
    }

    /// The same as it was found right before, with the type that was decided then.
    pub fn again(from: &'a str, to: &'a Address, kind: Kind, content: &'a Content) -> Message<'a> {
        Message {
            from,
            to,
            kind,
            content,
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The stanza (RFC 6121, section 5.2).
    pub fn element(&self) -> Element<'a> {
        self.content.element(self.from, self.to.as_str(), self.kind)
    }
}

/// The recipients of one message, each once, in the order given.
#[derive(Debug, Default)]
pub struct Recipients {
    addresses: Vec<Address>,
    known: HashSet<Address>,
}

impl Recipients {
    /// Adds a recipient as the client wrote it. Its normal form takes the server up to 50 µs.
    ///
    /// # Errors
    /// 422 where it is not an address, or there are more than the limit.
    pub fn add(
        &mut self,
        written: &str,
        server: &impl Server,
        limits: &Limits,
    ) -> Result<(), Problem> {
        let address = Address::of_recipient(written, server)?;
        if self.known.insert(address.clone()) {
            self.addresses.push(address);
        }
        if self.addresses.len() > limits.recipients {
            return Err(limits.too_many_recipients());
        }
        Ok(())
    }

    /// All of them.
    ///
    /// # Errors
    /// 422 where there is none.
    pub fn all(self) -> Result<Vec<Address>, Problem> {
        if self.addresses.is_empty() {
            return Err(Problem::meaning(
                "there is no recipient; name one in the path, as in /msg/user@example.com, or in the field `to`",
            )
            .field("to"));
        }
        Ok(self.addresses)
    }
}

#[cfg(test)]
mod tests;
