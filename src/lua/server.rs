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

impl Server for LuaServer {
    fn host(&self) -> &str {
        &self.host
    }

    fn normal(&self, address: &str) -> Option<String> {
        if let Some(known) = self.normal.borrow().get(address) {
            return known.clone();
        }
        let normal: Option<String> = self.prep.call(address).unwrap_or_default();
        let mut known = self.normal.borrow_mut();
        if known.len() >= NORMAL_FORMS {
            known.clear();
        }
        known.insert(address.to_owned(), normal.clone());
        normal
    }

    fn serves(&self, domain: &str) -> bool {
        self.serves.call(domain).unwrap_or_default()
    }

    fn has_rooms(&self, domain: &str) -> bool {
        self.has_rooms.call(domain).unwrap_or_default()
    }
}
