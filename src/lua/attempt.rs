//! A password that is to be verified, for Lua.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mlua::{IntoLuaMulti, UserData, UserDataMethods, Variadic};

use crate::credentials::scram::{Hash, ScramCredentials};
use crate::credentials::secret::Secret;
use crate::credentials::verification::{Passwords, Verification};
use crate::credentials::worker::Ticket;
use crate::message::address::Address;

type Bytes = mlua::String;

/// Prepared password, hash, stored key, salt, iterations.
type Derive = (Bytes, Bytes, Option<Bytes>, Option<Bytes>, u32);

/// A [`Verification`] with whose it is.
pub struct Attempt {
    passwords: Rc<RefCell<Passwords>>,
    sender: Address,
    verification: Verification,
}

impl Attempt {
    pub fn new(
        passwords: Rc<RefCell<Passwords>>,
        sender: Address,
        verification: Verification,
    ) -> Attempt {
        Attempt {
            passwords,
            sender,
            verification,
        }
    }

    fn derive(&mut self, (prepared, hash, stored_key, salt, iterations): Derive) -> Option<Ticket> {
        let hash = match &*hash.as_bytes() {
            b"SHA-256" => Hash::Sha256,
            _ => Hash::Sha1,
        };
        let credentials = match stored_key.zip(salt) {
            Some((stored_key, salt)) => ScramCredentials {
                hash,
                stored_key: stored_key.as_bytes().to_vec(),
                salt: salt.as_bytes().to_vec(),
                iterations,
            },
            None => ScramCredentials::nobody(hash, iterations),
        };
        let prepared = Secret::new(&String::from_utf8_lossy(&prepared.as_bytes()));
        let mut passwords = self.passwords.borrow_mut();
        let (verification, now) = (&mut self.verification, Instant::now());
        passwords
            .derive(verification, prepared, credentials, now)
            .ok()
    }
}

impl UserData for Attempt {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // sender() → address, localpart, domain, bare address
        methods.add_method("sender", |lua, this, ()| {
            let parts = this.sender.parts();
            let (address, bare) = (this.sender.as_str(), this.sender.bare());
            (address, parts.localpart, parts.domain, bare).into_lua_multi(lua)
        });
        // password() → as the client wrote it
        methods.add_method("password", |lua, this, ()| {
            lua.create_string(this.verification.password().expose())
        });
        // is_remembered() → whether it was right, when the backend was last looked at
        methods.add_method("is_remembered", |_, this, ()| {
            Ok(this.verification.is_remembered())
        });
        // holds(…) → whether the password is remembered, and the backend still holds what it held
        methods.add_method_mut("holds", |_, this, held: Variadic<Bytes>| {
            let held: Vec<_> = held.iter().map(|part| part.as_bytes()).collect();
            let held: Vec<&[u8]> = held.iter().map(|part| &**part).collect();
            let mut passwords = this.passwords.borrow_mut();
            Ok(passwords.holds(&mut this.verification, &held, Instant::now()))
        });
        // wait() → seconds, where too many attempts have failed
        methods.add_method("wait", |_, this, ()| {
            let passwords = this.passwords.borrow();
            Ok(passwords.wait(&this.verification, Instant::now()))
        });
        // derive(prepared password, hash, stored key, salt, iterations) → ticket, or nil if busy; an account that does not
        // exist has no stored key and no salt
        methods.add_method_mut("derive", |_, this, derive: Derive| Ok(this.derive(derive)));
        // derived() → whether the password is right, once the ticket has ended; nil if it was given up
        methods.add_method("derived", |_, this, ()| Ok(this.verification.derived()));
        // count(): as a failed attempt, once, unless it turns out right or is given up
        methods.add_method_mut("count", |_, this, ()| {
            let mut passwords = this.passwords.borrow_mut();
            passwords.count(&mut this.verification, Instant::now());
            Ok(())
        });
        // accept(recheck): the password is right, and needs no other look for so many seconds
        methods.add_method_mut("accept", |_, this, recheck: f64| {
            let fresh_for = Duration::try_from_secs_f64(recheck).unwrap_or_default();
            let mut passwords = this.passwords.borrow_mut();
            passwords.accept(&mut this.verification, fresh_for, Instant::now());
            Ok(())
        });
        // give_up(): nobody knows
        methods.add_method_mut("give_up", |_, this, ()| {
            this.passwords.borrow_mut().give_up(&mut this.verification);
            Ok(())
        });
    }
}
