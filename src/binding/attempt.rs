//! A password to verify.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mlua::{Error, FromLua, IntoLuaMulti, Lua, Result, Table, UserData, UserDataMethods, Value};

use super::prosody::Prosody;
use crate::credentials::scram::{Hash, ScramCredentials};
use crate::credentials::verification::{Attempt, BeginResult, Passwords, Pending, StoredPassword};
use crate::message::address::Address;

type Bytes = mlua::String;

/// An [`Attempt`] and its sender. Lua calls `begin` once; if that returns "deriving" or "backend", Lua calls `finish` once.
pub struct LuaAttempt {
    passwords: Rc<RefCell<Passwords>>,
    prosody: Rc<Prosody>,
    sender: Address,
    /// Taken by `begin`.
    attempt: Option<Attempt>,
    /// From `begin` until `finish` takes it.
    pending: Option<Pending>,
    /// How long a right password is trusted without asking the backend again.
    fresh_for: Duration,
}

/// The argument of `begin`. `recheck`: the seconds for which a right password is trusted. The other members are the password as the
/// backend stores it. `hash`: derived (SCRAM); for an unknown account, `stored_key` and `salt` are absent. `plain`: the password itself.
/// Without `hash` and `plain`, the backend does not show the password.
struct Backend {
    recheck: f64,
    hash: Option<Hash>,
    stored_key: Option<Bytes>,
    salt: Option<Bytes>,
    iterations: Option<u32>,
    plain: Option<Bytes>,
}

impl FromLua for Backend {
    fn from_lua(value: Value, lua: &Lua) -> Result<Backend> {
        let table = Table::from_lua(value, lua)?;
        let hash: Option<Bytes> = table.raw_get("hash")?;
        Ok(Backend {
            recheck: table.raw_get("recheck")?,
            hash: hash.map(|hash| match &*hash.as_bytes() {
                b"SHA-256" => Hash::Sha256,
                _ => Hash::Sha1,
            }),
            stored_key: table.raw_get("stored_key")?,
            salt: table.raw_get("salt")?,
            iterations: table.raw_get("iterations")?,
            plain: table.raw_get("plain")?,
        })
    }
}

impl Backend {
    fn scram_credentials(&self, hash: Hash) -> ScramCredentials {
        let iterations = self.iterations.unwrap_or_default();
        match (&self.stored_key, &self.salt) {
            (Some(stored_key), Some(salt)) => ScramCredentials {
                hash,
                stored_key: stored_key.as_bytes().to_vec(),
                salt: salt.as_bytes().to_vec(),
                iterations,
            },
            _ => ScramCredentials::nobody(hash, iterations),
        }
    }
}

impl LuaAttempt {
    pub fn new(
        passwords: Rc<RefCell<Passwords>>,
        prosody: Rc<Prosody>,
        sender: Address,
        attempt: Attempt,
    ) -> LuaAttempt {
        LuaAttempt {
            passwords,
            prosody,
            sender,
            attempt: Some(attempt),
            pending: None,
            fresh_for: Duration::ZERO,
        }
    }

    fn begin(&mut self, backend: &Backend) -> Result<BeginResult> {
        let attempt = self.attempt.take();
        let attempt = attempt.ok_or_else(|| Error::runtime("the attempt has already begun"))?;
        self.fresh_for = Duration::try_from_secs_f64(backend.recheck).unwrap_or_default();
        let plain = backend.plain.as_ref().map(Bytes::as_bytes);
        let prepared = match backend.hash {
            Some(_) => self.prosody.saslprep(attempt.password()),
            None => None,
        };
        let stored = match (backend.hash, prepared, &plain) {
            (Some(hash), Some(prepared), _) => StoredPassword::Scram {
                credentials: backend.scram_credentials(hash),
                prepared,
            },
            (None, _, Some(plain)) => StoredPassword::Plain(plain),
            _ => StoredPassword::Unknown,
        };
        let mut passwords = self.passwords.borrow_mut();
        Ok(passwords.begin(attempt, stored, self.fresh_for, Instant::now()))
    }

    fn finish(&mut self, verdict: Option<bool>) -> Result<Option<bool>> {
        let pending = self.pending.take();
        let pending = pending.ok_or_else(|| Error::runtime("the attempt is not pending"))?;
        let mut passwords = self.passwords.borrow_mut();
        Ok(passwords.finish(pending, verdict, self.fresh_for, Instant::now()))
    }
}

impl UserData for LuaAttempt {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // sender() → address, localpart, domain, bare address
        methods.add_method("sender", |lua, this, ()| {
            let parts = this.sender.parts();
            let (address, bare) = (this.sender.as_str(), this.sender.bare());
            (address, parts.localpart, parts.domain, bare).into_lua_multi(lua)
        });
        // begin { recheck, hash, stored_key, salt, iterations, plain } → "accepted"; "throttled", seconds; "busy"; "deriving", ticket;
        // or "backend"
        methods.add_method_mut("begin", |lua, this, backend: Backend| {
            match this.begin(&backend)? {
                BeginResult::Accepted => "accepted".into_lua_multi(lua),
                BeginResult::Throttled(seconds) => ("throttled", seconds).into_lua_multi(lua),
                BeginResult::Busy => "busy".into_lua_multi(lua),
                BeginResult::Deriving(ticket, pending) => {
                    this.pending = Some(pending);
                    ("deriving", ticket).into_lua_multi(lua)
                }
                BeginResult::Backend(pending) => {
                    this.pending = Some(pending);
                    "backend".into_lua_multi(lua)
                }
            }
        });
        // password() → the password as the client wrote it, for a backend that tests passwords itself; only between begin and finish
        methods.add_method("password", |lua, this, ()| {
            let password = this.pending.as_ref().map(Pending::password);
            password
                .map(|password| lua.create_string(password.expose()))
                .transpose()
        });
        // finish(verdict) → whether the password is right, or nil if that is not known. `verdict` is the backend's; for a
        // derivation it is not used.
        methods.add_method_mut("finish", |_, this, verdict: Option<bool>| {
            this.finish(verdict)
        });
    }
}
