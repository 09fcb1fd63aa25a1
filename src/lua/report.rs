//! Outcomes on their way into an answer, for Lua.

use mlua::{
    AnyUserData, FromLua, IntoLuaMulti, Lua, MetaMethod, Result, UserData, UserDataMethods, Value,
};

use super::batch::LuaBatch;
use super::problem::with_asked;
use crate::http::answer::Report;
use crate::http::memory::Share;
use crate::http::pieces::Pieces;
use crate::http::problem::Problem;

type Bytes = mlua::String;

/// A [`Report`], until it is finished.
pub struct LuaReport {
    report: Option<Report>,
    /// The memory that a long answer has.
    share: Option<Share>,
}

/// `report(json)` → a [`LuaReport`] of nothing yet.
pub fn new(_: &Lua, json: bool) -> Result<LuaReport> {
    Ok(LuaReport {
        report: Some(Report::new(json)),
        share: None,
    })
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
            if let Some(report) = &mut this.report {
                let (id, from, to) = (
                    id.to_string_lossy(),
                    from.to_string_lossy(),
                    to.to_string_lossy(),
                );
                report.add(&id, &from, &to, outcome);
            }
            Ok(())
        });
        // reserve(batch): the answer is that of a batch, which has taken the memory for it
        methods.add_method_mut("reserve", |_, this, batch: AnyUserData| {
            this.share = batch.borrow_mut::<LuaBatch>()?.share_of_answer.take();
            Ok(())
        });
        // finish(many, accept, content_type, request_id) → status, media type (nil for an empty body), body: a string, or
        // a `LuaPieces` if it is long
        type Finish = (bool, Option<Bytes>, Option<Bytes>, Option<Bytes>);
        methods.add_method_mut(
            "finish",
            |lua, this, (many, accept, content_type, id): Finish| {
                let report = this.report.take();
                let report = report.unwrap_or_else(|| Report::new(false));
                let answer = with_asked(&accept, &content_type, &id, |asked| {
                    report.finish(many, asked)
                });
                let share = this.share.take();
                let media_type = (!answer.body.is_empty()).then_some(answer.media_type);
                if answer.body.is_short() {
                    (answer.status, media_type, answer.body.into_text()).into_lua_multi(lua)
                } else {
                    let pieces = LuaPieces {
                        pieces: answer.body,
                        share,
                    };
                    (answer.status, media_type, pieces).into_lua_multi(lua)
                }
            },
        );
    }
}

/// A long body as `response:send_file` of net.http.server reads it.
struct LuaPieces {
    pieces: Pieces,
    /// The memory of what is not read yet.
    share: Option<Share>,
}

impl UserData for LuaPieces {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // #body → bytes that are not read yet
        methods.add_meta_method(MetaMethod::Len, |_, this, ()| Ok(this.pieces.len()));
        // read() → the next piece, or nil at the end
        methods.add_method_mut("read", |lua, this, _: Value| {
            let piece = this.pieces.pop();
            if this.pieces.is_empty() {
                this.share = None;
            }
            piece.map(|piece| lua.create_string(piece)).transpose()
        });
        // close(): frees what is not read
        methods.add_method_mut("close", |_, this, ()| {
            this.pieces = Pieces::default();
            this.share = None;
            Ok(())
        });
    }
}
