//! The native half of mod_post_msg: it reads HTTP requests and builds the stanzas of their messages. The Lua half, in `lua/`,
//! is the Prosody module: routes, authentication backends, timers, delivery.
//!
//! # Rooms
//!
//! A room is a top-level module with its folder. A room may import only rooms below it in this table, as listed in the last
//! column. Within a room, no two modules import each other. `make check` tests both.
//!
//! | room | what it does | imports |
//! |---|---|---|
//! | [`binding`] | the functions that Lua can call: it converts values and makes no decisions; only this room uses mlua | `openapi`, `payload`, `template`, `message`, `credentials`, `worker`, `page`, `http` |
//! | [`openapi`] | describes the module's HTTP interface as OpenAPI | `template`, `message`, `http` |
//! | [`payload`] | reads the body of a request, one file for each format, and makes its messages | `template`, `message`, `worker`, `http` |
//! | [`template`] | turns the payloads of other programs into the fields of a message: a Jinja engine and its filters | `message`, `http` |
//! | [`message`] | checks the fields of a message, and builds its stanza: addresses, texts, XHTML | `http` |
//! | [`credentials`] | reads credentials, verifies passwords, makes sending tokens, counts failures | `worker` |
//! | [`worker`] | runs work on threads that would block the event loop | nothing |
//! | [`page`] | holds the files of the web page | nothing |
//! | [`http`] | reads headers, paths and queries; decodes bodies; writes problems and answers | nothing |
//!
//! # The way of a request
//!
//! | step | from | to | module |
//! |---|---|---|---|
//! | 1 | the Authorization header, the query | the sender, or a password to verify, or a token | [`credentials::authorization`], [`http::query`] |
//! | 2 | a password | accepted or rejected | [`credentials::verification`] |
//! | 3 | Content-Type, Content-Encoding | a reader for the body | [`payload::reader`], [`http::media_type`], [`http::content_coding`] |
//! | 4 | the body | drafts: the fields as the client wrote them | [`payload::format`], and a file for each format |
//! | | the body of a webhook | a draft, made by a template | [`payload::foreign`], [`payload::webhook`], [`template::engine`] |
//! | 5 | a draft | content: all values are valid | [`message::content`], by the rows of [`message::field`] |
//! | 6 | a recipient as written | an address in normal form, to which the sender may send | [`message::address`], [`message::allowed`] |
//! | 7 | content and an address | a message, and its stanza | [`message::Message`], [`message::element`] |
//! | 8 | the messages of a request | one stanza after another, for Prosody to route | [`payload::composer`], [`payload::batch`] |
//! | 9 | the outcomes of the messages, or a problem | the answer | [`http::answer`], [`http::problem`] |
//!
//! Each step returns its result or a [`http::problem::Problem`]. The kind of the problem decides the status, and
//! the order if a request has several problems.
//!
//! # Where to add something
//!
//! | to add | change |
//! |---|---|
//! | a field of a message | its declaration in [`message::field`] |
//! | a format of a body | a file in [`payload`], its row in [`payload::format`], its content in `src/openapi.json` |
//! | the webhook of another program | `templates/NAME.j2`, and its payloads in `templates/NAME/`; no code |
//! | a protocol of publishing | `templates/NAME.j2` with the blocks of [`template::declarations`]; no code |
//! | a filter for templates | its function in [`template::filter`], and `docs/templates.md` |
//! | a kind of problem | its variant in [`http::problem`] |
//! | a status | its row in [`http::answer`] |
//! | a header or parameter of the HTTP interface | `src/openapi.json` |
//! | a function for Lua | its file in [`binding`] |
//! | a setting | its declaration in `lua/settings.lib.lua`, and the table of `docs/running.md` |
//! | a metric | its declaration in `lua/metrics.lib.lua`, the table of `docs/monitoring.md`, a panel of the dashboard |
//! | a check of `prosodyctl mod_post_msg check` | `lua/check.lib.lua` |
//!
//! Each of these also needs a case or test: see `docs/development.md`.

pub mod binding;
pub mod credentials;
pub mod http;
pub mod message;
pub mod openapi;
pub mod page;
pub mod payload;
pub mod template;
pub mod worker;

/// The entry point that `package.loadlib` finds. Returns the functions of the library: see [`binding::library`].
#[mlua::lua_module(name = "post_msg", skip_memory_check)]
fn post_msg(lua: &mlua::Lua) -> mlua::Result<mlua::Table> {
    binding::library(lua)
}
