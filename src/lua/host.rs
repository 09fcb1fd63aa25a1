//! The module on one VirtualHost.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use mlua::{Error, IntoLuaMulti, Lua, MultiValue, Result, Table, Value};

use super::attempt::Attempt;
use super::composer::Composer;
use super::server::LuaServer;
use crate::credentials::authorization::Credentials;
use crate::credentials::secret::Secret;
use crate::credentials::verification::Passwords;
use crate::message::address::Address;
use crate::message::limits::Limits;

/// As many passwords wait to be derived at most.
const DERIVING_AT_MOST: usize = 64;

/// `new(settings)`: `settings` has `host`, `base`, the limits, `verify_threads`, `auth_failures`,
/// `stanza_metatable`, and the functions `prep`, `serves` and `has_rooms`.
pub fn new(lua: &Lua, settings: Table) -> Result<Table> {
    let server = Rc::new(LuaServer::new(&settings)?);
    let passwords = Passwords::new(
        settings.get("auth_failures")?,
        settings.get("verify_threads")?,
        DERIVING_AT_MOST,
    );
    let passwords = Rc::new(RefCell::new(passwords.map_err(Error::external)?));
    let limits = Limits {
        size: settings.get("size_limit")?,
        recipients: settings.get("recipient_limit")?,
        batch: settings.get("batch_limit")?,
        body: settings.get("body_limit")?,
    };
    let composer = Rc::new(Composer::new(
        Rc::clone(&server),
        limits,
        settings.get("base")?,
        settings.get("stanza_metatable")?,
    )?);

    let functions = lua.create_table()?;
    // compose(from, path, content_type, content_encoding, body, receipt) → see Composer
    let c = Rc::clone(&composer);
    let compose = move |lua: &Lua, request| c.compose(lua, request);
    functions.set("compose", lua.create_function(compose)?)?;
    // identify(authorization, client) → the sender's address, where its password is remembered;
    // nil and an Attempt, where it is to be verified; nil, nil and a token; or nothing
    let p = Rc::clone(&passwords);
    let identify = move |_: &Lua, (authorization, client): (mlua::String, String)| {
        Ok(identify(&p, &server, &authorization.as_bytes(), &client))
    };
    functions.set("identify", lua.create_function(identify)?)?;
    // forget(account): its password, or the account itself, has changed
    let p = Rc::clone(&passwords);
    let forget = move |_: &Lua, account: String| {
        p.borrow_mut().forget(&account);
        Ok(())
    };
    functions.set("forget", lua.create_function(forget)?)?;
    // wake_fds() → two file descriptors, readable when work has ended
    let (p, c) = (Rc::clone(&passwords), Rc::clone(&composer));
    let wake_fds = move |_: &Lua, ()| Ok((p.borrow().wake_fd(), c.wake_fd()));
    functions.set("wake_fds", lua.create_function(wake_fds)?)?;
    // tick() → a wake_fd becomes readable
    let c = Rc::clone(&composer);
    let tick = move |_: &Lua, ()| {
        c.tick();
        Ok(())
    };
    functions.set("tick", lua.create_function(tick)?)?;
    // ended() → the tickets of work that has ended
    let ended = move |_: &Lua, ()| {
        let mut tickets = passwords.borrow_mut().ended();
        tickets.append(&mut composer.ended());
        Ok(tickets)
    };
    functions.set("ended", lua.create_function(ended)?)?;
    Ok(functions)
}

fn identify(
    passwords: &Rc<RefCell<Passwords>>,
    server: &LuaServer,
    authorization: &[u8],
    client: &str,
) -> Identified {
    let (address, password) = match Credentials::parse(authorization) {
        None => return Identified::Nobody,
        Some(Credentials::Bearer { token }) => return Identified::Token(token),
        Some(Credentials::Basic { address, password }) => (address, password),
    };
    let Some(sender) = Address::of_sender(&address, server) else {
        return Identified::Nobody;
    };
    let recalled = passwords
        .borrow()
        .recall(sender.bare(), password, client, Instant::now());
    match recalled {
        None => Identified::Sender(sender),
        Some(verification) => {
            Identified::Attempt(Attempt::new(Rc::clone(passwords), sender, verification))
        }
    }
}

enum Identified {
    Nobody,
    Sender(Address),
    Attempt(Attempt),
    Token(Secret),
}

/// The address; `nil` and an attempt; `nil`, `nil` and a token; or nothing.
impl IntoLuaMulti for Identified {
    fn into_lua_multi(self, lua: &Lua) -> Result<MultiValue> {
        match self {
            Identified::Nobody => Ok(MultiValue::new()),
            Identified::Sender(sender) => sender.as_str().into_lua_multi(lua),
            Identified::Attempt(attempt) => (Value::Nil, attempt).into_lua_multi(lua),
            Identified::Token(token) => {
                (Value::Nil, Value::Nil, token.expose()).into_lua_multi(lua)
            }
        }
    }
}
