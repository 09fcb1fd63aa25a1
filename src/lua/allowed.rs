//! To whom a token may send, for Lua.

use std::rc::Rc;

use mlua::{Lua, Result, UserData};

use crate::message::allowed::Allowed;

/// An [`Allowed`] that Lua keeps.
pub struct LuaAllowed(pub Rc<Allowed>);

/// `allowed(id, addresses)` → what `compose` takes: a token's id, bare addresses and domains in normal form.
pub fn new(_: &Lua, (id, addresses): (String, Vec<String>)) -> Result<LuaAllowed> {
    Ok(LuaAllowed(Rc::new(Allowed::new(id, addresses))))
}

impl UserData for LuaAllowed {}
