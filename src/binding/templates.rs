//! The templates of other programs' formats, for Lua.

use std::collections::HashMap;
use std::sync::Arc;

use encoding_rs::UTF_8;
use mlua::{IntoLuaMulti, Lua, Result, Table, UserData, UserDataMethods, Value};

use crate::http::media_type::MediaType;
use crate::http::memory::Share;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::message::field::Values;
use crate::message::limits::Limits;
use crate::payload::body::Body;
use crate::payload::foreign::Form;
use crate::payload::webhook::{Reaction, UrlParts, Webhook};
use crate::template::context::{Headers, Occasion, Posted};
use crate::template::engine::Templates;
use crate::template::source::Folder;

/// [`Templates`] that Lua keeps.
pub struct LuaTemplates(pub Arc<Templates>);

/// `templates(folder)` → the built-in templates, and the administrator's templates in `folder`, which may be `nil`.
pub fn new(_: &Lua, folder: Option<mlua::String>) -> Result<LuaTemplates> {
    let templates = Templates::new(folder.map(|folder| Folder::new(folder.to_string_lossy())));
    Ok(LuaTemplates(Arc::new(templates)))
}

/// The limits for `template try`, which has no settings.
const LIMITS: Limits = Limits {
    size: 196_608,
    recipients: 1,
    batch: 1,
    body: 10 << 20,
};

impl LuaTemplates {
    fn render(
        &self,
        name: String,
        payload: &[u8],
        headers: Vec<(String, String)>,
    ) -> std::result::Result<Reaction, Problem> {
        let is_type = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("content-type");
        let content_type = headers.iter().find(is_type).map(|(_, value)| value.clone());
        let media_type = MediaType::of(content_type.as_deref().unwrap_or_default().as_bytes());
        let form = Form::of(content_type.is_some().then_some(media_type.essence));
        let parameters = media_type.lenient_parameters()?;
        let memory = Share::unshared(payload.len());
        let body = Body {
            memory: &memory,
            bytes: payload,
            charset: parameters.charset.unwrap_or(UTF_8),
            boundary: parameters.boundary.as_deref(),
        };
        let (templates, headers) = (Arc::clone(&self.0), Headers::new(headers));
        let (query, occasion) = (Query::default(), Occasion::now());
        let content_type = content_type.as_deref().map(str::as_bytes);
        let declared = templates.declarations(&name);
        let url = UrlParts::new(
            &declared,
            Posted::default(),
            false,
            (&headers, &query, content_type),
        );
        let webhook = Webhook::new(templates, name, headers, query, occasion);
        webhook.with_url(url).read(&body, form, &LIMITS)
    }
}

impl UserData for LuaTemplates {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // faults() → { name → error } of the broken templates
        methods.add_method("faults", |_, this, ()| {
            let faults = this.0.faults().into_iter();
            let faults = faults.map(|(name, fault)| (name, fault.detail));
            Ok(faults.collect::<HashMap<_, _>>())
        });
        // renderings() → { name → { rendered, failed } }: counts since the last call
        methods.add_method("renderings", |lua, this, ()| {
            let renderings = this.0.take_renderings().into_iter();
            let renderings = renderings.map(|(name, count)| {
                let table = lua.create_table()?;
                table.set("rendered", count.rendered)?;
                table.set("failed", count.failed)?;
                Ok((name, table))
            });
            renderings.collect::<Result<HashMap<String, Table>>>()
        });
        // list() → { { name, whether it is the administrator's own }, … }
        methods.add_method("list", |lua, this, ()| {
            let templates = this.0.list().into_iter();
            let templates = templates.map(|(name, own)| {
                let template = lua.create_table()?;
                template.set("name", name)?;
                template.set("own", own)?;
                Ok(template)
            });
            templates.collect::<Result<Vec<Table>>>()
        });
        // refusal(name) → nil if the template exists, else a sentence that lists all templates
        methods.add_method("refusal", |_, this, name: mlua::String| {
            Ok(this
                .0
                .refusal(&name.to_string_lossy())
                .map(|problem| problem.detail))
        });
        // check(source) → a sentence with line and column if it is no template; else nil
        methods.add_method("check", |_, this, source: mlua::String| {
            Ok(this
                .0
                .check_source(&source.to_string_lossy())
                .err()
                .map(|problem| problem.detail))
        });
        // enter(name, server, topic, token) → what a user enters in the program, a line for each setting; see `Templates::enter`
        type Settings = (
            mlua::String,
            mlua::String,
            Option<mlua::String>,
            mlua::String,
        );
        methods.add_method(
            "enter",
            |_, this, (name, server, topic, token): Settings| {
                let topic = topic.map(|topic| topic.to_string_lossy());
                let (name, server) = (name.to_string_lossy(), server.to_string_lossy());
                Ok(this
                    .0
                    .enter(&name, &server, topic.as_deref(), &token.to_string_lossy()))
            },
        );
        // source(name) → its text; or nil and a problem
        methods.add_method("source", |lua, this, name: mlua::String| {
            match this.0.source(&name.to_string_lossy()) {
                Ok(source) => source.into_lua_multi(lua),
                Err(problem) => (Value::Nil, problem).into_lua_multi(lua),
            }
        });
        // render(name, payload, headers) → { { field, text }, … } and the answer for the program that posts, or
        // nil; or nil and a problem
        type RenderArguments = (mlua::String, mlua::String, Table);
        methods.add_method(
            "render",
            |lua, this, (name, payload, headers): RenderArguments| {
                let headers = headers.pairs::<mlua::String, mlua::String>();
                let headers = headers.map(|pair| {
                    pair.map(|(name, value)| (name.to_string_lossy(), value.to_string_lossy()))
                });
                let headers = headers.collect::<Result<Vec<_>>>()?;
                let name = name.to_string_lossy();
                let Reaction { draft, answer, .. } =
                    match this.render(name, &payload.as_bytes(), headers) {
                        Ok(made) => made,
                        Err(problem) => return (Value::Nil, problem).into_lua_multi(lua),
                    };
                let values = draft.into_iter().map(|draft| draft.values);
                let fields = values.flat_map(Values::into_pairs);
                let fields = fields.map(|(row, value)| vec![row.name.to_owned(), value]);
                let answer = answer.map(|answer| format!("{} {}", answer.status, answer.body));
                (fields.collect::<Vec<_>>(), answer).into_lua_multi(lua)
            },
        );
    }
}
