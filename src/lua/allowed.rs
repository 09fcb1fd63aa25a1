//! To whom a token may send, for Lua.

use std::rc::Rc;

use mlua::{Lua, Result, UserData};

use crate::message::allowed::Allowed;

type Bytes = mlua::String;

/// An [`Allowed`] that Lua keeps.
pub struct LuaAllowed(pub Rc<Allowed>);

/// `allowed(id, addresses)` → what `compose` takes: a token's id, bare addresses and domains in normal form.
pub fn new(_: &Lua, (id, addresses): (Bytes, Vec<Bytes>)) -> Result<LuaAllowed> {
    let addresses: Vec<String> = addresses.iter().map(Bytes::to_string_lossy).collect();
    Ok(LuaAllowed(Rc::new(Allowed::new(
        id.to_string_lossy(),
        addresses,
    ))))
}

impl UserData for LuaAllowed {}
