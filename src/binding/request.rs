//! One HTTP request.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Instant;

use mlua::{
    BorrowedBytes, FromLua, IntoLua, IntoLuaMulti, Lua, Result, Table, UserData, UserDataMethods,
    UserDataRef, Value,
};
use zeroize::Zeroizing;

use super::allowed::LuaAllowed;
use super::batch::LuaBatch;
use super::identity::Identity;
use super::report::LuaReport;
use super::shared::{Parts, Shared};
use super::signature::LuaSignature;
use crate::credentials::authorization::RequestCredentials;
use crate::credentials::client::Client;
use crate::credentials::signature::{Claims, Signature};
use crate::http::answer::{self, Answer, AnswerContext};
use crate::http::media_type;
use crate::http::origin::BrowserHeaders;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{accept, prefer};
use crate::message::field::Field;
use crate::payload::composer::PostedRequest;
use crate::template::context::Headers;

type Bytes = mlua::String;

/// A request. Its query is parsed when it is made. Headers are read from Prosody's table when they are needed: most requests need
/// few of them, and reading the whole table costs more.
///
/// The table is the only value of Lua that it holds, until `release`. mlua keeps each such value on a stack of its own, which has
/// 8,000 places in Lua 5.1, and a value of an ended request keeps its place until Lua's garbage collector finds the request.
pub struct Request {
    host: Shared,
    /// In a box: Lua's garbage collector works more for larger userdata.
    query: Box<Query>,
    /// Whether the sender's token names the format, and not the query.
    has_format_of_token: bool,
    headers: Option<Table>,
    client: Client,
    id: String,
}

/// `host:request(parts)` → a [`Request`]. `parts` has the `query` as it was in the request line, or `nil`, Prosody's `headers`, the client's
/// `ip`, and the `id` of the request.
pub fn new(host: &Shared, parts: &Table) -> Result<Request> {
    let query: Option<Bytes> = parts.raw_get("query")?;
    let [client, id]: [Bytes; 2] = [parts.raw_get("ip")?, parts.raw_get("id")?];
    let query = query.map_or_else(Query::default, |query| Query::parse(&query.as_bytes()));
    Ok(Request {
        host: host.clone(),
        query: Box::new(query),
        has_format_of_token: false,
        headers: Some(parts.raw_get("headers")?),
        client: Client::of(&client.as_bytes()),
        id: id.to_string_lossy(),
    })
}

/// What `request:read` takes: `sender`, a table with an `address` and perhaps `allowed`, the only recipients that the sender may reach, and `template`, the text of the
/// template of its messages;
/// `path`, as it was in the request line; `body`; `wants_receipt`, whether the messages ask for receipts; `takes_files`, whether files
/// can be uploaded, `nil` if that is not known yet; `is_get`, whether the method is GET.
struct Read {
    address: Bytes,
    allowed: Option<UserDataRef<LuaAllowed>>,
    template: Option<String>,
    path: Bytes,
    body: Bytes,
    wants_receipt: bool,
    takes_files: Option<bool>,
    is_get: bool,
}

impl FromLua for Read {
    fn from_lua(value: Value, lua: &Lua) -> Result<Read> {
        let table = Table::from_lua(value, lua)?;
        let sender: Table = table.raw_get("sender")?;
        Ok(Read {
            address: sender.raw_get("address")?,
            allowed: sender.raw_get("allowed")?,
            template: sender.raw_get("template")?,
            path: table.raw_get("path")?,
            body: table.raw_get("body")?,
            wants_receipt: table.raw_get("wants_receipt")?,
            takes_files: table.raw_get("takes_files")?,
            is_get: table.raw_get("is_get")?,
        })
    }
}

fn bytes(header: &Option<Bytes>) -> Option<BorrowedBytes<'_>> {
    header.as_ref().map(Bytes::as_bytes)
}

impl Request {
    /// A header by its name in Prosody's table: in lower case, with `_` for `-`.
    fn header(&self, name: &str) -> Result<Option<Bytes>> {
        match &self.headers {
            Some(headers) => headers.raw_get(name),
            None => Ok(None),
        }
    }

    /// The headers for a template; empty if the query names no format. Values are read as UTF-8, or else as ISO-8859-1: some programs send
    /// what RFC 9110 once said, section 5.5.
    fn template_headers(&self) -> Headers {
        if self.query.format.is_none() {
            return Headers::default();
        }
        let text = |bytes: Bytes| match bytes.to_str() {
            Ok(text) => text.to_owned(),
            Err(_) => bytes
                .as_bytes()
                .iter()
                .map(|&byte| char::from(byte))
                .collect(),
        };
        let headers = self.headers.iter();
        let pairs = headers.flat_map(|headers| headers.pairs::<Bytes, Bytes>().flatten());
        Headers::new(pairs.map(|(name, value)| (text(name), text(value))))
    }

    fn is_foreign(&self, url: &Bytes) -> Result<bool> {
        let headers = [
            self.header("origin")?,
            self.header("sec_fetch_site")?,
            self.header("host")?,
        ];
        let [origin, site, host] = headers.each_ref().map(bytes);
        let browser_headers = BrowserHeaders {
            origin: origin.as_deref(),
            site: site.as_deref(),
            host: host.as_deref(),
        };
        Ok(browser_headers.is_foreign(&url.as_bytes()))
    }

    fn identify(&self) -> Result<Identity> {
        let Some(host) = self.host.parts() else {
            return Ok(Identity::Nobody);
        };
        let authorization = self.header("authorization")?;
        let authorization = bytes(&authorization);
        // Gotify's clients have a header of their own for their token.
        let mut tokens = Cow::Borrowed(&self.query.tokens);
        if let Some(key) = self.header("x_gotify_key")? {
            tokens.to_mut().push(Zeroizing::new(key.to_string_lossy()));
        }
        let authorization = authorization.as_deref();
        let presented =
            RequestCredentials::of_all(authorization, &self.query.authorizations, &tokens);
        Ok(Identity::of(&host, presented, self.client))
    }

    /// The identity by the token in the body, where the path's program sends it there, and the format of the program.
    fn identify_by_body(
        &self,
        path: &Bytes,
        body: &Bytes,
    ) -> Result<Option<(&'static str, Identity)>> {
        let content_type = self.header("content_type")?;
        let Some(host) = self.host.parts() else {
            return Ok(None);
        };
        let found = host.composer.token_in_body(
            &path.as_bytes(),
            bytes(&content_type).as_deref(),
            &body.as_bytes(),
        );
        Ok(found.map(|(name, token)| {
            let credentials = RequestCredentials::of(None, &[token]);
            (name, Identity::of(&host, credentials, self.client))
        }))
    }

    fn read(&self, read: &Read) -> Result<std::result::Result<LuaBatch, Problem>> {
        let Some(host) = self.host.parts() else {
            return Ok(Err(unloaded()));
        };
        let headers = [
            self.header("content_type")?,
            self.header("content_encoding")?,
            self.header("content_disposition")?,
        ];
        let [content_type, content_encoding, content_disposition] = headers.each_ref().map(bytes);
        #[cfg(feature = "deliberate-panic")]
        if content_type.as_deref() == Some(b"application/x-panic") {
            panic!("on purpose");
        }
        let posted = PostedRequest {
            sender: &read.address.to_string_lossy(),
            path: &read.path.as_bytes(),
            query: (*self.query).clone(),
            headers: self.template_headers(),
            content_type: content_type.as_deref(),
            content_encoding: content_encoding.as_deref(),
            content_disposition: content_disposition.as_deref(),
            body: &read.body.as_bytes(),
            wants_receipt: read.wants_receipt,
            allowed: read.allowed.as_ref().map(|allowed| Rc::clone(&allowed.0)),
            takes_files: read.takes_files,
            template: read.template.clone(),
            has_format_of_token: self.has_format_of_token,
            is_get: read.is_get,
        };
        let composition = host.composer.compose(posted, &*host.prosody);
        Ok(composition.map(|composition| {
            let (body, prosody) = (read.body.clone(), Rc::clone(&host.prosody));
            LuaBatch::new(composition, body, prosody)
        }))
    }

    fn signature(&self, secret: &Bytes) -> Result<LuaSignature> {
        let headers = [
            self.header("x_hub_signature_256")?,
            self.header("x_gitea_signature")?,
            self.header("x_gogs_signature")?,
            self.header("x_gitlab_token")?,
        ];
        let [hub, gitea, gogs, gitlab] = headers.each_ref().map(bytes);
        let claims = Claims {
            hub: hub.as_deref(),
            gitea: gitea.as_deref(),
            gogs: gogs.as_deref(),
            gitlab: gitlab.as_deref(),
        };
        Ok(LuaSignature(Signature::new(&secret.as_bytes(), claims)))
    }

    fn seen_headers(&self, template: Option<&str>) -> Option<String> {
        let name = self.query.format.as_ref()?;
        let host = self.host.parts()?;
        let templates = host.composer.templates();
        let unknown = self.query.unknown.iter();
        let inline = unknown.filter(|(name, _)| Field::is_name(name));
        let inline = inline.map(|(_, source)| source.as_str()).chain(template);
        Some(templates.seen_headers(name, inline, &self.template_headers()))
    }

    /// The refusal that the program expects: by the format, or else by `path`.
    fn refusal_of_program(&self, problem: &Problem, path: Option<&Bytes>) -> Option<Answer> {
        let host = self.host.parts()?;
        let composer = &host.composer;
        match &self.query.format {
            Some(name) => composer.refusal(name, problem),
            None => {
                let (name, _) = composer.protocol(&path?.as_bytes())?;
                composer.refusal(name, problem)
            }
        }
    }

    fn refusal(&self, problem: &Problem, for_later: bool, path: Option<&Bytes>) -> Result<Answer> {
        if let Some(answer) = self.refusal_of_program(problem, path) {
            return Ok(answer);
        }
        let id = (!for_later).then_some(self.id.as_str());
        let headers = [self.header("accept")?, self.header("content_type")?];
        let [accept, content_type] = headers.each_ref().map(bytes);
        let context = AnswerContext {
            accept: accept.as_deref(),
            content_type: content_type.as_deref(),
            id,
        };
        Ok(answer::refusal(problem, context))
    }
}

fn unloaded() -> Problem {
    Problem::unavailable("the module was unloaded meanwhile; try again")
}

impl UserData for Request {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // query(format) → the format, which the query names unless the argument does, or nil; its fields of the message, as one text
        methods.add_method_mut("query", |_, this, format: Option<Bytes>| {
            if let Some(name) = format {
                this.query.format = Some(name.to_string_lossy());
                this.has_format_of_token = true;
            }
            Ok((
                this.query.format.clone(),
                this.query.meaning(Field::is_name),
            ))
        });
        // wait() → seconds to wait for a receipt (Prefer), or nil
        methods.add_method("wait", |_, this, ()| {
            Ok(bytes(&this.header("prefer")?).and_then(|prefer| prefer::wait(&prefer)))
        });
        // wants_json() → whether success is answered in JSON (Accept)
        methods.add_method("wants_json", |_, this, ()| {
            Ok(bytes(&this.header("accept")?).is_some_and(|accept| accept::wants_json(&accept)))
        });
        // wants_html() → whether a page is wanted (Accept)
        methods.add_method("wants_html", |_, this, ()| {
            Ok(bytes(&this.header("accept")?).is_some_and(|accept| accept::wants_html(&accept)))
        });
        // is_foreign(url) → whether a page of another site makes a browser send the request; `url` is a URL of this server
        methods.add_method("is_foreign", |_, this, url: Bytes| this.is_foreign(&url));
        // identify() → kind, value; see `Identity`
        methods.add_method("identify", |_, this, ()| this.identify());
        // refuse_token() counts a wrong token → nil; or, if there were too many before, the seconds to wait
        methods.add_method("refuse_token", |_, this, ()| {
            let refuse = |parts: Rc<Parts>| {
                let mut passwords = parts.passwords.borrow_mut();
                passwords.refuse_token(this.client, Instant::now())
            };
            Ok(this.host.parts().and_then(refuse))
        });
        // refuse() counts a refused request → nil; or, if there were too many, the seconds to delay the answer: the caller then closes
        // the connection
        methods.add_method("refuse", |_, this, ()| {
            let refuse = |parts: Rc<Parts>| {
                let mut refusals = parts.refusals.borrow_mut();
                refusals.refuse(this.client, Instant::now())
            };
            let delay = this.host.parts().and_then(refuse);
            Ok(delay.map(|delay| delay.as_secs_f64()))
        });
        // signature(secret) → see `LuaSignature`
        methods.add_method("signature", |_, this, secret: Bytes| {
            this.signature(&secret)
        });
        // seen_headers(template) → the headers that the format's template reads, or the template of the token, one a line; or nil without a
        // format
        methods.add_method("seen_headers", |_, this, template: Option<String>| {
            Ok(this.seen_headers(template.as_deref()))
        });
        // media_type() → what Content-Type means without the boundary of multipart, the boundary: each repetition of a request may choose
        // another one
        methods.add_method("media_type", |lua, this, ()| {
            let content_type = this.header("content_type")?;
            let content_type = content_type.as_ref().map(|header| header.as_bytes());
            let content_type = content_type.as_deref().unwrap_or_default();
            let (rest, boundary) = media_type::without_boundary(content_type);
            let boundary = boundary.map(|boundary| lua.create_string(boundary));
            Ok((lua.create_string(rest)?, boundary.transpose()?))
        });
        // read { sender, path, body, wants_receipt, takes_files } → see `LuaBatch`; or nil and a problem
        methods.add_method("read", |lua, this, read: Read| match this.read(&read)? {
            Ok(batch) => batch.into_lua_multi(lua),
            Err(problem) => (Value::Nil, problem).into_lua_multi(lua),
        });
        // report() → see `LuaReport`
        methods.add_method("report", |_, this, ()| {
            let (accept, content_type) = (this.header("accept")?, this.header("content_type")?);
            Ok(LuaReport::new(accept, content_type, this.id.clone()))
        });
        // refusal(problem, for_later, path) → status, media type, body. `for_later`: it is kept for another request, so it has no request
        // id. `path`: of the request line, if the answer may have the form that the path's program expects.
        type Refusal = (Problem, Option<bool>, Option<Bytes>);
        methods.add_method("refusal", |_, this, (problem, for_later, path): Refusal| {
            this.refusal(&problem, for_later.unwrap_or_default(), path.as_ref())
        });
        // program_refusal(problem) → the same as the format's program expects it; or nil, if its template has no such answer
        methods.add_method("program_refusal", |lua, this, problem: Problem| match this
            .refusal_of_program(&problem, None)
        {
            Some(answer) => answer.into_lua_multi(lua),
            None => Value::Nil.into_lua_multi(lua),
        });
        // page(path, format) → the text that a protocol's programs expect from GET of this path, or nil; `format`: only its programs
        methods.add_method(
            "page",
            |_, this, (path, format): (Bytes, Option<String>)| {
                let host = this.host.parts();
                Ok(host.and_then(|host| host.composer.page(&path.as_bytes(), format.as_deref())))
            },
        );
        // identify_by_body(path, body) → the format whose programs send their token in a body to this path, kind, value, as `identify`; or nil
        methods.add_method(
            "identify_by_body",
            |lua, this, (path, body): (Bytes, Bytes)| match this.identify_by_body(&path, &body)? {
                Some((name, identity)) => {
                    let mut values = identity.into_lua_multi(lua)?;
                    values.push_front(name.into_lua(lua)?);
                    Ok(values)
                }
                None => Value::Nil.into_lua_multi(lua),
            },
        );
        // release(): the request has its answer, and its headers are not needed any more
        methods.add_method_mut("release", |_, this, ()| {
            this.headers = None;
            Ok(())
        });
    }
}
