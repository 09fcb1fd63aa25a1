//! One HTTP request.

use std::rc::Rc;
use std::time::Instant;

use mlua::{
    BorrowedBytes, FromLua, IntoLuaMulti, Lua, Result, Table, UserData, UserDataMethods,
    UserDataRef, Value,
};
use zeroize::Zeroizing;

use super::allowed::LuaAllowed;
use super::batch::LuaBatch;
use super::identified::Identified;
use super::report::LuaReport;
use super::shared::{Parts, Shared};
use super::signature::LuaSignature;
use crate::credentials::authorization::Presented;
use crate::credentials::client::Client;
use crate::credentials::signature::{Claims, Signature};
use crate::http::answer::{self, Answer, Asked};
use crate::http::origin::Sent;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::{accept, prefer};
use crate::payload::composer::Posted;
use crate::template::context::Headers;

type Bytes = mlua::String;

/// A request. Its query is parsed when it is made. Headers are read from Prosody's table when they are needed: most requests need
/// few, and to read a table costs more than to look up a name.
///
/// The table is the only value of Lua that it holds, until `release`. mlua keeps each such value on a stack of its own, which has
/// 8,000 places in Lua 5.1, and a value of an ended request keeps its place until Lua's garbage collector finds the request.
pub struct Request {
    host: Shared,
    path: Vec<u8>,
    query: Query,
    headers: Option<Table>,
    client: Client,
    id: String,
}

/// `host:request(parts)` → a [`Request`]. `parts` has `path` and `query` as they were in the request line, Prosody's `headers`, the
/// client's `ip`, and the `id` of the request; `query` may be absent.
pub fn new(host: &Shared, parts: &Table) -> Result<Request> {
    let query: Option<Bytes> = parts.raw_get("query")?;
    let [path, client, id]: [Bytes; 3] = [
        parts.raw_get("path")?,
        parts.raw_get("ip")?,
        parts.raw_get("id")?,
    ];
    let query = query.map_or_else(Query::default, |query| Query::parse(&query.as_bytes()));
    Ok(Request {
        host: host.clone(),
        path: path.as_bytes().to_vec(),
        query,
        headers: Some(parts.raw_get("headers")?),
        client: Client::of(&client.as_bytes()),
        id: id.to_string_lossy(),
    })
}

fn bytes(header: &Option<Bytes>) -> Option<BorrowedBytes<'_>> {
    header.as_ref().map(Bytes::as_bytes)
}

/// What `request:read` takes: the sender's address, the body, whether the messages ask for receipts, the only recipients that the
/// sender may reach, whether files can be uploaded (`nil` if that is not known yet), and a path if it is not that of the request.
struct Read {
    sender: Bytes,
    body: Bytes,
    wants_receipt: bool,
    allowed: Option<UserDataRef<LuaAllowed>>,
    takes_files: Option<bool>,
    path: Option<Bytes>,
}

impl FromLua for Read {
    fn from_lua(value: Value, lua: &Lua) -> Result<Read> {
        let table = Table::from_lua(value, lua)?;
        Ok(Read {
            sender: table.raw_get("sender")?,
            body: table.raw_get("body")?,
            wants_receipt: table.raw_get("wants_receipt")?,
            allowed: table.raw_get("allowed")?,
            takes_files: table.raw_get("takes_files")?,
            path: table.raw_get("path")?,
        })
    }
}

impl Request {
    /// A header by its name in Prosody's table: in lower case, with `_` for `-`.
    fn header(&self, name: &str) -> Result<Option<Bytes>> {
        match &self.headers {
            Some(headers) => headers.raw_get(name),
            None => Ok(None),
        }
    }

    /// The headers that a template sees; none if the query names no format. Values are read as UTF-8, whatever their bytes are.
    fn template_headers(&self) -> Headers {
        if self.query.format.is_none() {
            return Headers::default();
        }
        let text = |bytes: Bytes| bytes.to_string_lossy();
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
        let sent = Sent {
            origin: origin.as_deref(),
            site: site.as_deref(),
            host: host.as_deref(),
        };
        Ok(sent.is_foreign(&url.as_bytes()))
    }

    fn identify(&self) -> Result<Identified> {
        let Some(host) = self.host.parts() else {
            return Ok(Identified::Nobody);
        };
        let authorization = self.header("authorization")?;
        let authorization = bytes(&authorization);
        // Gotify's clients have a header of their own for their token.
        let presented = match self.header("x_gotify_key")? {
            None => Presented::of(authorization.as_deref(), &self.query.tokens),
            Some(key) => {
                let mut tokens = self.query.tokens.clone();
                tokens.push(Zeroizing::new(key.to_string_lossy()));
                Presented::of(authorization.as_deref(), &tokens)
            }
        };
        Ok(Identified::of(&host, presented, self.client))
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
        let path = bytes(&read.path);
        let posted = Posted {
            sender: &read.sender.to_string_lossy(),
            path: path.as_deref().unwrap_or(&self.path),
            query: self.query.clone(),
            headers: self.template_headers(),
            content_type: content_type.as_deref(),
            content_encoding: content_encoding.as_deref(),
            content_disposition: content_disposition.as_deref(),
            body: &read.body.as_bytes(),
            wants_receipt: read.wants_receipt,
            allowed: read.allowed.as_ref().map(|allowed| Rc::clone(&allowed.0)),
            takes_files: read.takes_files,
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

    fn seen_headers(&self) -> Option<String> {
        let name = self.query.format.as_ref()?;
        let host = self.host.parts()?;
        let templates = host.composer.templates();
        Some(templates.seen_headers(name, &self.template_headers()))
    }

    fn refusal(&self, problem: &Problem, for_later: bool) -> Result<Answer> {
        let id = (!for_later).then_some(self.id.as_str());
        let headers = [self.header("accept")?, self.header("content_type")?];
        let [accept, content_type] = headers.each_ref().map(bytes);
        let asked = Asked {
            accept: accept.as_deref(),
            content_type: content_type.as_deref(),
            id,
        };
        Ok(answer::refusal(problem, asked))
    }
}

fn unloaded() -> Problem {
    Problem::unavailable("the module was unloaded meanwhile; try again")
}

impl UserData for Request {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // query() → the format that it names, or nil; all that it says of the message, as a text
        methods.add_method("query", |_, this, ()| {
            Ok((this.query.format.clone(), this.query.meaning()))
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
        // is_foreign(url) → whether a page of another site makes a browser send the request; `url` is one of this server
        methods.add_method("is_foreign", |_, this, url: Bytes| this.is_foreign(&url));
        // identify() → kind, value; see `Identified`
        methods.add_method("identify", |_, this, ()| this.identify());
        // refuse_token() → nil, and it counts as a wrong token; or the seconds to wait if too many were wrong
        methods.add_method("refuse_token", |_, this, ()| {
            let refuse = |parts: Rc<Parts>| {
                let mut passwords = parts.passwords.borrow_mut();
                passwords.refuse_token(this.client, Instant::now())
            };
            Ok(this.host.parts().and_then(refuse))
        });
        // refuse() → nil, and it counts as a refused request; or, if there were too many, the seconds to hold back the answer,
        // after which the connection is closed
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
        // seen_headers() → the headers that the template of its format reads, a line each; or nil without a format
        methods.add_method("seen_headers", |_, this, ()| Ok(this.seen_headers()));
        // read { sender, body, wants_receipt, allowed, takes_files, path } → see `LuaBatch`; or nil and a problem
        methods.add_method("read", |lua, this, read: Read| match this.read(&read)? {
            Ok(batch) => batch.into_lua_multi(lua),
            Err(problem) => (Value::Nil, problem).into_lua_multi(lua),
        });
        // report() → see `LuaReport`
        methods.add_method("report", |_, this, ()| {
            let (accept, content_type) = (this.header("accept")?, this.header("content_type")?);
            Ok(LuaReport::new(accept, content_type, this.id.clone()))
        });
        // refusal(problem, for_later) → status, media type, body. A refusal that is kept for a later request has no request id.
        methods.add_method(
            "refusal",
            |_, this, (problem, for_later): (Problem, Option<bool>)| {
                this.refusal(&problem, for_later.unwrap_or_default())
            },
        );
        // release(): the request has its answer, and its headers are not needed any more
        methods.add_method_mut("release", |_, this, ()| {
            this.headers = None;
            Ok(())
        });
    }
}
