//! Native half of mod_post_msg: it knows the HTTP request and the message. The Lua half, in
//! `lua/`, knows Prosody.
//!
//! The way of a request, and the module that takes each step:
//!
//! | from | to | module |
//! |---|---|---|
//! | the Authorization header | credentials | [`authorization`] |
//! | a password | whether it is right | [`verifier`], on the threads of [`worker`] |
//! | Content-Type, charset | what the body is, and its text | [`media_type`] |
//! | Content-Encoding | the body as it was before | [`content_coding`] |
//! | a body | drafts: what the client wrote | [`payload`], with a file for each format |
//! | a draft | content, in which no value is bad | [`message`], [`xhtml`] |
//! | a recipient as written | an address | [`address`] |
//! | content and address | a message, and its stanza | [`message`], [`stanza`] |
//! | the Prefer header | how long to wait | [`prefer`] |
//! | a problem, outcomes | the answer | [`problem`], [`answer`] |
//!
//! This file is all that Lua can call. Of the others, only [`stanza`] knows that there is Lua.

pub mod address;
pub mod answer;
pub mod authorization;
pub mod content_coding;
pub mod media_type;
pub mod message;
pub mod payload;
pub mod prefer;
pub mod problem;
pub mod stanza;
pub mod verifier;
pub mod worker;
pub mod xhtml;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mlua::{
    FromLua, Function, IntoLua, IntoLuaMulti, Lua, MultiValue, Result, Table, UserData,
    UserDataMethods, Value,
};

use sha2::{Digest as _, Sha256};

use address::{Address, Server};
use answer::{Answer, Report};
use authorization::{Credentials, Secret};
use message::{Content, Kind, Message};
use payload::{Limits, Payload, Reader, Unaddressed};
use problem::{Place, Problem};
use verifier::{Hash, Recall, ScramCredentials, Tag, Verifier};
use worker::{Ticket, Worker};

type Bytes = mlua::String;

/// What `luaopen_post_msg` returns: `media_types`, `new` and the functions that need no host.
#[mlua::lua_module(name = "post_msg", skip_memory_check)]
fn post_msg(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    library.set("media_types", media_type::SUPPORTED)?;
    let new = |lua: &Lua, settings: Table| Instance::open(lua, &settings);
    library.set("new", lua.create_function(new)?)?;
    // wants_json(accept) → boolean
    let wants_json = |_: &Lua, accept: Bytes| Ok(answer::wants_json(&accept.as_bytes()));
    library.set("wants_json", lua.create_function(wants_json)?)?;
    // refusal(problem, accept, content_type) → status, media type, body
    let refusal =
        |_: &Lua, (problem, accept, content_type): (Problem, Option<Bytes>, Option<Bytes>)| {
            Ok(with_bytes(&accept, |accept| {
                with_bytes(&content_type, |content_type| {
                    answer::refusal(&problem, accept, content_type)
                })
            }))
        };
    library.set("refusal", lua.create_function(refusal)?)?;
    // prefers_wait(prefer) → seconds, or nil
    let prefers_wait = |_: &Lua, prefer: Bytes| Ok(prefer::wait(&prefer.as_bytes()));
    library.set("prefers_wait", lua.create_function(prefers_wait)?)?;
    // digest() → takes bytes, and tells their hash
    let digest = |_: &Lua, ()| Ok(Digest(Sha256::new()));
    library.set("digest", lua.create_function(digest)?)?;
    // report(json) → collects outcomes
    library.set(
        "report",
        lua.create_function(|_, json: bool| Ok(Outcomes(Some(Report::new(json)))))?,
    )?;
    Ok(library)
}

fn with_bytes<T>(bytes: &Option<Bytes>, f: impl FnOnce(Option<&[u8]>) -> T) -> T {
    match bytes {
        Some(bytes) => f(Some(&bytes.as_bytes())),
        None => f(None),
    }
}

/// As many passwords wait to be derived at most, and as many large bodies to be read.
const DERIVING_AT_MOST: usize = 64;
const READING_AT_MOST: usize = 64;

/// How long a slice of a batch may hold the event loop.
const SLICE: Duration = Duration::from_micros(500);

/// The module on one VirtualHost.
struct Instance {
    server: LuaServer,
    limits: Limits,
    /// The path under which the module is reached, without a slash at its end.
    base: String,
    stanza_metatable: Table,
    verifier: RefCell<Verifier>,
    /// Derives passwords.
    deriving: RefCell<Worker>,
    /// Reads large bodies.
    reading: RefCell<Worker>,
    /// The passwords that are being derived now, each with what the backend holds.
    under_way: RefCell<HashMap<(Tag, Option<Tag>), Derivation>>,
    /// Microseconds that a derivation takes, as those before did; 0 before the first.
    derivation_time: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Derivation {
    ticket: Ticket,
    right: Arc<OnceLock<bool>>,
}

impl Instance {
    /// `new(settings)`: `settings` has `host`, `base`, the limits, `verify_threads`, `auth_failures`,
    /// `stanza_metatable`, and the functions `prep`, `serves` and `has_rooms`.
    fn open(lua: &Lua, settings: &Table) -> Result<Table> {
        let verifier = Verifier::new(settings.get("auth_failures")?);
        let instance = Rc::new(Instance {
            server: LuaServer {
                host: settings.get("host")?,
                prep: settings.get("prep")?,
                serves: settings.get("serves")?,
                has_rooms: settings.get("has_rooms")?,
                normal: RefCell::default(),
            },
            limits: Limits {
                size: settings.get("size_limit")?,
                recipients: settings.get("recipient_limit")?,
                batch: settings.get("batch_limit")?,
                body: settings.get("body_limit")?,
            },
            base: settings.get("base")?,
            stanza_metatable: settings.get("stanza_metatable")?,
            verifier: RefCell::new(verifier.map_err(mlua::Error::external)?),
            deriving: RefCell::new(Worker::new(
                settings.get("verify_threads")?,
                DERIVING_AT_MOST,
            )?),
            reading: RefCell::new(Worker::new(1, READING_AT_MOST)?),
            under_way: RefCell::default(),
            derivation_time: Arc::default(),
        });

        let functions = lua.create_table()?;
        let i = Rc::clone(&instance);
        let compose = lua.create_function(move |lua, args| i.compose(lua, args))?;
        functions.set("compose", compose)?;
        let i = Rc::clone(&instance);
        let identify = lua.create_function(move |_, args| Ok(i.identify(args)))?;
        functions.set("identify", identify)?;
        // forget(account): its password, or the account itself, has changed
        let i = Rc::clone(&instance);
        let forget = move |_: &Lua, account: String| {
            i.verifier.borrow_mut().forget(&account);
            Ok(())
        };
        functions.set("forget", lua.create_function(forget)?)?;
        // wake_fds() → two file descriptors, readable when work has ended
        let i = Rc::clone(&instance);
        let wake_fds =
            move |_: &Lua, ()| Ok((i.deriving.borrow().wake_fd(), i.reading.borrow().wake_fd()));
        functions.set("wake_fds", lua.create_function(wake_fds)?)?;
        // tick() → a wake_fd becomes readable
        let i = Rc::clone(&instance);
        let tick = move |_: &Lua, ()| {
            i.reading.borrow().tick();
            Ok(())
        };
        functions.set("tick", lua.create_function(tick)?)?;
        // ended() → the tickets of work that has ended
        let i = instance;
        let ended = move |_: &Lua, ()| {
            let mut tickets = i.deriving.borrow_mut().ended();
            tickets.append(&mut i.reading.borrow_mut().ended());
            i.under_way
                .borrow_mut()
                .retain(|_, derivation| !tickets.contains(&derivation.ticket));
            Ok(tickets)
        };
        functions.set("ended", lua.create_function(ended)?)?;
        Ok(functions)
    }

    /// `compose(from, path, content_type, content_encoding, body, receipt)` → the stanza where
    /// the request makes one; otherwise `nil` and a problem, or `nil`, `nil` and a [`Batch`].
    ///
    /// `from` is the sender's address, `path` the raw path of the request.
    fn compose(self: &Rc<Instance>, lua: &Lua, request: Request) -> Result<MultiValue> {
        match self.read(lua, request) {
            Ok(composed) => composed,
            Err(problem) => (Value::Nil, problem).into_lua_multi(lua),
        }
    }

    fn read(
        self: &Rc<Instance>,
        lua: &Lua,
        (from, path, content_type, content_encoding, body, receipt): Request,
    ) -> std::result::Result<Result<MultiValue>, Problem> {
        #[cfg(feature = "deliberate-panic")]
        if content_type
            .as_ref()
            .is_some_and(|t| t.as_bytes() == *b"application/x-panic")
        {
            panic!("on purpose");
        }
        let reader = with_bytes(&content_type, |content_type| {
            with_bytes(&content_encoding, |coding| {
                Reader::new(content_type, coding)
            })
        })?;
        let mut batch = Batch {
            instance: Rc::clone(self),
            from,
            in_path: address::in_path(&path.as_bytes(), &self.base),
            reading: None,
            unresolved: Vec::new().into_iter(),
            resolved: Vec::new(),
            many: false,
            total: 0,
            next: (0, 0),
        };
        if reader.is_slow(&body.as_bytes()) {
            let body = body.as_bytes().to_vec();
            let limits = self.limits;
            let read = Arc::new(OnceLock::new());
            let result = Arc::clone(&read);
            let submitted = self.reading.borrow_mut().submit(0, move || {
                let _ = result.set(reader.read(&body, receipt, &limits));
            });
            let Ok(ticket) = submitted else {
                return Err(Problem::new(
                    503,
                    "too many large requests at once; try again in a moment",
                ));
            };
            batch.reading = Some((ticket, read));
            return Ok((Value::Nil, Value::Nil, batch).into_lua_multi(lua));
        }
        let payload = batch.begin(reader.read(&body.as_bytes(), receipt, &self.limits))?;
        if !payload.many && payload.messages.len() == 1 {
            for Unaddressed { to, content } in &payload.messages {
                let addresses = batch.addresses(to)?;
                if let [to] = addresses.as_slice() {
                    let message = self.message(&batch.from, to, content)?;
                    return Ok(message
                        .element()
                        .to_lua(lua, &self.stanza_metatable, Some(&body))
                        .and_then(|stanza| stanza.into_lua_multi(lua)));
                }
            }
        }
        batch.unresolved = payload.messages.into_iter();
        Ok((Value::Nil, Value::Nil, batch).into_lua_multi(lua))
    }

    fn message<'a>(
        &self,
        from: &'a str,
        to: &'a Address,
        content: &'a Content,
    ) -> std::result::Result<Message<'a>, Problem> {
        Message::new(from, to, content, &self.server, self.limits.size)
    }

    /// `identify(authorization, client)` → the sender's address, where its password is
    /// remembered; an [`Attempt`], where there are credentials to be looked at; or `nil`.
    ///
    /// `client` is the client's network address.
    fn identify(self: &Rc<Instance>, (authorization, client): (Bytes, String)) -> Identified {
        let Some(credentials) = Credentials::parse(&authorization.as_bytes()) else {
            return Identified::Nobody;
        };
        let (address, password) = match credentials {
            Credentials::Bearer { token } => return Identified::Token(token),
            Credentials::Basic { address, password } => (address, password),
        };
        let Some(sender) = Address::of_sender(&address, &self.server) else {
            return Identified::Nobody;
        };
        let verifier = self.verifier.borrow();
        let tag = verifier.password(sender.bare(), &password);
        match verifier.recall(sender.bare(), tag, Instant::now()) {
            Recall::Fresh => Identified::Sender(sender),
            recall => Identified::Attempt(Attempt {
                instance: Rc::clone(self),
                pair: verifier.pair(&client, sender.bare()),
                mark: verifier.mark(),
                stale: recall == Recall::Stale,
                sender,
                tag,
                password,
                backend: None,
                derivation: None,
                counted: false,
            }),
        }
    }
}

type Request = (String, Bytes, Option<Bytes>, Option<Bytes>, Bytes, bool);

enum Identified {
    Nobody,
    Sender(Address),
    Attempt(Attempt),
    Token(Secret),
}

/// The address; an attempt; `nil`, `nil` and a token; or nothing.
impl IntoLuaMulti for Identified {
    fn into_lua_multi(self, lua: &Lua) -> Result<MultiValue> {
        match self {
            Identified::Nobody => Ok(MultiValue::new()),
            Identified::Sender(sender) => sender.as_str().into_lua_multi(lua),
            Identified::Attempt(attempt) => (Value::Nil, attempt).into_lua_multi(lua),
            Identified::Token(token) => {
                (Value::Nil, Value::Nil, token.expose()).into_lua_multi(lua)
            }
        }
    }
}

/// A password that is not remembered, on its way to be verified.
struct Attempt {
    instance: Rc<Instance>,
    sender: Address,
    password: Secret,
    tag: Tag,
    /// The client's address with this account.
    pair: Tag,
    mark: u64,
    /// It is remembered, but the backend may hold something else by now.
    stale: bool,
    backend: Option<Tag>,
    derivation: Option<Derivation>,
    counted: bool,
}

impl UserData for Attempt {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // sender() → address, localpart, domain, bare address
        methods.add_method("sender", |_, attempt, ()| {
            let parts = attempt.sender.parts();
            Ok((
                attempt.sender.as_str().to_owned(),
                parts.localpart.map(str::to_owned),
                parts.domain.to_owned(),
                attempt.sender.bare().to_owned(),
            ))
        });
        // password() → as the client wrote it
        methods.add_method("password", |lua, attempt, ()| {
            lua.create_string(attempt.password.expose())
        });
        // is_remembered() → whether it was right, when the backend was last looked at
        methods.add_method("is_remembered", |_, attempt, ()| Ok(attempt.stale));
        // holds(…) → whether the password is remembered, and the backend still holds what it held
        methods.add_method_mut("holds", |_, attempt, held: mlua::Variadic<Bytes>| {
            let held: Vec<_> = held.iter().map(|part| part.as_bytes()).collect();
            let held: Vec<&[u8]> = held.iter().map(|part| &**part).collect();
            let mut verifier = attempt.instance.verifier.borrow_mut();
            let backend = verifier.backend(&held);
            attempt.backend = Some(backend);
            let account = attempt.sender.bare();
            Ok(attempt.stale && verifier.confirm(account, attempt.tag, backend, Instant::now()))
        });
        // wait() → seconds, where too many attempts have failed
        methods.add_method("wait", |_, attempt, ()| {
            let under_way = attempt.instance.under_way.borrow();
            if under_way.keys().any(|(tag, _)| *tag == attempt.tag) {
                return Ok(None);
            }
            Ok(attempt
                .instance
                .verifier
                .borrow_mut()
                .failures()
                .wait(attempt.pair, Instant::now()))
        });
        // derive(prepared password, hash, stored key, salt, iterations) → ticket; or `nil` and the
        // seconds to wait before it is wrong, where there is no stored key; or nothing, if busy.
        methods.add_method_mut("derive", |_, attempt, credentials: Derive| {
            Ok(attempt.derive(credentials))
        });
        // derived() → whether the password is right, once the ticket has ended; nil if it was given up
        methods.add_method("derived", |_, attempt, ()| {
            let derivation = attempt.derivation.as_ref();
            Ok(derivation.and_then(|derivation| derivation.right.get().copied()))
        });
        // count(): as a failed attempt, once, unless it turns out right or is given up
        methods.add_method_mut("count", |_, attempt, ()| {
            attempt.count();
            Ok(())
        });
        // accept(recheck): the password is right, and needs no other look for so many seconds
        methods.add_method_mut("accept", |_, attempt, recheck: f64| {
            let mut verifier = attempt.instance.verifier.borrow_mut();
            if attempt.counted {
                verifier.failures().take_back(attempt.pair);
            }
            let fresh_for = Duration::try_from_secs_f64(recheck).unwrap_or_default();
            let (account, now) = (attempt.sender.bare(), Instant::now());
            verifier.remember(
                account,
                attempt.tag,
                attempt.backend,
                attempt.mark,
                fresh_for,
                now,
            );
            Ok(())
        });
        // give_up(): nobody knows
        methods.add_method("give_up", |_, attempt, ()| {
            if attempt.counted {
                let mut verifier = attempt.instance.verifier.borrow_mut();
                verifier.failures().take_back(attempt.pair);
            }
            Ok(())
        });
    }
}

type Derive = (Bytes, String, Option<Bytes>, Option<Bytes>, u32);

impl Attempt {
    fn count(&mut self) {
        if !self.counted {
            self.counted = true;
            self.instance
                .verifier
                .borrow_mut()
                .failures()
                .add(self.pair, Instant::now());
        }
    }

    fn derive(&mut self, (prepared, hash, stored_key, salt, iterations): Derive) -> Derived {
        // What the backend holds may have changed since the same password was tried.
        let key = (self.tag, self.backend);
        let mut under_way = self.instance.under_way.borrow_mut();
        if let Some(derivation) = under_way.get(&key) {
            self.derivation = Some(derivation.clone());
            return Derived::Ticket(derivation.ticket);
        }
        let hash = if hash == "SHA-256" {
            Hash::Sha256
        } else {
            Hash::Sha1
        };
        let time = &self.instance.derivation_time;
        let usual = Duration::from_micros(time.load(Ordering::Relaxed));
        let credentials = match (stored_key, salt) {
            (Some(stored_key), Some(salt)) => ScramCredentials {
                hash,
                stored_key: stored_key.as_bytes().to_vec(),
                salt: salt.as_bytes().to_vec(),
                iterations,
            },
            // There is nothing to derive for an account that does not exist; it only takes as long.
            _ if !usual.is_zero() => {
                let waiting = self.instance.deriving.borrow().waiting();
                let turns = u32::try_from(waiting + 1).unwrap_or(u32::MAX);
                drop(under_way);
                self.count();
                return Derived::Pause(usual.saturating_mul(turns));
            }
            _ => ScramCredentials::nobody(hash, iterations),
        };
        let prepared = prepared.as_bytes();
        let prepared = Secret::new(&String::from_utf8_lossy(&prepared));
        let failures =
            |verifier: &mut Verifier| verifier.failures().count(self.pair, Instant::now());
        let rank = failures(&mut self.instance.verifier.borrow_mut());
        let right = Arc::new(OnceLock::new());
        let (result, time) = (Arc::clone(&right), Arc::clone(time));
        let ticket = self.instance.deriving.borrow_mut().submit(rank, move || {
            let began = Instant::now();
            let right = credentials.verify(&prepared);
            let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            time.store(took.max(1), Ordering::Relaxed);
            let _ = result.set(right);
        });
        let Ok(ticket) = ticket else {
            return Derived::Busy;
        };
        let derivation = Derivation { ticket, right };
        under_way.insert(key, derivation.clone());
        self.derivation = Some(derivation);
        drop(under_way);
        self.count();
        Derived::Ticket(ticket)
    }
}

enum Derived {
    Ticket(Ticket),
    Pause(Duration),
    Busy,
}

/// The ticket; `nil` and seconds; or nothing.
impl IntoLuaMulti for Derived {
    fn into_lua_multi(self, lua: &Lua) -> Result<MultiValue> {
        match self {
            Derived::Ticket(ticket) => ticket.into_lua_multi(lua),
            Derived::Pause(pause) => (Value::Nil, pause.as_secs_f64()).into_lua_multi(lua),
            Derived::Busy => Ok(MultiValue::new()),
        }
    }
}

type Read = Arc<OnceLock<std::result::Result<Payload, Problem>>>;

/// The messages of a request that makes more than one, or takes time to read: read, then all
/// resolved, then handed out one by one, in slices that leave the event loop free.
struct Batch {
    instance: Rc<Instance>,
    from: String,
    /// The recipient that the path names.
    in_path: std::result::Result<Option<String>, Problem>,
    reading: Option<(Ticket, Read)>,
    unresolved: std::vec::IntoIter<Unaddressed>,
    /// Each recipient with the type that the message to it has.
    resolved: Vec<(Vec<(Address, Kind)>, Content)>,
    many: bool,
    /// Messages × recipients so far.
    total: usize,
    /// The message and the recipient that come next.
    next: (usize, usize),
}

impl Batch {
    /// Takes what was read. A path that cannot be read (400) is told before a field that is
    /// wrong (422), and behind everything else.
    fn begin(
        &mut self,
        payload: std::result::Result<Payload, Problem>,
    ) -> std::result::Result<Payload, Problem> {
        match (payload, &self.in_path) {
            (Err(problem), Err(path)) if problem.status == 422 => Err(path.clone()),
            (Ok(_), Err(path)) => Err(path.clone()),
            (payload, _) => {
                let payload = payload?;
                self.many = payload.many;
                Ok(payload)
            }
        }
    }

    fn addresses(&self, to: &Option<Vec<String>>) -> std::result::Result<Vec<Address>, Problem> {
        let server = &self.instance.server;
        let limit = self.instance.limits.recipients;
        match to {
            Some(to) => message::recipients(to.iter().map(String::as_str), server, limit),
            None => {
                let in_path = self.in_path.as_ref().ok().and_then(Option::as_deref);
                message::recipients(in_path, server, limit)
            }
        }
    }

    /// Resolves recipients for as long as a slice lasts; says whether all are.
    fn resolve(&mut self) -> std::result::Result<bool, Problem> {
        if let Some((_, read)) = self.reading.take() {
            let read = Arc::into_inner(read).and_then(OnceLock::into_inner);
            let read = read.unwrap_or_else(|| {
                Err(Problem::new(
                    503,
                    "the request could not be read in time; try again",
                ))
            });
            self.unresolved = self.begin(read)?.messages.into_iter();
        }
        let end = Instant::now() + SLICE;
        while let Some(Unaddressed { to, content }) = self.unresolved.next() {
            let typed = |to: Address| {
                let message = self.instance.message(&self.from, &to, &content)?;
                let kind = message.kind();
                Ok((to, kind))
            };
            let addresses: Vec<_> = self
                .addresses(&to)
                .and_then(|addresses| addresses.into_iter().map(typed).collect())
                .map_err(|problem| match self.many {
                    true => problem.of_message(self.resolved.len()),
                    false => problem,
                })?;
            self.total += addresses.len();
            if self.many && self.total > self.instance.limits.batch {
                return Err(payload::too_many(self.instance.limits.batch));
            }
            self.resolved.push((addresses, content));
            if Instant::now() >= end {
                return Ok(self.unresolved.len() == 0);
            }
        }
        Ok(true)
    }

    /// The next stanza.
    fn next(&mut self, lua: &Lua) -> Result<Option<Table>> {
        while let Some((addresses, content)) = self.resolved.get(self.next.0) {
            if let Some((to, kind)) = addresses.get(self.next.1) {
                self.next.1 += 1;
                return Message::again(&self.from, to, *kind, content)
                    .element()
                    .to_lua(lua, &self.instance.stanza_metatable, None)
                    .map(Some);
            }
            self.next = (self.next.0 + 1, 0);
        }
        Ok(None)
    }
}

impl UserData for Batch {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // ticket() → what to wait for before anything else, or nil
        methods.add_method("ticket", |_, batch, ()| {
            Ok(batch.reading.as_ref().map(|(ticket, _)| *ticket))
        });
        // resolve() → whether all recipients are resolved; or nil and a problem
        methods.add_method_mut("resolve", |lua, batch, ()| match batch.resolve() {
            Ok(done) => done.into_lua_multi(lua),
            Err(problem) => (Value::Nil, problem).into_lua_multi(lua),
        });
        // next() → the next stanza, or nil
        methods.add_method_mut("next", |lua, batch, ()| batch.next(lua));
        // many() → whether the answer is an array, even for one message
        methods.add_method("many", |_, batch, ()| Ok(batch.many || batch.total > 1));
    }
}

/// The SHA-256 of bytes, taken in pieces that leave the event loop free.
struct Digest(Sha256);

impl UserData for Digest {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // add(bytes, from) → where to go on, or nil at the end; `from` counts from 0
        methods.add_method_mut("add", |_, digest, (bytes, from): (Bytes, usize)| {
            const PIECE: usize = 128 * 1024;
            let bytes = bytes.as_bytes();
            let rest = bytes.get(from..).unwrap_or_default();
            let piece = &rest[..rest.len().min(PIECE)];
            digest.0.update(piece);
            Ok((piece.len() < rest.len()).then_some(from + piece.len()))
        });
        // finish() → the hash, in hexadecimal digits
        methods.add_method("finish", |_, digest, ()| {
            Ok(format!("{:x}", digest.0.clone().finalize()))
        });
    }
}

/// Outcomes on their way into an answer.
struct Outcomes(Option<Report>);

impl UserData for Outcomes {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // add(id, from, to, status or problem)
        type Outcome = (Bytes, Bytes, Bytes, Value);
        methods.add_method_mut("add", |lua, outcomes, (id, from, to, outcome): Outcome| {
            let outcome = match outcome {
                Value::Table(_) => Err(Problem::from_lua(outcome, lua)?),
                status => Ok(u16::from_lua(status, lua)?),
            };
            if let Some(report) = &mut outcomes.0 {
                let (id, from, to) = (
                    id.to_string_lossy(),
                    from.to_string_lossy(),
                    to.to_string_lossy(),
                );
                report.add(&id, &from, &to, outcome);
            }
            Ok(())
        });
        // finish(many, accept, content_type) → status, media type, body
        type Finish = (bool, Option<Bytes>, Option<Bytes>);
        methods.add_method_mut(
            "finish",
            |_, outcomes, (many, accept, content_type): Finish| {
                let report = outcomes.0.take().unwrap_or_else(|| Report::new(false));
                Ok(with_bytes(&accept, |accept| {
                    with_bytes(&content_type, |content_type| {
                        report.finish(many, accept, content_type)
                    })
                }))
            },
        );
    }
}

/// What Prosody knows of addresses.
struct LuaServer {
    host: String,
    prep: Function,
    serves: Function,
    has_rooms: Function,
    /// Normal forms that were asked for before: they never change.
    normal: RefCell<HashMap<String, Option<String>>>,
}

/// As many normal forms are kept at most.
const NORMAL_FORMS: usize = 5_000;

impl Server for LuaServer {
    fn host(&self) -> &str {
        &self.host
    }

    fn normal(&self, address: &str) -> Option<String> {
        if let Some(known) = self.normal.borrow().get(address) {
            return known.clone();
        }
        let normal: Option<String> = self.prep.call(address).unwrap_or_default();
        let mut known = self.normal.borrow_mut();
        if known.len() >= NORMAL_FORMS {
            known.clear();
        }
        known.insert(address.to_owned(), normal.clone());
        normal
    }

    fn serves(&self, domain: &str) -> bool {
        self.serves.call(domain).unwrap_or_default()
    }

    fn has_rooms(&self, domain: &str) -> bool {
        self.has_rooms.call(domain).unwrap_or_default()
    }
}

/// A table with the members of a problem.
impl IntoLua for Problem {
    fn into_lua(self, lua: &Lua) -> Result<Value> {
        let problem = lua.create_table()?;
        problem.set("status", self.status)?;
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
        let mut known = Problem::new(problem.get("status")?, detail.to_string_lossy());
        known.condition = condition.map(|condition| condition.to_string_lossy());
        known.field = problem.get::<Option<String>>("field")?.map(Into::into);
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
