//! Prosody's functions for addresses, passwords and stanzas.

use std::cell::RefCell;
use std::collections::HashMap;

use mlua::{Function, Result, Table};

use crate::credentials::secret::Secret;
use crate::message::address::Server;

/// The functions and values of Prosody that a host needs.
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

    /// A password after SASLprep (RFC 4013), or `None` if it is empty or has forbidden characters.
    pub fn saslprep(&self, password: &Secret) -> Option<Secret> {
        let text = password.expose();
        // SASLprep does not change visible ASCII characters. Without a call, the password does not become a Lua string, which is never wiped.
        let is_ascii = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if is_ascii && text.len() < LONGEST_PREPARED {
            return (!text.is_empty()).then(|| password.clone());
        }
        let prepared: Option<mlua::String> = self.saslprep.call(text).ok()?;
        let prepared = Secret::new(&prepared?.to_string_lossy());
        (!prepared.expose().is_empty()).then_some(prepared)
    }

    fn cached(&self, address: &str) -> Option<Option<String>> {
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

/// A cache of normal forms. They never change.
#[derive(Default)]
struct NormalForms {
    by_address: HashMap<String, Option<String>>,
    bytes: usize,
}

/// The maximum size of the cache in bytes; a full cache is emptied.
const MOST_BYTES: usize = 1 << 20;
/// The bytes of an entry in addition to its texts.
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
        self.cached(address).unwrap_or_else(|| {
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

/// Prosody for a client whose credentials are not verified: it does not keep normal forms, because a stranger may invent addresses.
pub struct Unverified<'a> {
    server: &'a Prosody,
    normal_forms: RefCell<Vec<(String, Option<String>)>>,
}

impl<'a> Unverified<'a> {
    pub fn new(server: &'a Prosody) -> Unverified<'a> {
        Unverified {
            server,
            normal_forms: RefCell::default(),
        }
    }

    /// Keeps the normal forms: the client's credentials are right.
    pub fn remember(self) {
        for (address, normal) in self.normal_forms.into_inner() {
            self.server.remember(address, normal);
        }
    }
}

impl Server for Unverified<'_> {
    fn host(&self) -> &str {
        self.server.host()
    }

    fn normal(&self, address: &str) -> Option<String> {
        self.server.cached(address).unwrap_or_else(|| {
            let normal = self.server.prep(address);
            let entry = (address.to_owned(), normal.clone());
            self.normal_forms.borrow_mut().push(entry);
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
