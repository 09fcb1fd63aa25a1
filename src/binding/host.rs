//! The module on one VirtualHost.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mlua::{Error, Lua, Result, Table, UserData, UserDataMethods, UserDataRef};

use super::prosody::Prosody;
use super::request;
use super::shared::{Parts, Shared};
use super::templates::LuaTemplates;
use crate::credentials::refusals::Refusals;
use crate::credentials::verification::Passwords;
use crate::http::memory::{ANSWERS, MEMORY};
use crate::message::limits::Limits;
use crate::payload::composer::Composer;

type Bytes = mlua::String;

/// The maximum number of passwords that wait to be derived.
const MOST_DERIVATIONS: usize = 64;

/// A VirtualHost, as Lua holds it.
pub struct Host(Shared);

/// `host(settings)` → a [`Host`]. `settings` has the limits (`size_limit`, `recipient_limit`, `batch_limit`, `body_limit`), `base`,
/// `auth_failures`, `verify_threads`, `templates`, and the members for [`Prosody::new`].
pub fn new(_: &Lua, settings: Table) -> Result<Host> {
    let limits = Limits {
        size: settings.get("size_limit")?,
        recipients: settings.get("recipient_limit")?,
        batch: settings.get("batch_limit")?,
        body: settings.get("body_limit")?,
    };
    let passwords = Passwords::new(
        settings.get("auth_failures")?,
        settings.get("verify_threads")?,
        MOST_DERIVATIONS,
    );
    let templates: UserDataRef<LuaTemplates> = settings.get("templates")?;
    Ok(Host(Shared::new(Parts {
        prosody: Rc::new(Prosody::new(&settings)?),
        passwords: Rc::new(RefCell::new(passwords.map_err(Error::external)?)),
        composer: Composer::new(limits, settings.get("base")?, Arc::clone(&templates.0))?,
        refusals: RefCell::new(Refusals::new(Instant::now())),
    })))
}

impl UserData for Host {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // request(parts) → see `Request`
        methods.add_method("request", |_, this, parts: Table| {
            request::new(&this.0, &parts)
        });
        // forget(account): its password has changed, or the account itself
        methods.add_method("forget", |_, this, account: Bytes| {
            if let Some(parts) = this.0.parts() {
                let mut passwords = parts.passwords.borrow_mut();
                passwords.forget(&account.to_string_lossy());
            }
            Ok(())
        });
        // wake_fds() → two file descriptors, which become readable when work has ended
        methods.add_method("wake_fds", |_, this, ()| {
            let fds = |parts: Rc<Parts>| {
                let passwords = parts.passwords.borrow();
                (passwords.wake_fd(), parts.composer.wake_fd())
            };
            Ok(this.0.parts().map(fds).unzip())
        });
        // tick(): one of the file descriptors becomes readable
        methods.add_method("tick", |_, this, ()| {
            if let Some(parts) = this.0.parts() {
                parts.composer.tick();
            }
            Ok(())
        });
        // ended() → the tickets of the work that has ended since the last call
        methods.add_method("ended", |_, this, ()| {
            let ended = |parts: Rc<Parts>| {
                let mut tickets = parts.passwords.borrow_mut().ended();
                tickets.append(&mut parts.composer.ended());
                tickets
            };
            Ok(this.0.parts().map(ended).unwrap_or_default())
        });
        // state() → { name → number }: counts of the things that are kept for requests; without requests, all are 0
        methods.add_method("state", |lua, this, ()| {
            let state = lua.create_table()?;
            if let Some(parts) = this.0.parts() {
                state.set("native_derivations", parts.passwords.borrow().deriving())?;
                state.set("native_readings", parts.composer.readings())?;
                state.set("native_disposals", parts.composer.disposals())?;
            }
            state.set("native_bytes", MEMORY.taken() + ANSWERS.taken())?;
            Ok(state)
        });
        // close(): ends the threads and closes the file descriptors; requests are answered 503 from now on
        methods.add_method("close", |_, this, ()| {
            this.0.close();
            Ok(())
        });
    }
}
