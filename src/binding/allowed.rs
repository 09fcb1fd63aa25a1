//! The recipients that a sending token may reach.

use std::rc::Rc;

use mlua::{Lua, Result, UserData};

use crate::message::allowed::Allowed;

type Bytes = mlua::String;

/// An [`Allowed`] that Lua keeps.
pub struct LuaAllowed(pub Rc<Allowed>);

/// `allowed(id, addresses)` → a [`LuaAllowed`], for `request:read`. `id` is the token's id; the addresses are bare addresses
/// and domains in normal form.
pub fn new(_: &Lua, (id, addresses): (Bytes, Vec<Bytes>)) -> Result<LuaAllowed> {
    let addresses: Vec<String> = addresses.iter().map(Bytes::to_string_lossy).collect();
    let allowed = Allowed::new(id.to_string_lossy(), addresses);
    Ok(LuaAllowed(Rc::new(allowed)))
}

impl UserData for LuaAllowed {}
