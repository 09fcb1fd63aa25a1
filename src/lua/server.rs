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
    /// Normal forms that were asked for before: they never change.
    normal: RefCell<HashMap<String, Option<String>>>,
}

impl LuaServer {
    /// Takes `host`, and the functions `prep`, `serves` and `has_rooms`, of a table.
    pub fn new(settings: &Table) -> Result<LuaServer> {
        Ok(LuaServer {
            host: settings.get("host")?,
            prep: settings.get("prep")?,
            serves: settings.get("serves")?,
            has_rooms: settings.get("has_rooms")?,
            normal: RefCell::default(),
        })
    }
}

/// As many normal forms are kept at most.
const NORMAL_FORMS: usize = 5_000;

impl LuaServer {
    fn known(&self, address: &str) -> Option<Option<String>> {
        self.normal.borrow().get(address).cloned()
    }

    fn prep(&self, address: &str) -> Option<String> {
        self.prep.call(address).unwrap_or_default()
    }

    fn remember(&self, address: String, normal: Option<String>) {
        let mut known = self.normal.borrow_mut();
        if known.len() >= NORMAL_FORMS {
            known.clear();
        }
        known.insert(address, normal);
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
