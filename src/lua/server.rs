//! What Prosody knows of addresses.

use std::cell::RefCell;
use std::collections::HashMap;

use mlua::{Function, Result, Table};

use crate::message::address::Server;

/// What Prosody knows of addresses.
pub struct LuaServer {
    host: String,
    prep: Function,
    serves: Function,
    has_rooms: Function,
    known: RefCell<NormalForms>,
}

impl LuaServer {
    /// Takes `host`, and the functions `prep`, `serves` and `has_rooms`, of a table.
    pub fn new(settings: &Table) -> Result<LuaServer> {
        Ok(LuaServer {
            host: settings.get("host")?,
            prep: settings.get("prep")?,
            serves: settings.get("serves")?,
            has_rooms: settings.get("has_rooms")?,
            known: RefCell::default(),
        })
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

/// Normal forms that Prosody was asked for before. They never change.
#[derive(Default)]
struct NormalForms {
    by_address: HashMap<String, Option<String>>,
    bytes: usize,
}

/// The normal forms have at most so many bytes; then they are asked for again.
const MOST_BYTES: usize = 1 << 20;
/// What one takes beside its texts.
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

impl Server for LuaServer {
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

/// What Prosody knows of addresses, for a client that is not known yet: what a stranger makes up is not kept.
pub struct Unknown<'a> {
    server: &'a LuaServer,
    asked: RefCell<Vec<(String, Option<String>)>>,
}

impl<'a> Unknown<'a> {
    pub fn new(server: &'a LuaServer) -> Unknown<'a> {
        Unknown {
            server,
            asked: RefCell::default(),
        }
    }

    /// Keeps the normal forms that were asked for: the client's credentials are right.
    pub fn remember(self) {
        for (address, normal) in self.asked.into_inner() {
            self.server.remember(address, normal);
        }
    }
}

impl Server for Unknown<'_> {
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
