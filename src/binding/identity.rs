//! The kind and the value of a request's credentials.

use std::rc::Rc;
use std::time::Instant;

use mlua::{IntoLuaMulti, Lua, MultiValue, Result};

use super::attempt::LuaAttempt;
use super::prosody::Unverified;
use super::shared::Parts;
use crate::credentials::authorization::{Credentials, RequestCredentials};
use crate::credentials::client::Client;
use crate::credentials::secret::Secret;
use crate::credentials::token::Token;
use crate::credentials::verification::Recall;
use crate::message::address::Address;

/// The kind of a request's credentials, and their value. Lua gets the name in quotes and the value after it.
pub enum Identity {
    /// "nothing": the request has no credentials.
    Nothing,
    /// "several": the request has two different credentials.
    Several,
    /// "nobody": the credentials are malformed, or their address is not an account's.
    Nobody,
    /// "sender", address: the password is cached as right.
    Sender(Address),
    /// "throttled", seconds to wait: too many attempts have failed.
    Throttled(u64),
    /// "attempt", a [`LuaAttempt`]: a password to be verified.
    Attempt(Box<LuaAttempt>),
    /// "bearer", token: a token of Prosody's mod_tokenauth.
    Bearer(Secret),
    /// "token", { id, hash, address }: a sending token, and the address that was sent with it, or nil.
    Token(Token, Option<Address>),
}

impl Identity {
    pub fn of(
        host: &Parts,
        credentials_of_request: RequestCredentials,
        client: Client,
    ) -> Identity {
        let unverified = Unverified::new(&host.prosody);
        let credentials = match credentials_of_request {
            RequestCredentials::Nothing => return Identity::Nothing,
            RequestCredentials::Several => return Identity::Several,
            RequestCredentials::Unreadable => return Identity::Nobody,
            RequestCredentials::One(credentials) => credentials,
        };
        let (address, password) = match credentials {
            Credentials::Basic { address, password } => (address, password),
            Credentials::Bearer { token } => return Identity::Bearer(token),
            Credentials::Sending {
                address: None,
                token,
            } => return Identity::Token(token, None),
            Credentials::Sending {
                address: Some(address),
                token,
            } => {
                return match Address::of_sender(&address, &unverified) {
                    None => Identity::Nobody,
                    address => Identity::Token(token, address),
                };
            }
        };
        let Some(sender) = Address::of_sender(&address, &unverified) else {
            return Identity::Nobody;
        };
        let passwords = &host.passwords;
        let recall = passwords
            .borrow()
            .recall(sender.bare(), password, client, Instant::now());
        match recall {
            Recall::Accepted => {
                unverified.remember();
                Identity::Sender(sender)
            }
            Recall::Throttled(seconds) => Identity::Throttled(seconds),
            Recall::Attempt(attempt) => Identity::Attempt(Box::new(LuaAttempt::new(
                Rc::clone(passwords),
                Rc::clone(&host.prosody),
                sender,
                attempt,
            ))),
        }
    }
}

impl IntoLuaMulti for Identity {
    fn into_lua_multi(self, lua: &Lua) -> Result<MultiValue> {
        match self {
            Identity::Nothing => "nothing".into_lua_multi(lua),
            Identity::Several => "several".into_lua_multi(lua),
            Identity::Nobody => "nobody".into_lua_multi(lua),
            Identity::Sender(sender) => ("sender", sender.as_str()).into_lua_multi(lua),
            Identity::Throttled(seconds) => ("throttled", seconds).into_lua_multi(lua),
            Identity::Attempt(attempt) => ("attempt", *attempt).into_lua_multi(lua),
            Identity::Bearer(token) => ("bearer", token.expose()).into_lua_multi(lua),
            Identity::Token(token, address) => {
                let table = lua.create_table()?;
                table.raw_set("id", token.id())?;
                table.raw_set("hash", token.hash())?;
                table.raw_set("address", address.as_ref().map(Address::as_str))?;
                ("token", table).into_lua_multi(lua)
            }
        }
    }
}
