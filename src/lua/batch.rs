//! The messages of a request, for Lua.

use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mlua::{IntoLuaMulti, Table, UserData, UserDataMethods, Value};

use super::disposal::Disposal;
use super::server::LuaServer;
use super::stanza;
use crate::http::memory::Share;
use crate::http::problem::Problem;
use crate::payload::batch::Batch;
use crate::payload::file::Content;
use crate::payload::reader::Payload;
use crate::worker::Ticket;

/// How long a slice of a batch may hold the event loop.
const SLICE: Duration = Duration::from_micros(200);

/// A body that a thread reads: what to wait for, what it has read then, and what it has of the memory for large bodies.
pub struct Reading {
    pub ticket: Ticket,
    pub read: Arc<OnceLock<Result<Payload, Problem>>>,
    pub share: Arc<Share>,
    pub disposal: Rc<Disposal>,
}

/// A [`Batch`] with what it needs of this server.
pub struct LuaBatch {
    batch: Batch,
    reading: Option<Reading>,
    /// What a large body has in memory: its share, and where it is freed.
    held: Option<(Arc<Share>, Rc<Disposal>)>,
    /// The memory of a long answer, once all recipients are resolved.
    pub answer_memory: Option<Share>,
    server: Rc<LuaServer>,
    stanza_metatable: Table,
}

impl LuaBatch {
    pub fn new(
        batch: Batch,
        reading: Option<Reading>,
        server: Rc<LuaServer>,
        stanza_metatable: Table,
    ) -> LuaBatch {
        LuaBatch {
            batch,
            reading,
            held: None,
            answer_memory: None,
            server,
            stanza_metatable,
        }
    }

    /// Resolves recipients for as long as a slice lasts; says whether all are.
    fn resolve(&mut self) -> Result<bool, Problem> {
        if let Some(reading) = self.reading.take() {
            self.held = Some((reading.share, reading.disposal));
            let read = reading.read;
            let read = Arc::into_inner(read).and_then(OnceLock::into_inner);
            self.batch.take(read.unwrap_or_else(|| {
                Err(Problem::unavailable(
                    "the request could not be read in time; try again",
                ))
            }))?;
        }
        let end = Instant::now() + SLICE;
        let done = self.batch.resolve(&*self.server, || Instant::now() < end)?;
        if done {
            self.answer_memory = self.batch.answer_memory()?;
        }
        Ok(done)
    }

    /// Frees all messages: those of a large body on a thread.
    fn release(&mut self) {
        self.answer_memory = None;
        if let Some(reading) = self.reading.take() {
            reading.disposal.take((reading.read, reading.share));
        }
        let contents = self.batch.take_contents();
        if let Some((share, disposal)) = self.held.take() {
            disposal.take((contents, share));
        }
    }
}

/// Where Lua has lost it, such as behind an error.
impl Drop for LuaBatch {
    fn drop(&mut self) {
        self.release();
    }
}

impl UserData for LuaBatch {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // ticket() → what to wait for before anything else, or nil
        methods.add_method("ticket", |_, this, ()| {
            Ok(this.reading.as_ref().map(|reading| reading.ticket))
        });
        // resolve() → whether all recipients are resolved; or nil and a problem
        methods.add_method_mut("resolve", |lua, this, ()| match this.resolve() {
            Ok(done) => done.into_lua_multi(lua),
            Err(problem) => {
                this.release();
                (Value::Nil, problem).into_lua_multi(lua)
            }
        });
        // files() → { { name, type, first and last byte in the request's body, or its bytes }, … } that are to be uploaded
        // before anything is sent
        methods.add_method("files", |lua, this, ()| {
            let files = this.batch.files().iter().map(|file| {
                let table = lua.create_table()?;
                table.set("name", file.name.as_str())?;
                table.set("type", file.media_type.as_str())?;
                match &file.content {
                    Content::InBody(range) => {
                        table.set("first", range.start + 1)?;
                        table.set("last", range.end)?;
                    }
                    Content::Unpacked(bytes) => table.set("bytes", lua.create_string(bytes)?)?,
                }
                Ok(table)
            });
            files.collect::<mlua::Result<Vec<Table>>>()
        });
        // link(index, url) → a problem, or nil: where the file of that index was uploaded to
        methods.add_method_mut("link", |_, this, (index, url): (usize, mlua::String)| {
            let url = url.to_string_lossy();
            Ok(this.batch.link(index.saturating_sub(1), &url).err())
        });
        // total() → how many messages it makes, once all recipients are resolved
        methods.add_method("total", |_, this, ()| Ok(this.batch.total()));
        // next() → the next stanza, or nil
        methods.add_method_mut("next", |lua, this, ()| {
            let message = this.batch.next_message();
            message
                .map(|message| stanza::table(&message.element(), lua, &this.stanza_metatable, None))
                .transpose()
        });
        // to_rooms() → whether any message goes to a room, once all recipients are resolved
        methods.add_method("to_rooms", |_, this, ()| Ok(this.batch.is_to_rooms()));
        // release(): no more is to be sent of it
        methods.add_method_mut("release", |_, this, ()| {
            this.release();
            Ok(())
        });
        // answer() → how the program that posts expects to be answered: status, media type, body
        methods.add_method("answer", |lua, this, ()| match this.batch.answer() {
            Some(answer) => answer.clone().into_lua_multi(lua),
            None => ().into_lua_multi(lua),
        });
        // many() → whether the answer is an array, even for one message
        methods.add_method("many", |_, this, ()| Ok(this.batch.is_many()));
    }
}
