//! The messages of a request.

use std::rc::Rc;

use mlua::{IntoLuaMulti, Lua, MultiValue, Result, Table, UserData, UserDataMethods, Value};

use super::prosody::Prosody;
use super::stanza;
use crate::payload::composition::Composition;
use crate::payload::file::{Content, File};
use crate::worker::Ticket;

type Bytes = mlua::String;

/// A [`Composition`], of one message or many.
pub struct LuaBatch {
    /// In a box: Lua's garbage collector works more for larger userdata.
    pub composition: Box<Composition>,
    /// The body of the request, which often is the text of a single message.
    body: Option<Bytes>,
    prosody: Rc<Prosody>,
    /// The ticket of the thread that reads the body, until Lua has taken it.
    ticket: Option<Ticket>,
}

impl LuaBatch {
    pub fn new(composition: Composition, body: Bytes, prosody: Rc<Prosody>) -> LuaBatch {
        LuaBatch {
            body: composition.batch.is_single().then_some(body),
            ticket: composition.ticket(),
            composition: Box::new(composition),
            prosody,
        }
    }

    fn next_stanza(&mut self, lua: &Lua) -> Result<Option<Table>> {
        let message = self.composition.batch.next_message();
        let (metatable, body) = (&self.prosody.stanza_metatable, self.body.as_ref());
        message
            .map(|message| stanza::table(&message.element(), lua, metatable, body))
            .transpose()
    }

    fn resolve(&mut self, lua: &Lua) -> Result<MultiValue> {
        if let Some(ticket) = self.ticket.take() {
            return (false, ticket).into_lua_multi(lua);
        }
        match self.composition.resolve(&*self.prosody) {
            Ok(true) => {
                let batch = &self.composition.batch;
                (batch.total(), batch.is_single()).into_lua_multi(lua)
            }
            Ok(false) => false.into_lua_multi(lua),
            Err(problem) => (Value::Nil, problem).into_lua_multi(lua),
        }
    }

    fn release(&mut self) {
        self.body = None;
        self.composition.release();
    }
}

fn file(lua: &Lua, file: &File) -> Result<Table> {
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
}

impl UserData for LuaBatch {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // resolve() → the number of messages, one for each recipient, and whether one message is all that there is: no array, no files; or
        // nil and a problem; or false if it must be called again, and the
        // ticket of the thread that reads the body, or nil if no thread does
        methods.add_method_mut("resolve", |lua, this, ()| this.resolve(lua));
        // The methods below need all recipients resolved.

        // files() → { { name, type, first and last byte in the request's body, or its bytes }, … }, to be uploaded first; nil without files
        methods.add_method("files", |lua, this, ()| {
            let files = this.composition.batch.files();
            let tables = files.iter().map(|each| file(lua, each));
            (!files.is_empty())
                .then(|| tables.collect::<Result<Vec<Table>>>())
                .transpose()
        });
        // link(index, url) → the id of the message; or nil and a problem. The file at the index was uploaded to the URL.
        methods.add_method_mut("link", |lua, this, (index, url): (usize, Bytes)| {
            let url = url.to_string_lossy();
            let index = index.saturating_sub(1);
            match this.composition.batch.link(index, &url) {
                Ok(id) => id.into_lua_multi(lua),
                Err(problem) => (Value::Nil, problem).into_lua_multi(lua),
            }
        });
        // to_rooms() → whether any message goes to a room
        methods.add_method("to_rooms", |_, this, ()| {
            Ok(this.composition.batch.is_to_rooms())
        });
        // is_many() → whether the answer is an array, even for one message
        methods.add_method("is_many", |_, this, ()| {
            Ok(this.composition.batch.is_many())
        });
        // next() → the next stanza, or nil
        methods.add_method_mut("next", |lua, this, ()| this.next_stanza(lua));
        // release(): frees all messages
        methods.add_method_mut("release", |_, this, ()| {
            this.release();
            Ok(())
        });
        // answer() → status, media type and body of the answer that the program expects; nil if any answer suits it
        methods.add_method("answer", |lua, this, ()| {
            match this.composition.batch.answer() {
                Some(answer) => answer.clone().into_lua_multi(lua),
                None => ().into_lua_multi(lua),
            }
        });
    }
}
