//! A password that is to be verified, for Lua.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mlua::{Error, IntoLuaMulti, Lua, MultiValue, Result, Table, UserData, UserDataMethods};

use crate::credentials::scram::{Hash, ScramCredentials};
use crate::credentials::secret::Secret;
use crate::credentials::verification::{Attempt, Begun, Held, Passwords, Pending};
use crate::message::address::Address;

type Bytes = mlua::String;

/// An [`Attempt`] or, once it has begun, a [`Pending`] one, and its sender.
pub struct LuaAttempt {
    passwords: Rc<RefCell<Passwords>>,
    sender: Address,
    state: State,
}

enum State {
    Attempt(Attempt),
    Pending(Pending),
    Finished,
}

impl LuaAttempt {
    pub fn new(passwords: Rc<RefCell<Passwords>>, sender: Address, attempt: Attempt) -> LuaAttempt {
        LuaAttempt {
            passwords,
            sender,
            state: State::Attempt(attempt),
        }
    }

    fn begin(&mut self, lua: &Lua, recheck: f64, held: Option<Table>) -> Result<MultiValue> {
        let State::Attempt(attempt) = std::mem::replace(&mut self.state, State::Finished) else {
            return Err(Error::runtime("the attempt has already begun"));
        };
        let bytes = |name: &str| match &held {
            Some(held) => held.get::<Option<Bytes>>(name),
            None => Ok(None),
        };
        let plain = bytes("plain")?;
        let plain = plain.as_ref().map(Bytes::as_bytes);
        let held = match (bytes("hash")?, bytes("prepared")?, &held) {
            (Some(hash), Some(prepared), Some(held)) => {
                let hash = match &*hash.as_bytes() {
                    b"SHA-256" => Hash::Sha256,
                    _ => Hash::Sha1,
                };
                let iterations = held.get("iterations")?;
                let credentials = match bytes("stored_key")?.zip(bytes("salt")?) {
                    Some((stored_key, salt)) => ScramCredentials {
                        hash,
                        stored_key: stored_key.as_bytes().to_vec(),
                        salt: salt.as_bytes().to_vec(),
                        iterations,
                    },
                    None => ScramCredentials::nobody(hash, iterations),
                };
                let prepared = Secret::new(&prepared.to_string_lossy());
                Held::Scram {
                    credentials,
                    prepared,
                }
            }
            _ => plain.as_deref().map_or(Held::Unknown, Held::Plain),
        };
        let mut passwords = self.passwords.borrow_mut();
        match passwords.begin(attempt, held, seconds(recheck), Instant::now()) {
            Begun::Accepted => "accepted".into_lua_multi(lua),
            Begun::Throttled(seconds) => ("throttled", seconds).into_lua_multi(lua),
            Begun::Busy => "busy".into_lua_multi(lua),
            Begun::Deriving(ticket, pending) => {
                self.state = State::Pending(pending);
                ("deriving", ticket).into_lua_multi(lua)
            }
            Begun::Backend(pending) => {
                self.state = State::Pending(pending);
                "backend".into_lua_multi(lua)
            }
        }
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

impl UserData for LuaAttempt {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // sender() → address, localpart, domain, bare address
        methods.add_method("sender", |lua, this, ()| {
            let parts = this.sender.parts();
            let (address, bare) = (this.sender.as_str(), this.sender.bare());
            (address, parts.localpart, parts.domain, bare).into_lua_multi(lua)
        });
        // password() → as the client wrote it
        methods.add_method("password", |lua, this, ()| match &this.state {
            State::Attempt(attempt) => lua.create_string(attempt.password().expose()),
            State::Pending(pending) => lua.create_string(pending.password().expose()),
            State::Finished => lua.create_string(""),
        });
        // begin(recheck, held) → "accepted"; "throttled", seconds; "busy"; "deriving", ticket; or "backend". `held` is
        // { hash, prepared, iterations, stored_key, salt }, the last two absent for an unknown account; { plain }; or nil
        methods.add_method_mut(
            "begin",
            |lua, this, (recheck, held): (f64, Option<Table>)| this.begin(lua, recheck, held),
        );
        // finish(recheck, verdict) → whether the password is right, nil if that is not known; the verdict is the backend's
        methods.add_method_mut(
            "finish",
            |_, this, (recheck, verdict): (f64, Option<bool>)| {
                let State::Pending(pending) = std::mem::replace(&mut this.state, State::Finished)
                else {
                    return Err(Error::runtime("the attempt is not pending"));
                };
                let mut passwords = this.passwords.borrow_mut();
                Ok(passwords.finish(pending, verdict, seconds(recheck), Instant::now()))
            },
        );
    }
}
