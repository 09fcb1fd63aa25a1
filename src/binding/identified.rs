//! What the credentials of a request are.

use std::rc::Rc;
use std::time::Instant;

use mlua::{IntoLuaMulti, Lua, MultiValue, Result};

use super::attempt::LuaAttempt;
use super::prosody::Unverified;
use super::shared::Parts;
use crate::credentials::authorization::{Credentials, Presented};
use crate::credentials::client::Client;
use crate::credentials::secret::Secret;
use crate::credentials::token::Token;
use crate::credentials::verification::Recall;
use crate::message::address::Address;

/// What the credentials of a request are. Lua gets the name in quotes and the value after it.
pub enum Identified {
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
    /// "token", { id, hash, address }: a sending token, and the address that came with it, or nil.
    Token(Token, Option<Address>),
}

impl Identified {
    pub fn of(host: &Parts, presented: Presented, client: Client) -> Identified {
        let unverified = Unverified::new(&host.prosody);
        let credentials = match presented {
            Presented::Nothing => return Identified::Nothing,
            Presented::Several => return Identified::Several,
            Presented::Unreadable => return Identified::Nobody,
            Presented::One(credentials) => credentials,
        };
        let (address, password) = match credentials {
            Credentials::Basic { address, password } => (address, password),
            Credentials::Bearer { token } => return Identified::Bearer(token),
            Credentials::Sending {
                address: None,
                token,
            } => return Identified::Token(token, None),
            Credentials::Sending {
                address: Some(address),
                token,
            } => {
                return match Address::of_sender(&address, &unverified) {
                    None => Identified::Nobody,
                    address => Identified::Token(token, address),
                };
            }
        };
        let Some(sender) = Address::of_sender(&address, &unverified) else {
            return Identified::Nobody;
        };
        let passwords = &host.passwords;
        let recalled = passwords
            .borrow()
            .recall(sender.bare(), password, client, Instant::now());
        match recalled {
            Recall::Accepted => {
                unverified.remember();
                Identified::Sender(sender)
            }
            Recall::Throttled(seconds) => Identified::Throttled(seconds),
            Recall::Attempt(attempt) => Identified::Attempt(Box::new(LuaAttempt::new(
                Rc::clone(passwords),
                Rc::clone(&host.prosody),
                sender,
                attempt,
            ))),
        }
    }
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
                let table = lua.create_table()?;
                table.raw_set("id", token.id())?;
                table.raw_set("hash", token.hash())?;
                table.raw_set("address", address.as_ref().map(Address::as_str))?;
                ("token", table).into_lua_multi(lua)
            }
        }
    }
}
