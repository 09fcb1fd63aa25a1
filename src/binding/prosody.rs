//! What Prosody knows of addresses, passwords and stanzas.

use std::cell::RefCell;
use std::collections::HashMap;

use mlua::{Function, Result, Table};

use crate::credentials::secret::Secret;
use crate::message::address::Server;

/// The functions and values that a host is made with.
pub struct Prosody {
    host: String,
    prep: Function,
    serves: Function,
    has_rooms: Function,
    saslprep: Function,
    /// The metatable of `util.stanza`.
    pub stanza_metatable: Table,
    known: RefCell<NormalForms>,
}

impl Prosody {
    /// Takes from a table: `host`, `stanza_metatable`, and the functions `prep` (`util.jid`), `saslprep` (`util.encodings`), `serves`
    /// and `has_rooms`.
    pub fn new(settings: &Table) -> Result<Prosody> {
        Ok(Prosody {
            host: settings.get("host")?,
            prep: settings.get("prep")?,
            serves: settings.get("serves")?,
            has_rooms: settings.get("has_rooms")?,
            saslprep: settings.get("saslprep")?,
            stanza_metatable: settings.get("stanza_metatable")?,
            known: RefCell::default(),
        })
    }

    /// A password after SASLprep (RFC 4013), or `None` if it is empty or has characters that no password may have.
    pub fn saslprep(&self, password: &Secret) -> Option<Secret> {
        let written = password.expose();
        // SASLprep changes no visible ASCII character, and these passwords need not become strings of Lua, which nobody wipes.
        let is_ascii = written.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if is_ascii && written.len() < LONGEST_PREPARED {
            return (!written.is_empty()).then(|| password.clone());
        }
        let prepared: Option<mlua::String> = self.saslprep.call(written).ok()?;
        let prepared = Secret::new(&prepared?.to_string_lossy());
        (!prepared.expose().is_empty()).then_some(prepared)
    }

    fn known(&self, address: &str) -> Option<Option<String>> {
        self.known.borrow().by_address.get(address).cloned()
    }

    fn prep(&self, address: &str) -> Option<String> {
        self.prep.call(address).unwrap_or_default()
    }

    fn remember(&self, address: String, normal: Option<String>) {
        self.known.borrow_mut().keep(address, normal);
    }
}

/// Prosody's function for SASLprep (0.12.3, 13.0.1) accepts only text that is shorter, in bytes.
const LONGEST_PREPARED: usize = 1024;

/// Normal forms that Prosody was asked for before. They never change.
#[derive(Default)]
struct NormalForms {
    by_address: HashMap<String, Option<String>>,
    bytes: usize,
}

/// Bytes that the normal forms may take; then all are forgotten.
const MOST_BYTES: usize = 1 << 20;
/// Bytes that a normal form takes beside its texts.
const ENTRY: usize = 128;

impl NormalForms {
    fn keep(&mut self, address: String, normal: Option<String>) {
        let bytes = ENTRY + address.len() + normal.as_ref().map_or(0, String::len);
        if self.bytes + bytes > MOST_BYTES {
            *self = NormalForms::default();
        }
        self.bytes += bytes;
        self.by_address.insert(address, normal);
    }
}

impl Server for Prosody {
    fn host(&self) -> &str {
        &self.host
    }

    fn normal(&self, address: &str) -> Option<String> {
        self.known(address).unwrap_or_else(|| {
            let normal = self.prep(address);
            self.remember(address.to_owned(), normal.clone());
            normal
        })
    }

    fn serves(&self, domain: &str) -> bool {
        self.serves.call(domain).unwrap_or_default()
    }

    fn has_rooms(&self, domain: &str) -> bool {
        self.has_rooms.call(domain).unwrap_or_default()
    }
}

/// The same for a client whose credentials are not verified: normal forms of addresses that a stranger invents are not kept.
pub struct Unverified<'a> {
    server: &'a Prosody,
    asked: RefCell<Vec<(String, Option<String>)>>,
}

impl<'a> Unverified<'a> {
    pub fn new(server: &'a Prosody) -> Unverified<'a> {
        Unverified {
            server,
            asked: RefCell::default(),
        }
    }

    /// Keeps the normal forms: the client's credentials are right.
    pub fn remember(self) {
        for (address, normal) in self.asked.into_inner() {
            self.server.remember(address, normal);
        }
    }
}

impl Server for Unverified<'_> {
    fn host(&self) -> &str {
        self.server.host()
    }

    fn normal(&self, address: &str) -> Option<String> {
        self.server.known(address).unwrap_or_else(|| {
            let normal = self.server.prep(address);
            let asked = (address.to_owned(), normal.clone());
            self.asked.borrow_mut().push(asked);
            normal
        })
    }

    fn serves(&self, domain: &str) -> bool {
        self.server.serves(domain)
    }

    fn has_rooms(&self, domain: &str) -> bool {
        self.server.has_rooms(domain)
    }
}
