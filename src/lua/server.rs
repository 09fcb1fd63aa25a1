//! What Prosody knows of addresses.

use std::cell::{Cell, RefCell};
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

    fn ask(&self, address: &str) -> Option<String> {
        self.prep.call(address).unwrap_or_default()
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
    fn keep(&mut self, address: &str, normal: Option<&String>) {
        let bytes = ENTRY + address.len() + normal.map_or(0, String::len);
        if self.bytes + bytes > MOST_BYTES {
            *self = NormalForms::default();
        }
        self.bytes += bytes;
        self.by_address.insert(address.to_owned(), normal.cloned());
    }
}

impl Server for LuaServer {
    fn host(&self) -> &str {
        &self.host
    }

    fn normal(&self, address: &str) -> Option<String> {
        if let Some(known) = self.known.borrow().by_address.get(address) {
            return known.clone();
        }
        let normal = self.ask(address);
        self.known.borrow_mut().keep(address, normal.as_ref());
        normal
    }

    fn serves(&self, domain: &str) -> bool {
        self.serves.call(domain).unwrap_or_default()
    }

    fn has_rooms(&self, domain: &str) -> bool {
        self.has_rooms.call(domain).unwrap_or_default()
    }
}

/// The same server for the address of a client whose credentials are not verified: nothing that it writes is kept.
pub struct Stranger<'a> {
    server: &'a LuaServer,
    /// Whether anything was new.
    is_new: Cell<bool>,
}

impl<'a> Stranger<'a> {
    pub fn of(server: &'a LuaServer) -> Stranger<'a> {
        Stranger {
            server,
            is_new: Cell::new(false),
        }
    }

    /// Whether any address that was asked for is not kept.
    pub fn is_new(&self) -> bool {
        self.is_new.get()
    }
}

impl Server for Stranger<'_> {
    fn host(&self) -> &str {
        self.server.host()
    }

    fn normal(&self, address: &str) -> Option<String> {
        if let Some(known) = self.server.known.borrow().by_address.get(address) {
            return known.clone();
        }
        self.is_new.set(true);
        self.server.ask(address)
    }

    fn serves(&self, domain: &str) -> bool {
        self.server.serves(domain)
    }

    fn has_rooms(&self, domain: &str) -> bool {
        self.server.has_rooms(domain)
    }
}
