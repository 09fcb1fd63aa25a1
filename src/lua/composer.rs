//! A request → its stanza, or its batch.

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use mlua::{IntoLuaMulti, Lua, MultiValue, Result, Table, UserDataRef, Value};

use super::allowed::LuaAllowed;
use super::batch::{LuaBatch, Reading};
use super::disposal::Disposal;
use super::problem::with_bytes;
use super::server::LuaServer;
use super::stanza;
use crate::http::memory::{MEMORY, Share};
use crate::http::path;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::message::limits::Limits;
use crate::payload::batch::Batch;
use crate::payload::reader::{Reader, Uploads};
use crate::payload::webhook::Webhook;
use crate::template::context::{Headers, now};
use crate::template::engine::Templates;
use crate::worker::turns::Turns;
use crate::worker::{Ticket, Worker};

type Bytes = mlua::String;

/// Sender's address, raw path, Content-Type, Content-Encoding, body, whether receipts are wanted,
/// to whom alone it may go, raw query, all headers, which a query makes matter, whether files can be
/// uploaded, or nil where that is not known yet (415 for what may hold one), and Content-Disposition.
pub type Request = (
    Bytes,
    Bytes,
    Option<Bytes>,
    Option<Bytes>,
    Bytes,
    bool,
    Option<UserDataRef<LuaAllowed>>,
    Option<Bytes>,
    Option<Table>,
    Option<bool>,
    Option<Bytes>,
);

/// As many large bodies wait to be read at most.
const READING_AT_MOST: usize = 64;

/// Whatever bytes a header has: a pair that is no text would end the iteration.
pub fn all_headers(headers: Option<&Table>) -> Headers {
    let pairs = headers.into_iter().flat_map(Table::pairs::<Bytes, Bytes>);
    let text = |bytes: Bytes| bytes.to_string_lossy();
    Headers::new(
        pairs
            .flatten()
            .map(|(name, value)| (text(name), text(value))),
    )
}

/// Reads requests: small bodies at once, others on a thread.
pub struct Composer {
    server: Rc<LuaServer>,
    limits: Limits,
    /// The path under which the module is reached, without a slash at its end.
    base: String,
    stanza_metatable: Table,
    templates: Arc<Templates>,
    reading: RefCell<Worker>,
    turns: RefCell<Turns>,
    disposal: Rc<Disposal>,
}

impl Composer {
    pub fn new(
        server: Rc<LuaServer>,
        limits: Limits,
        base: String,
        stanza_metatable: Table,
        templates: Arc<Templates>,
    ) -> Result<Composer> {
        Ok(Composer {
            server,
            limits,
            base,
            stanza_metatable,
            templates,
            reading: RefCell::new(Worker::new(1, READING_AT_MOST)?),
            turns: RefCell::default(),
            disposal: Rc::default(),
        })
    }

    /// `compose(…)` → the stanza where the request makes one, `nil`, `nil`, and how the program that posts expects
    /// to be answered (status, media type, body), if it does; otherwise `nil` and a problem, or `nil`, `nil` and a
    /// batch.
    pub fn compose(&self, lua: &Lua, request: Request) -> Result<MultiValue> {
        let body = request.4.clone();
        let (mut batch, reading) = match self.read(request) {
            Ok(read) => read,
            Err(problem) => return (Value::Nil, problem).into_lua_multi(lua),
        };
        if batch.is_single() {
            if let Some(message) = batch.next_message() {
                let metatable = &self.stanza_metatable;
                let stanza = stanza::table(&message.element(), lua, metatable, Some(&body))?;
                return match batch.answer() {
                    None => stanza.into_lua_multi(lua),
                    Some(answer) => {
                        let mut values = answer.clone().into_lua_multi(lua)?;
                        for value in [Value::Nil, Value::Nil, Value::Table(stanza)] {
                            values.push_front(value);
                        }
                        Ok(values)
                    }
                };
            }
        }
        let (server, metatable) = (Rc::clone(&self.server), self.stanza_metatable.clone());
        let batch = LuaBatch::new(batch, reading, server, metatable);
        (Value::Nil, Value::Nil, batch).into_lua_multi(lua)
    }

    fn read(
        &self,
        (
            from,
            path,
            content_type,
            content_encoding,
            body,
            receipt,
            allowed,
            query,
            headers,
            takes_files,
            disposition,
        ): Request,
    ) -> std::result::Result<(Batch, Option<Reading>), Problem> {
        #[cfg(feature = "deliberate-panic")]
        if content_type
            .as_ref()
            .is_some_and(|t| t.as_bytes() == *b"application/x-panic")
        {
            panic!("on purpose");
        }
        let mut query = query.map_or_else(Query::default, |query| Query::parse(&query.as_bytes()));
        let mut in_path = path::recipient(&path.as_bytes(), &self.base);
        if let Some(mut name) = query.format.take() {
            // What programs append to the URL that they are given does no harm.
            let appended = self.templates.appended(&name);
            query.detach(&appended.parameters);
            if let Ok(path) = &mut in_path {
                *path = path
                    .take()
                    .and_then(|path| appended.cut(path, &mut query.appended));
            }
            if let Some(other) = self.templates.format_of(&appended, &query.appended) {
                name.clone_from(other);
            }
            query.format = Some(name);
        }
        let in_query = std::mem::take(&mut query.to);
        // A query alone changes no recipient.
        let in_query_count = query.format.is_some() || in_path == Ok(None);
        let in_url = in_path.map(|in_path| {
            let in_query = in_query.into_iter().filter(|_| in_query_count);
            in_path.into_iter().chain(in_query).collect::<Vec<String>>()
        });
        let file_name = query.file_name().map(str::to_owned);
        let webhook = query.format.take().map(|name| {
            let templates = Arc::clone(&self.templates);
            Webhook::new(templates, name, all_headers(headers.as_ref()), query, now())
        });
        let reader = with_bytes(&content_type, |content_type| {
            with_bytes(&content_encoding, |coding| {
                with_bytes(&disposition, |disposition| {
                    let uploads = match takes_files {
                        None => Uploads::Unknown,
                        Some(false) => Uploads::Nowhere,
                        Some(true) => Uploads::Somewhere {
                            disposition,
                            name: file_name,
                        },
                    };
                    Reader::new(content_type, coding, webhook, uploads)
                })
            })
        })?;
        let allowed = allowed.map(|allowed| Rc::clone(&allowed.0));
        let from = from.to_string_lossy();
        let is_slow = reader.is_slow(&body.as_bytes());
        let account = is_slow.then(|| from.split('/').next().unwrap_or_default().to_owned());
        let mut batch = Batch::new(from, in_url, self.limits, allowed);
        let Some(account) = account else {
            batch.take(reader.read(&body.as_bytes(), receipt, &self.limits))?;
            if batch.unresolved() == 1 {
                batch.resolve(&*self.server, || false)?;
            }
            return Ok((batch, None));
        };
        let body_len = body.as_bytes().len();
        let share = Arc::new(Share::of(&MEMORY, &account, body_len, self.limits.body));
        share.take(body_len)?;
        let body = body.as_bytes().to_vec();
        let limits = self.limits;
        let read = Arc::new(OnceLock::new());
        let (result, memory) = (Arc::clone(&read), Arc::clone(&share));
        let turn = self.turns.borrow_mut().next(&account);
        let round = turn.round;
        let submitted = self.reading.borrow_mut().submit(round, move || {
            turn.begin();
            let payload = reader.read_within(&body, receipt, &limits, &memory);
            memory.give_back(body.len());
            let _ = result.set(payload);
        });
        let ticket = submitted.map_err(|_| {
            Problem::unavailable("too many large requests at once; try again in a moment")
        })?;
        self.turns.borrow_mut().take(&account, round);
        Ok((
            batch,
            Some(Reading {
                ticket,
                read,
                share,
                disposal: Rc::clone(&self.disposal),
            }),
        ))
    }

    /// How many bodies are read or wait for it, and how many values wait to be freed.
    pub fn unfinished(&self) -> (usize, usize) {
        (
            self.reading.borrow().unfinished(),
            self.disposal.unfinished(),
        )
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
