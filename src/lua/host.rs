//! The module on one VirtualHost.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mlua::{Error, IntoLuaMulti, Lua, MultiValue, Result, Table, UserDataRef};

use zeroize::Zeroizing;

use super::attempt::Attempt;
use super::composer::Composer;
use super::problem::with_bytes;
use super::server::{LuaServer, Unknown};
use super::templates::LuaTemplates;
use crate::credentials::authorization::{Credentials, Presented};
use crate::credentials::client::Client;
use crate::credentials::refusals::Refusals;
use crate::credentials::secret::Secret;
use crate::credentials::token::Token;
use crate::credentials::verification::Passwords;
use crate::http::memory::MEMORY;
use crate::http::query::Query;
use crate::message::address::Address;
use crate::message::limits::Limits;

/// As many passwords wait to be derived at most.
const DERIVING_AT_MOST: usize = 64;

/// `new(settings)`: `settings` has `host`, `base`, the limits, `verify_threads`, `auth_failures`,
/// `stanza_metatable`, `templates`, and the functions `prep`, `serves` and `has_rooms`.
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
    let templates: UserDataRef<LuaTemplates> = settings.get("templates")?;
    let composer = Rc::new(Composer::new(
        Rc::clone(&server),
        limits,
        settings.get("base")?,
        settings.get("stanza_metatable")?,
        Arc::clone(&templates.0),
    )?);

    let functions = lua.create_table()?;
    // compose(from, path, content_type, content_encoding, body, receipt) → see Composer
    let c = Rc::clone(&composer);
    let compose = move |lua: &Lua, request| c.compose(lua, request);
    functions.set("compose", lua.create_function(compose)?)?;
    // identify(authorization, query, key, client) → see Identified; `key` is a token in a header of its own
    let p = Rc::clone(&passwords);
    type Presenting = (
        Option<mlua::String>,
        Option<mlua::String>,
        Option<mlua::String>,
        mlua::String,
    );
    let identify = move |_: &Lua, (authorization, query, key, client): Presenting| {
        let in_query = query.map(|query| Query::parse(&query.as_bytes()).tokens);
        let mut tokens = in_query.unwrap_or_default();
        tokens.extend(key.map(|key| Zeroizing::new(key.to_string_lossy())));
        Ok(with_bytes(&authorization, |authorization| {
            let presented = Presented::of(authorization, &tokens);
            identify(&p, &server, presented, Client::of(&client.as_bytes()))
        }))
    };
    functions.set("identify", lua.create_function(identify)?)?;
    // refuse_token(client) → nil, and it counts as a wrong token; or the seconds to wait, where too many were wrong
    let p = Rc::clone(&passwords);
    let refuse_token = move |_: &Lua, client: mlua::String| {
        let client = Client::of(&client.as_bytes());
        Ok(p.borrow_mut().refuse_token(client, Instant::now()))
    };
    functions.set("refuse_token", lua.create_function(refuse_token)?)?;
    // refuse(client) → nil, and it counts as a refused request; or, where there were too many, for how many seconds to hold
    // back the answer, and the connection is to be closed
    let refusals = RefCell::new(Refusals::new(Instant::now()));
    let refuse = move |_: &Lua, client: mlua::String| {
        let client = Client::of(&client.as_bytes());
        let delay = refusals.borrow_mut().refuse(client, Instant::now());
        Ok(delay.map(|delay| delay.as_secs_f64()))
    };
    functions.set("refuse", lua.create_function(refuse)?)?;
    // forget(account): its password, or the account itself, has changed
    let p = Rc::clone(&passwords);
    let forget = move |_: &Lua, account: mlua::String| {
        p.borrow_mut().forget(&account.to_string_lossy());
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
    // state() → { name → how many }: what the native half holds for requests, which is nothing without them
    let (c, p) = (Rc::clone(&composer), Rc::clone(&passwords));
    let state = move |lua: &Lua, ()| {
        let (readings, disposals) = c.unfinished();
        let state = lua.create_table()?;
        state.set("native_derivations", p.borrow().deriving())?;
        state.set("native_readings", readings)?;
        state.set("native_disposals", disposals)?;
        state.set("native_bytes", MEMORY.taken())?;
        Ok(state)
    };
    functions.set("state", lua.create_function(state)?)?;
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
    presented: Presented,
    client: Client,
) -> Identified {
    let unknown = Unknown::new(server);
    let credentials = match presented {
        Presented::Nothing => return Identified::Nothing,
        Presented::Several => return Identified::Several,
        Presented::Unreadable => return Identified::Nobody,
        Presented::One(credentials) => credentials,
    };
    let (address, password) = match credentials {
        Credentials::Bearer { token } => return Identified::Bearer(token),
        Credentials::Sending { address, token } => {
            let sender = address.map(|address| Address::of_sender(&address, &unknown));
            return match sender {
                Some(None) => Identified::Nobody,
                sender => Identified::Token(token, sender.flatten()),
            };
        }
        Credentials::Basic { address, password } => (address, password),
    };
    let Some(sender) = Address::of_sender(&address, &unknown) else {
        return Identified::Nobody;
    };
    let recalled = passwords
        .borrow()
        .recall(sender.bare(), password, client, Instant::now());
    match recalled {
        None => {
            unknown.remember();
            Identified::Sender(sender)
        }
        Some(verification) => {
            Identified::Attempt(Attempt::new(Rc::clone(passwords), sender, verification))
        }
    }
}

/// What the credentials of a request are. For Lua, the name in quotes and what follows it.
enum Identified {
    /// "nothing": there are none.
    Nothing,
    /// "several": two that are not the same.
    Several,
    /// "nobody": they are no credentials, or not those of an address.
    Nobody,
    /// "sender", address: its password is remembered.
    Sender(Address),
    /// "attempt", an [`Attempt`]: a password to be verified.
    Attempt(Attempt),
    /// "bearer", token: one of Prosody's.
    Bearer(Secret),
    /// "token", id, hash, and the address that it came with, or nil: a sending token.
    Token(Token, Option<Address>),
}

impl IntoLuaMulti for Identified {
    fn into_lua_multi(self, lua: &Lua) -> Result<MultiValue> {
        match self {
            Identified::Nothing => "nothing".into_lua_multi(lua),
            Identified::Several => "several".into_lua_multi(lua),
            Identified::Nobody => "nobody".into_lua_multi(lua),
            Identified::Sender(sender) => ("sender", sender.as_str()).into_lua_multi(lua),
            Identified::Attempt(attempt) => ("attempt", attempt).into_lua_multi(lua),
            Identified::Bearer(token) => ("bearer", token.expose()).into_lua_multi(lua),
            Identified::Token(token, address) => {
                let address = address.as_ref().map(Address::as_str);
                ("token", token.id(), token.hash(), address).into_lua_multi(lua)
            }
        }
    }
}
