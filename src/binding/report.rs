//! The outcomes of messages, and the answer that they make.

use mlua::{
    AnyUserData, FromLua, IntoLuaMulti, Lua, MetaMethod, MultiValue, Result, Table, UserData,
    UserDataMethods, Value,
};

use super::batch::LuaBatch;
use crate::http::accept;
use crate::http::answer::{AnswerContext, LongAnswer, Report, UploadedFile};
use crate::http::memory::Share;
use crate::http::pieces::Pieces;
use crate::http::problem::Problem;

type Bytes = mlua::String;

/// A [`Report`] until it is finished, and the headers on which the answer depends.
pub struct LuaReport {
    report: Option<Report>,
    accept: Option<Vec<u8>>,
    content_type: Option<Vec<u8>>,
    /// The id of the request.
    id: String,
    /// The memory that a long answer takes.
    memory: Option<Share>,
}

impl LuaReport {
    /// A report without outcomes. `accept` and `content_type` are headers of the request.
    pub fn new(accept: Option<Bytes>, content_type: Option<Bytes>, id: String) -> LuaReport {
        let [accept, content_type] =
            [accept, content_type].map(|header| Some(header?.as_bytes().to_vec()));
        let wants_json = accept.as_deref().is_some_and(accept::wants_json);
        LuaReport {
            report: Some(Report::new(wants_json)),
            accept,
            content_type,
            id,
            memory: None,
        }
    }

    fn finish(&mut self, is_many: bool) -> HeldAnswer {
        let report = self.report.take().unwrap_or_else(|| Report::new(false));
        let context = AnswerContext {
            accept: self.accept.as_deref(),
            content_type: self.content_type.as_deref(),
            id: Some(&self.id),
        };
        HeldAnswer(report.finish(is_many, context), self.memory.take())
    }
}

impl UserData for LuaReport {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // add(id, from, to, status or problem, { url, name } of the file to which the message links, or nil)
        type Outcome = (Bytes, Bytes, Bytes, Value, Option<Table>);
        methods.add_method_mut(
            "add",
            |lua, this, (id, from, to, outcome, file): Outcome| {
                let outcome = match outcome {
                    Value::Table(_) => Err(Problem::from_lua(outcome, lua)?),
                    status => Ok(u16::from_lua(status, lua)?),
                };
                let [id, from, to] = [id, from, to].map(|text| text.to_string_lossy());
                let text = |name| {
                    file.as_ref()
                        .map(|file| file.get::<String>(name))
                        .transpose()
                };
                let (url, name) = (text("url")?, text("name")?);
                let file = url.as_deref().zip(name.as_deref());
                let file = file.map(|(url, filename)| UploadedFile { url, filename });
                if let Some(report) = &mut this.report {
                    report.add([&id, &from, &to], file, outcome);
                }
                Ok(())
            },
        );
        // keep(batch): moves the memory for the answer from the batch to this report
        methods.add_method_mut("keep", |_, this, batch: AnyUserData| {
            let mut batch = batch.borrow_mut::<LuaBatch>()?;
            this.memory = batch.composition.answer_memory.take();
            Ok(())
        });
        // finish(is_many) → status, media type (nil for an empty body), body: a string, or a `LuaPieces` if it is long
        methods.add_method_mut("finish", |_, this, is_many: bool| Ok(this.finish(is_many)));
    }
}

/// A long body as `response:send_file` of net.http.server reads it, and the memory that it takes.
struct LuaPieces(Pieces, Option<Share>);

impl UserData for LuaPieces {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // #body → bytes that are not read yet
        methods.add_meta_method(MetaMethod::Len, |_, this, ()| Ok(this.0.len()));
        // read() → the next piece, or nil at the end
        methods.add_method_mut("read", |lua, this, _: Value| {
            let piece = this.0.pop();
            if let (Some(piece), Some(memory)) = (&piece, &this.1) {
                memory.give_back(piece.len());
            }
            piece.map(|piece| lua.create_string(piece)).transpose()
        });
        // close(): frees the rest
        methods.add_method_mut("close", |_, this, ()| {
            *this = LuaPieces(Pieces::default(), None);
            Ok(())
        });
    }
}

/// An answer, and the memory that it takes.
struct HeldAnswer(LongAnswer, Option<Share>);

impl IntoLuaMulti for HeldAnswer {
    fn into_lua_multi(self, lua: &Lua) -> Result<MultiValue> {
        let HeldAnswer(answer, memory) = self;
        let media_type = (!answer.body.is_empty()).then_some(answer.media_type);
        if answer.body.is_short() {
            (answer.status, media_type, answer.body.into_text()).into_lua_multi(lua)
        } else {
            if let Some(memory) = &memory {
                memory.correct(answer.body.len());
            }
            (answer.status, media_type, LuaPieces(answer.body, memory)).into_lua_multi(lua)
        }
    }
}
