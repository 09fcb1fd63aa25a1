//! A request → its stanza, or its batch.

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use mlua::{IntoLuaMulti, Lua, MultiValue, Result, Table, Value};

use super::batch::{LuaBatch, SLICE};
use super::problem::with_bytes;
use super::server::LuaServer;
use super::stanza;
use crate::credentials::worker::{Ticket, Worker};
use crate::http::path;
use crate::http::problem::Problem;
use crate::message::limits::Limits;
use crate::payload::batch::Batch;
use crate::payload::reader::Reader;

type Bytes = mlua::String;

/// Sender's address, raw path, Content-Type, Content-Encoding, body, whether receipts are wanted.
pub type Request = (String, Bytes, Option<Bytes>, Option<Bytes>, Bytes, bool);

/// As many large bodies wait to be read at most.
const READING_AT_MOST: usize = 64;

/// Reads requests: small bodies at once, others on a thread.
pub struct Composer {
    server: Rc<LuaServer>,
    limits: Limits,
    /// The path under which the module is reached, without a slash at its end.
    base: String,
    stanza_metatable: Table,
    reading: RefCell<Worker>,
}

/// What a request makes.
enum Composed {
    Stanza(Table),
    Batch(LuaBatch),
}

impl Composer {
    pub fn new(
        server: Rc<LuaServer>,
        limits: Limits,
        base: String,
        stanza_metatable: Table,
    ) -> Result<Composer> {
        Ok(Composer {
            server,
            limits,
            base,
            stanza_metatable,
            reading: RefCell::new(Worker::new(1, READING_AT_MOST)?),
        })
    }

    /// `compose(…)` → the stanza where the request makes one; otherwise `nil` and a problem, or
    /// `nil`, `nil` and a batch.
    pub fn compose(&self, lua: &Lua, request: Request) -> Result<MultiValue> {
        match self.read(lua, request) {
            Ok(Ok(Composed::Stanza(stanza))) => stanza.into_lua_multi(lua),
            Ok(Ok(Composed::Batch(batch))) => (Value::Nil, Value::Nil, batch).into_lua_multi(lua),
            Ok(Err(error)) => Err(error),
            Err(problem) => (Value::Nil, problem).into_lua_multi(lua),
        }
    }

    fn read(
        &self,
        lua: &Lua,
        (from, path, content_type, content_encoding, body, receipt): Request,
    ) -> std::result::Result<Result<Composed>, Problem> {
        #[cfg(feature = "deliberate-panic")]
        if content_type
            .as_ref()
            .is_some_and(|t| t.as_bytes() == *b"application/x-panic")
        {
            panic!("on purpose");
        }
        let reader = with_bytes(&content_type, |content_type| {
            with_bytes(&content_encoding, |coding| {
                Reader::new(content_type, coding)
            })
        })?;
        let in_path = path::recipient(&path.as_bytes(), &self.base);
        let mut batch = Batch::new(from, in_path, self.limits);
        let handed_out = |batch, reading| {
            let (server, metatable) = (Rc::clone(&self.server), self.stanza_metatable.clone());
            Composed::Batch(LuaBatch::new(batch, reading, server, metatable))
        };
        if reader.is_slow(&body.as_bytes()) {
            let body = body.as_bytes().to_vec();
            let limits = self.limits;
            let read = Arc::new(OnceLock::new());
            let result = Arc::clone(&read);
            let submitted = self.reading.borrow_mut().submit(0, move || {
                let _ = result.set(reader.read(&body, receipt, &limits));
            });
            let ticket = submitted.map_err(|_| {
                Problem::new(
                    503,
                    "too many large requests at once; try again in a moment",
                )
            })?;
            return Ok(Ok(handed_out(batch, Some((ticket, read)))));
        }
        batch.take(reader.read(&body.as_bytes(), receipt, &self.limits))?;
        if batch.unresolved() == 1 {
            let end = Instant::now() + SLICE;
            batch.resolve(&*self.server, || Instant::now() < end)?;
        }
        if batch.is_single() {
            if let Some(message) = batch.next_message() {
                let known = Some(&body);
                let stanza = stanza::table(&message.element(), lua, &self.stanza_metatable, known);
                return Ok(stanza.map(Composed::Stanza));
            }
        }
        Ok(Ok(handed_out(batch, None)))
    }

    /// A file descriptor that becomes readable when a body was read.
    pub fn wake_fd(&self) -> RawFd {
        self.reading.borrow().wake_fd()
    }

    /// Makes it readable.
    pub fn tick(&self) {
        self.reading.borrow().tick();
    }

    /// The tickets of the bodies that were read since this was asked last.
    pub fn ended(&self) -> Vec<Ticket> {
        self.reading.borrow_mut().ended()
    }
}
