//! The Lua API of the native half. It converts values, and makes no decisions.
//!
//! | file | object in Lua |
//! |---|---|
//! | [`host`] | the module on one VirtualHost |
//! | [`request`] | one HTTP request |
//! | [`attempt`] | a password to verify |
//! | [`batch`] | the messages of a request |
//! | [`report`] | the outcomes of messages, and the answer |
//! | [`digest`], [`signature`] | the hash or the signature of a body that is read in pieces |
//! | [`incoming`] | the bytes of connections, before Prosody's parser reads them |
//! | [`templates`], [`allowed`] | settings of a host, limits of a token |
//!
//! On failure, a function returns `nil` and a problem, which is a table. A Lua error is a defect.

mod allowed;
mod attempt;
mod batch;
mod digest;
mod host;
mod identity;
mod incoming;
mod problem;
mod prosody;
mod report;
mod request;
mod shared;
mod signature;
mod stanza;
mod templates;
mod token_request;

use mlua::{Error, Lua, Result, Table};

use crate::credentials::token::Token;
use crate::http::answer;
use crate::http::link::{self, Link};
use crate::openapi;
use crate::page;
use crate::payload::format;

type Bytes = mlua::String;

/// What `luaopen_post_msg` returns: a table of functions that need no host, and `host`, which makes one.
///
/// # Errors
/// Lua's own, if memory runs out.
pub fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    // media_types: the value of the headers Accept and Accept-Post
    library.set("media_types", format::media_types())?;
    // host(settings) → see `Host`
    library.set("host", lua.create_function(host::new)?)?;
    // templates(folder) → see `LuaTemplates`
    library.set("templates", lua.create_function(templates::new)?)?;
    // allowed(id, addresses) → see `LuaAllowed`
    library.set("allowed", lua.create_function(allowed::new)?)?;
    // digest(head, boundary) → see `Digest`
    library.set("digest", lua.create_function(digest::new)?)?;
    // skim(bytes, left), head(bytes), reframe(head, line), chunked_body(limit): see `incoming`
    library.set("skim", lua.create_function(incoming::skim)?)?;
    library.set("head", lua.create_function(incoming::head)?)?;
    library.set("reframe", lua.create_function(incoming::reframe)?)?;
    library.set("chunked_body", lua.create_function(incoming::chunked_body)?)?;
    // token_request(body) → its members, or nil and a problem
    library.set("token_request", lua.create_function(token_request::read)?)?;
    // new_token() → a sending token, its id, its hash
    library.set("new_token", lua.create_function(new_token)?)?;
    // page_files() → { { name, media_type, text }, … }
    library.set("page_files", lua.create_function(page_files)?)?;
    // link(url) → the URL in its normal form, and whether it is https; nil if it is not an HTTP URL
    let link = |_: &Lua, url: Bytes| {
        let link = Link::parse(&url.as_bytes());
        Ok(link.map(|link| (link.url, link.is_https)).unzip())
    };
    library.set("link", lua.create_function(link)?)?;
    // is_public(address) → whether another machine on the Internet can have this network address
    let is_public = |_: &Lua, address: Bytes| Ok(link::is_public(&address.to_string_lossy()));
    library.set("is_public", lua.create_function(is_public)?)?;
    // json_text(text) → the text as a JSON string, in quotes
    let json_text = |_: &Lua, text: Bytes| Ok(answer::json(&*text.to_string_lossy()));
    library.set("json_text", lua.create_function(json_text)?)?;
    // openapi(base, host) → the OpenAPI document of the paths below `base`, as JSON
    let openapi = |_: &Lua, (base, host): (Bytes, Bytes)| {
        Ok(openapi::document(
            &base.to_string_lossy(),
            &host.to_string_lossy(),
        ))
    };
    library.set("openapi", lua.create_function(openapi)?)?;
    Ok(library)
}

fn new_token(lua: &Lua, (): ()) -> Result<(Bytes, String, String)> {
    let token = Token::new().map_err(Error::external)?;
    let secret = lua.create_string(token.secret().expose())?;
    Ok((secret, token.id().to_owned(), token.hash()))
}

fn page_files(lua: &Lua, (): ()) -> Result<Vec<Table>> {
    let files = page::FILES.iter().map(|file| {
        let table = lua.create_table()?;
        table.set("name", file.name)?;
        table.set("media_type", file.media_type)?;
        table.set("text", file.text)?;
        Ok(table)
    });
    files.collect()
}
