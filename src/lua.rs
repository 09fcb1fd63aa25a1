//! All that Lua can call. Nothing is decided here: what comes from Lua is taken apart, handed down,
//! and what comes back is made into Lua's values.

mod allowed;
mod attempt;
mod batch;
mod composer;
mod digest;
mod disposal;
mod host;
mod problem;
mod report;
mod server;
mod signature;
mod stanza;
mod templates;
mod token_request;

use mlua::{Error, Lua, Result, Table};

use crate::credentials::token::Token;
use crate::http::link::{self, Link};
use crate::http::origin::Sent;
use crate::http::query::Query;
use crate::http::{accept, answer, prefer};
use crate::openapi;
use crate::page;
use crate::payload::format;

type Bytes = mlua::String;

/// What `luaopen_post_msg` returns: `media_types`, `new(settings)`, which makes the functions of a
/// VirtualHost, and the functions that need no host.
///
/// # Errors
/// Lua's own, where memory runs out.
pub fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    library.set("media_types", format::media_types())?;
    library.set("new", lua.create_function(host::new)?)?;
    // wants_json(accept) → boolean
    let wants_json = |_: &Lua, accept: Bytes| Ok(accept::wants_json(&accept.as_bytes()));
    library.set("wants_json", lua.create_function(wants_json)?)?;
    // wants_html(accept) → boolean
    let wants_html = |_: &Lua, accept: Bytes| Ok(accept::wants_html(&accept.as_bytes()));
    library.set("wants_html", lua.create_function(wants_html)?)?;
    // page_files() → { { name, media_type, text }, … }
    let page_files = |lua: &Lua, ()| {
        let files = page::FILES.iter().map(|file| {
            let table = lua.create_table()?;
            table.set("name", file.name)?;
            table.set("media_type", file.media_type)?;
            table.set("text", file.text)?;
            Ok(table)
        });
        files.collect::<Result<Vec<Table>>>()
    };
    library.set("page_files", lua.create_function(page_files)?)?;
    // refusal(problem, accept, content_type) → status, media type, body
    library.set("refusal", lua.create_function(problem::refusal)?)?;
    // prefers_wait(prefer) → seconds, or nil
    let prefers_wait = |_: &Lua, prefer: Bytes| Ok(prefer::wait(&prefer.as_bytes()));
    library.set("prefers_wait", lua.create_function(prefers_wait)?)?;
    // is_foreign(headers, url) → whether a page of another site makes a browser send the request; `url` is one of this server
    let is_foreign = |_: &Lua, (headers, url): (Table, Bytes)| {
        let header = |name: &str| headers.get::<Option<Bytes>>(name);
        let [origin, site, host] = [
            header("origin")?,
            header("sec_fetch_site")?,
            header("host")?,
        ]
        .map(|value| value.map(|value| value.as_bytes().to_vec()));
        let sent = Sent {
            origin: origin.as_deref(),
            site: site.as_deref(),
            host: host.as_deref(),
        };
        Ok(sent.is_foreign(&url.as_bytes()))
    };
    library.set("is_foreign", lua.create_function(is_foreign)?)?;
    // query(query) → the format of another program that it names, or nil; all that it says of the message, as a text
    let query = |_: &Lua, query: Bytes| {
        let query = Query::parse(&query.as_bytes());
        let meaning = query.meaning();
        Ok((query.format, meaning))
    };
    library.set("query", lua.create_function(query)?)?;
    // templates(folder) → those of other programs' formats, for `new`
    library.set("templates", lua.create_function(templates::new)?)?;
    // signature(secret, headers) → takes a body, and tells whether it is signed
    library.set("signature", lua.create_function(signature::new)?)?;
    // new_token() → a sending token, its id, its hash
    let new_token = |lua: &Lua, ()| {
        let token = Token::new().map_err(Error::external)?;
        let secret = lua.create_string(token.secret().expose())?;
        Ok((secret, token.id().to_owned(), token.hash()))
    };
    library.set("new_token", lua.create_function(new_token)?)?;
    // token_request(body) → what the page asks for about tokens
    library.set("token_request", lua.create_function(token_request::read)?)?;
    // allowed(id, addresses) → to whom alone the requests of a token may go, for compose
    library.set("allowed", lua.create_function(allowed::new)?)?;
    // link(url) → the URL, written anew, and whether it is https; or nil where it is none of HTTP
    let parsed = |_: &Lua, url: Bytes| {
        let link = Link::parse(&url.as_bytes());
        Ok(link.map(|link| (link.url, link.is_https)).unzip())
    };
    library.set("link", lua.create_function(parsed)?)?;
    // is_public(address) → whether it can be the network address of another machine on the Internet
    let is_public = |_: &Lua, address: Bytes| Ok(link::is_public(&address.to_string_lossy()));
    library.set("is_public", lua.create_function(is_public)?)?;
    // digest() → takes bytes, and tells their hash
    library.set("digest", lua.create_function(digest::new)?)?;
    // report(json) → collects outcomes
    library.set("report", lua.create_function(report::new)?)?;
    // json_text(text) → the text as a string of JSON, in quotes
    let json_text = |_: &Lua, text: Bytes| Ok(answer::json(&*text.to_string_lossy()));
    library.set("json_text", lua.create_function(json_text)?)?;
    // openapi(base, host) → the description of what is served below `base`, as JSON
    let openapi = |_: &Lua, (base, host): (Bytes, Bytes)| {
        Ok(openapi::document(
            &base.to_string_lossy(),
            &host.to_string_lossy(),
        ))
    };
    library.set("openapi", lua.create_function(openapi)?)?;
    Ok(library)
}
