//! Problems and answers as values of Lua.

use mlua::{FromLua, IntoLua, IntoLuaMulti, Lua, MultiValue, Result, Table, Value};

use crate::http::answer::Answer;
use crate::http::problem::{Place, Problem, ProblemKind};

type Bytes = mlua::String;

/// The names of the kinds in `lua/problems.lib.lua`.
fn name(kind: ProblemKind) -> Option<&'static str> {
    Some(match kind {
        ProblemKind::ServiceUnavailable => "busy",
        ProblemKind::BrokenTemplate => "broken_template",
        ProblemKind::BadGateway => "bad_gateway",
        ProblemKind::Forbidden => "forbidden",
        ProblemKind::UnsupportedMediaType => "unsupported",
        ProblemKind::ContentTooLarge => "too_large",
        ProblemKind::BadRequest => "malformed",
        ProblemKind::UnprocessableContent => "unprocessable",
        ProblemKind::Other(_) => return None,
    })
}

/// A table with the members of a problem.
impl IntoLua for Problem {
    fn into_lua(self, lua: &Lua) -> Result<Value> {
        let problem = lua.create_table()?;
        problem.set("kind", name(self.kind))?;
        problem.set("status", self.status())?;
        problem.set("retry_after", self.retry_after())?;
        problem.set("detail", self.detail)?;
        problem.set("field", self.field.as_deref())?;
        problem.set("condition", self.condition)?;
        match self.place {
            None => (),
            Some(Place::Offset(offset)) => problem.set("offset", offset)?,
            Some(Place::Line { line, column }) => {
                problem.set("line", line)?;
                problem.set("column", column)?;
            }
        }
        problem.into_lua(lua)
    }
}

impl FromLua for Problem {
    fn from_lua(value: Value, lua: &Lua) -> Result<Problem> {
        let problem = Table::from_lua(value, lua)?;
        let detail: Bytes = problem.get("detail")?;
        let condition: Option<Bytes> = problem.get("condition")?;
        let mut known = Problem::new(
            ProblemKind::Other(problem.get("status")?),
            detail.to_string_lossy(),
        );
        known.condition = condition.map(|condition| condition.to_string_lossy());
        let field: Option<Bytes> = problem.get("field")?;
        known.field = field.map(|field| field.to_string_lossy().into());
        known.place = match (
            problem.get("offset")?,
            problem.get("line")?,
            problem.get("column")?,
        ) {
            (Some(offset), _, _) => Some(Place::Offset(offset)),
            (_, Some(line), Some(column)) => Some(Place::Line { line, column }),
            _ => None,
        };
        Ok(known)
    }
}

/// The status, the media type (`nil` for an empty body), and the body.
impl IntoLuaMulti for Answer {
    fn into_lua_multi(self, lua: &Lua) -> Result<MultiValue> {
        let media_type = (!self.body.is_empty()).then_some(self.media_type);
        (self.status, media_type, self.body).into_lua_multi(lua)
    }
}
