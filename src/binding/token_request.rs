//! The page's requests about tokens, for Lua.

use mlua::{IntoLuaMulti, Lua, MultiValue, Result, Value};

use crate::payload::token_request::{self, Member};

/// `token_request(body)` → its members, texts and a list of texts; or nil and a problem
pub fn read(lua: &Lua, body: mlua::String) -> Result<MultiValue> {
    let members = match token_request::read(&body.as_bytes()) {
        Ok(members) => members,
        Err(problem) => return (Value::Nil, problem).into_lua_multi(lua),
    };
    let table = lua.create_table()?;
    for (name, member) in members {
        match member {
            Member::Text(text) => table.set(name, text)?,
            Member::Texts(texts) => table.set(name, texts)?,
        }
    }
    table.into_lua_multi(lua)
}
