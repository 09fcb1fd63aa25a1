//! Native half of mod_post_msg: it knows the HTTP request and the message. The Lua half, in
//! `lua/`, knows Prosody.
//!
//! The rooms, and what each may import: an arrow goes only down. `make check` holds the sources
//! against this table. No two modules import each other, and none above its own `mod` lines.
//!
//! | room | what it does | imports |
//! |---|---|---|
//! | [`binding`] | what Lua can call: one file for each userdata, no decisions; only this room knows mlua | `openapi`, `payload`, `template`, `message`, `credentials`, `worker`, `page`, `http` |
//! | [`openapi`] | what is declared of fields, statuses and templates → the description of all that is served | `template`, `message`, `http` |
//! | [`payload`] | the body of a request → its messages: one file a format | `template`, `message`, `worker`, `http` |
//! | [`template`] | what another program posts → the fields of a message: Jinja, and its filters | `message`, `http` |
//! | [`message`] | what a client wrote → a message → its stanza: fields, addresses, XHTML | `http` |
//! | [`credentials`] | passwords: remembered, derived on threads, throttled; sending tokens | `worker` |
//! | [`worker`] | threads for work that would hold the event loop: a queue, and whose work comes next | nothing |
//! | [`page`] | the page on which people try the module: files that are compiled in | `http` |
//! | [`http`] | headers, codings, problems, answers | nothing |
//!
//! The way of a request:
//!
//! | from | to | by |
//! |---|---|---|
//! | the Authorization header, the query | a sender, a password to verify, or a token | [`credentials::authorization`], [`credentials::verification`], [`credentials::token`], [`http::query`] |
//! | Content-Type, Content-Encoding | how to read the body | [`payload::reader`], [`http::media_type`], [`http::content_coding`] |
//! | the body | drafts: what the client wrote | [`payload::format`] names the file of each format |
//! | another program's payload | a draft, by a template of `templates/` or of the administrator's | [`payload::webhook`], [`template::engine`] |
//! | a draft | content, in which every value is right | [`message::content`], by the rows of [`message::field`] |
//! | a recipient as written | an address, to which a token may send | [`message::address`], [`message::allowed`] |
//! | content and address | a message, and its stanza | [`message::Message`], [`message::element`] |
//! | all of it | the messages of a request, one after the other | [`payload::composer`], [`payload::batch`] |
//! | a problem, outcomes | the answer | [`http::problem`], [`http::answer`] |
//!
//! What is added often, and where:
//!
//! | to add | touches |
//! |---|---|
//! | a field of a message | its row in [`message::field`] |
//! | a format of a body | a file in [`payload`], its row in [`payload::format`], its content in `src/openapi.json` |
//! | another program's webhook | `templates/NAME.j2`, and its payloads in `templates/NAME/`; no code |
//! | a filter for templates | its function in [`template::filter`], and `docs/programs.md` |
//! | a status | its row in [`http::answer`] |
//! | what a request or an answer may have | `src/openapi.json` |
//! | a function for Lua | its file in [`binding`] |
//! | a setting | its declaration in `lua/settings.lib.lua`, and the table of `docs/running.md` |
//! | a metric | its declaration in `lua/metrics.lib.lua`, the table of `docs/monitoring.md`, a panel of the dashboard |
//! | something that `prosodyctl mod_post_msg check` finds | `lua/check.lib.lua` |

pub mod binding;
pub mod credentials;
pub mod http;
pub mod message;
pub mod openapi;
pub mod page;
pub mod payload;
pub mod template;
pub mod worker;

/// What `package.loadlib` finds: see [`binding::library`].
#[mlua::lua_module(name = "post_msg", skip_memory_check)]
fn post_msg(lua: &mlua::Lua) -> mlua::Result<mlua::Table> {
    binding::library(lua)
}
