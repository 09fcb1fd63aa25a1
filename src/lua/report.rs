//! Outcomes on their way into an answer, for Lua.

use mlua::{FromLua, Lua, Result, UserData, UserDataMethods, Value};

use super::problem::with_asked;
use crate::http::answer::Report;
use crate::http::problem::Problem;

type Bytes = mlua::String;

/// A [`Report`], until it is finished.
pub struct LuaReport(Option<Report>);

/// `report(json)` → a [`LuaReport`] of nothing yet.
pub fn new(_: &Lua, json: bool) -> Result<LuaReport> {
    Ok(LuaReport(Some(Report::new(json))))
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
        // finish(many, accept, content_type, request_id) → status, media type, body
        type Finish = (bool, Option<Bytes>, Option<Bytes>, Option<Bytes>);
        methods.add_method_mut(
            "finish",
            |_, this, (many, accept, content_type, id): Finish| {
                let report = this.0.take().unwrap_or_else(|| Report::new(false));
                Ok(with_asked(&accept, &content_type, &id, |asked| {
                    report.finish(many, asked)
                }))
            },
        );
    }
}
