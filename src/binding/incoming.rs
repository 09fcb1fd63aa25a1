//! The bytes of HTTP connections, before Prosody's parser reads them.

use mlua::{IntoLuaMulti, Lua, MultiValue, Result, Table, UserData, UserDataMethods};

use crate::http::chunked::{ChunkedBody, Progress};
use crate::http::head::{self, Framing, FramingFault, Head, Skimmed};

type Bytes = mlua::String;

/// `skim(bytes, left)` → the bytes of the last body that are still to come, if Prosody's parser may take all of `bytes`; or nil and the
/// offset of a head that is incomplete or special; or false if a head is unreadable. `left`: the length of the body that they begin with.
pub fn skim(lua: &Lua, (bytes, left): (Bytes, u64)) -> Result<MultiValue> {
    match head::skim(&bytes.as_bytes(), left) {
        Ok(Skimmed::Plain(left)) => left.into_lua_multi(lua),
        Ok(Skimmed::Until(offset)) => (mlua::Nil, offset).into_lua_multi(lua),
        Err(head::Unreadable) => false.into_lua_multi(lua),
    }
}

/// `head(bytes)` → the head at their beginning: `bytes`, `method`, `host`, `path` (nil without a route), `body_length` (nil without
/// one), `is_chunked`, `expects_continue`, `fault` and `detail` (if the framing is wrong); or nil if it is incomplete or unreadable.
pub fn head(lua: &Lua, bytes: Bytes) -> Result<Option<Table>> {
    let bytes = bytes.as_bytes();
    let Ok(Some(head)) = Head::read(&bytes) else {
        return Ok(None);
    };
    let table = lua.create_table()?;
    table.set("bytes", lua.create_string(head.bytes)?)?;
    if let Some((method, host, path)) = head.route() {
        table.set("method", lua.create_string(method)?)?;
        table.set("host", lua.create_string(host)?)?;
        table.set("path", lua.create_string(path)?)?;
    }
    table.set("expects_continue", head.expects_continue)?;
    match head.framing {
        Framing::Length(length) => table.set("body_length", length)?,
        Framing::Chunked => table.set("is_chunked", true)?,
        Framing::Wrong(fault) => {
            let kind = match fault {
                FramingFault::Coding => "unknown_coding",
                _ => "bad_framing",
            };
            table.set("fault", kind)?;
            table.set("detail", fault.detail())?;
        }
    }
    Ok(Some(table))
}

/// `reframe(head, line)` → the bytes of the head with this header line in the place of Content-Length and Transfer-Encoding.
pub fn reframe(lua: &Lua, (bytes, line): (Bytes, String)) -> Result<Option<Bytes>> {
    let bytes = bytes.as_bytes();
    let head = Head::read(&bytes).ok().flatten();
    head.map(|head| lua.create_string(head.reframed(&line)))
        .transpose()
}

/// `chunked_body(limit)` → a body that arrives in chunks, of at most `limit` bytes.
pub fn chunked_body(_: &Lua, limit: usize) -> Result<LuaChunkedBody> {
    Ok(LuaChunkedBody(ChunkedBody::new(limit)))
}

/// A body that arrives in chunks.
pub struct LuaChunkedBody(ChunkedBody);

impl UserData for LuaChunkedBody {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // read(bytes) → nil if more must come; "complete" and the number of bytes that belong to the body; "too_large"; or
        // "malformed" and a sentence
        methods.add_method_mut("read", |lua, this, bytes: Bytes| {
            match this.0.read(&bytes.as_bytes()) {
                Ok(Progress::More) => mlua::Nil.into_lua_multi(lua),
                Ok(Progress::Complete(len)) => ("complete", len).into_lua_multi(lua),
                Ok(Progress::TooLarge) => "too_large".into_lua_multi(lua),
                Err(malformed) => ("malformed", malformed.to_string()).into_lua_multi(lua),
            }
        });
        // body() → the bytes of the body so far
        methods.add_method("body", |lua, this, ()| lua.create_string(this.0.body()));
    }
}
