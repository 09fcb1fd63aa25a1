//! The module on one VirtualHost.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mlua::{Error, IntoLuaMulti, Lua, MultiValue, Result, Table, UserDataRef, Value};

use zeroize::Zeroizing;

use super::attempt::LuaAttempt;
use super::composer::Composer;
use super::problem::with_bytes;
use super::server::{LuaServer, Unknown};
use super::templates::LuaTemplates;
use crate::credentials::authorization::{Credentials, Presented};
use crate::credentials::client::Client;
use crate::credentials::refusals::Refusals;
use crate::credentials::secret::Secret;
use crate::credentials::token::Token;
use crate::credentials::verification::{Passwords, Recall};
use crate::http::memory::{ANSWERS, MEMORY};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::message::address::Address;
use crate::message::limits::Limits;

/// As many passwords wait to be derived at most.
const DERIVING_AT_MOST: usize = 64;

/// What the functions of a VirtualHost share.
struct Host {
    server: Rc<LuaServer>,
    passwords: Rc<RefCell<Passwords>>,
    composer: Composer,
    refusals: RefCell<Refusals>,
}

/// A [`Host`] until it is closed. The functions that Lua holds keep no part of it alive then.
#[derive(Clone)]
struct Shared(Rc<RefCell<Option<Rc<Host>>>>);

impl Shared {
    fn host(&self) -> Option<Rc<Host>> {
        self.0.borrow().clone()
    }

    /// Drops the host: its threads end, its file descriptors close, and Lua's functions that it calls become garbage. Lua's
    /// collector cannot do that in Lua 5.1: there, each of those functions has the module's environment, and with it this host.
    fn close(&self) {
        let host = self.0.borrow_mut().take();
        drop(host);
    }
}

/// `new(settings)`: `settings` has `host`, `base`, the limits, `verify_threads`, `auth_failures`,
/// `stanza_metatable`, `templates`, and the functions `prep`, `serves` and `has_rooms`.
pub fn new(lua: &Lua, settings: Table) -> Result<Table> {
    let server = Rc::new(LuaServer::new(&settings)?);
    let passwords = Passwords::new(
        settings.get("auth_failures")?,
        settings.get("verify_threads")?,
        DERIVING_AT_MOST,
    );
    let limits = Limits {
        size: settings.get("size_limit")?,
        recipients: settings.get("recipient_limit")?,
        batch: settings.get("batch_limit")?,
        body: settings.get("body_limit")?,
    };
    let templates: UserDataRef<LuaTemplates> = settings.get("templates")?;
    let composer = Composer::new(
        Rc::clone(&server),
        limits,
        settings.get("base")?,
        settings.get("stanza_metatable")?,
        Arc::clone(&templates.0),
    )?;
    let shared = Shared(Rc::new(RefCell::new(Some(Rc::new(Host {
        server,
        passwords: Rc::new(RefCell::new(passwords.map_err(Error::external)?)),
        composer,
        refusals: RefCell::new(Refusals::new(Instant::now())),
    })))));

    let functions = lua.create_table()?;
    // compose(from, path, content_type, content_encoding, body, receipt) → see Composer
    let s = shared.clone();
    let compose = move |lua: &Lua, request| match s.host() {
        Some(host) => host.composer.compose(lua, request),
        None => (Value::Nil, unloaded()).into_lua_multi(lua),
    };
    functions.set("compose", lua.create_function(compose)?)?;
    // identify(authorization, query, key, client) → see Identified; `key` is a token in a header of its own
    let s = shared.clone();
    type Presenting = (
        Option<mlua::String>,
        Option<mlua::String>,
        Option<mlua::String>,
        mlua::String,
    );
    let identify = move |_: &Lua, (authorization, query, key, client): Presenting| {
        let Some(host) = s.host() else {
            return Ok(Identified::Nobody);
        };
        let in_query = query.map(|query| Query::parse(&query.as_bytes()).tokens);
        let mut tokens = in_query.unwrap_or_default();
        tokens.extend(key.map(|key| Zeroizing::new(key.to_string_lossy())));
        Ok(with_bytes(&authorization, |authorization| {
            let presented = Presented::of(authorization, &tokens);
            identify(&host, presented, Client::of(&client.as_bytes()))
        }))
    };
    functions.set("identify", lua.create_function(identify)?)?;
    // refuse_token(client) → nil, and it counts as a wrong token; or the seconds to wait, where too many were wrong
    let s = shared.clone();
    let refuse_token = move |_: &Lua, client: mlua::String| {
        let client = Client::of(&client.as_bytes());
        let refuse = |host: Rc<Host>| {
            let mut passwords = host.passwords.borrow_mut();
            passwords.refuse_token(client, Instant::now())
        };
        Ok(s.host().and_then(refuse))
    };
    functions.set("refuse_token", lua.create_function(refuse_token)?)?;
    // refuse(client) → nil, and it counts as a refused request; or, where there were too many, for how many seconds to hold
    // back the answer, and the connection is to be closed
    let s = shared.clone();
    let refuse = move |_: &Lua, client: mlua::String| {
        let client = Client::of(&client.as_bytes());
        let refuse = |host: Rc<Host>| host.refusals.borrow_mut().refuse(client, Instant::now());
        let delay = s.host().and_then(refuse);
        Ok(delay.map(|delay| delay.as_secs_f64()))
    };
    functions.set("refuse", lua.create_function(refuse)?)?;
    // forget(account): its password, or the account itself, has changed
    let s = shared.clone();
    let forget = move |_: &Lua, account: mlua::String| {
        if let Some(host) = s.host() {
            let mut passwords = host.passwords.borrow_mut();
            passwords.forget(&account.to_string_lossy());
        }
        Ok(())
    };
    functions.set("forget", lua.create_function(forget)?)?;
    // wake_fds() → two file descriptors, readable when work has ended
    let s = shared.clone();
    let wake_fds = move |_: &Lua, ()| {
        let fds = |host: Rc<Host>| (host.passwords.borrow().wake_fd(), host.composer.wake_fd());
        Ok(s.host().map(fds).unzip())
    };
    functions.set("wake_fds", lua.create_function(wake_fds)?)?;
    // tick() → a wake_fd becomes readable
    let s = shared.clone();
    let tick = move |_: &Lua, ()| {
        if let Some(host) = s.host() {
            host.composer.tick();
        }
        Ok(())
    };
    functions.set("tick", lua.create_function(tick)?)?;
    // state() → { name → how many }: what the native half holds for requests, which is nothing without them
    let s = shared.clone();
    let state = move |lua: &Lua, ()| {
        let state = lua.create_table()?;
        if let Some(host) = s.host() {
            let (readings, disposals) = host.composer.unfinished();
            state.set("native_derivations", host.passwords.borrow().deriving())?;
            state.set("native_readings", readings)?;
            state.set("native_disposals", disposals)?;
        }
        state.set("native_bytes", MEMORY.taken() + ANSWERS.taken())?;
        Ok(state)
    };
    functions.set("state", lua.create_function(state)?)?;
    // ended() → the tickets of work that has ended
    let s = shared.clone();
    let ended = move |_: &Lua, ()| {
        let ended = |host: Rc<Host>| {
            let mut tickets = host.passwords.borrow_mut().ended();
            tickets.append(&mut host.composer.ended());
            tickets
        };
        Ok(s.host().map(ended).unwrap_or_default())
    };
    functions.set("ended", lua.create_function(ended)?)?;
    // close() → ends the threads and closes the file descriptors; `compose` answers 503 after it
    let close = move |_: &Lua, ()| {
        shared.close();
        Ok(())
    };
    functions.set("close", lua.create_function(close)?)?;
    Ok(functions)
}

fn unloaded() -> Problem {
    Problem::unavailable("the module was unloaded meanwhile; try again")
}

fn identify(host: &Host, presented: Presented, client: Client) -> Identified {
    let (passwords, unknown) = (&host.passwords, Unknown::new(&host.server));
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
        Recall::Accepted => {
            unknown.remember();
            Identified::Sender(sender)
        }
        Recall::Throttled(seconds) => Identified::Throttled(seconds),
        Recall::Attempt(attempt) => Identified::Attempt(Box::new(LuaAttempt::new(
            Rc::clone(passwords),
            sender,
            attempt,
        ))),
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
    /// "throttled", seconds to wait: too many attempts have failed.
    Throttled(u64),
    /// "attempt", a [`LuaAttempt`]: a password to be verified.
    Attempt(Box<LuaAttempt>),
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
            Identified::Throttled(seconds) => ("throttled", seconds).into_lua_multi(lua),
            Identified::Attempt(attempt) => ("attempt", *attempt).into_lua_multi(lua),
            Identified::Bearer(token) => ("bearer", token.expose()).into_lua_multi(lua),
            Identified::Token(token, address) => {
                let address = address.as_ref().map(Address::as_str);
                ("token", token.id(), token.hash(), address).into_lua_multi(lua)
            }
        }
    }
}
