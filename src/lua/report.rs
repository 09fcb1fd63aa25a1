//! Outcomes on their way into an answer, for Lua.

use mlua::{
    AnyUserData, FromLua, IntoLuaMulti, Lua, MetaMethod, MultiValue, Result, UserData,
    UserDataMethods, Value,
};

use super::batch::LuaBatch;
use super::problem::with_asked;
use crate::http::answer::{LongAnswer, Report};
use crate::http::memory::Share;
use crate::http::pieces::Pieces;
use crate::http::problem::Problem;

type Bytes = mlua::String;

/// A [`Report`], until it is finished, and the memory that its answer takes.
pub struct LuaReport(Option<Report>, Option<Share>);

/// `report(json)` → a [`LuaReport`] of nothing yet.
pub fn new(_: &Lua, json: bool) -> Result<LuaReport> {
    Ok(LuaReport(Some(Report::new(json)), None))
}

impl UserData for LuaReport {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // add(id, from, to, status or problem)
        type Outcome = (Bytes, Bytes, Bytes, Value);
        methods.add_method_mut("add", |lua, this, (id, from, to, outcome): Outcome| {
            let outcome = match outcome {
                Value::Table(_) => Err(Problem::from_lua(outcome, lua)?),
                status => Ok(u16::from_lua(status, lua)?),
            };
            if let Some(report) = &mut this.0 {
                let (id, from, to) = (
                    id.to_string_lossy(),
                    from.to_string_lossy(),
                    to.to_string_lossy(),
                );
                report.add(&id, &from, &to, outcome);
            }
            Ok(())
        });
        // keep(batch): the answer takes the memory that the batch has taken for it
        methods.add_method_mut("keep", |_, this, batch: AnyUserData| {
            this.1 = batch.borrow_mut::<LuaBatch>()?.answer_memory.take();
            Ok(())
        });
        // finish(many, accept, content_type, request_id) → status, media type (nil for an empty body), body: a string, or
        // a `LuaPieces` if it is long
        type Finish = (bool, Option<Bytes>, Option<Bytes>, Option<Bytes>);
        methods.add_method_mut(
            "finish",
            |_, this, (many, accept, content_type, id): Finish| {
                let report = this.0.take().unwrap_or_else(|| Report::new(false));
                let answer = with_asked(&accept, &content_type, &id, |asked| {
                    report.finish(many, asked)
                });
                Ok(HeldAnswer(answer, this.1.take()))
            },
        );
    }
}

/// A long body as `response:send_file` of net.http.server reads it, and the memory that is taken for it.
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
        // close(): frees what is not read
        methods.add_method_mut("close", |_, this, ()| {
            *this = LuaPieces(Pieces::default(), None);
            Ok(())
        });
    }
}

/// An answer with the memory that was taken for it.
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
