//! A posted request → its composition. A small body is read at once, a large one on a thread.

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use super::batch::Batch;
use super::composition::{Composition, Reading};
use super::file::name_in;
use super::query_fields::QueryFields;
use super::reader::{Reader, Uploads, nowhere_to_upload};
use super::webhook::Webhook;
use crate::http::memory::{MEMORY, Share};
use crate::http::path;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::message::address::Server;
use crate::message::allowed::Allowed;
use crate::message::field::Field;
use crate::message::limits::Limits;
use crate::template::context::{Headers, now};
use crate::template::engine::Templates;
use crate::worker::disposal::Disposal;
use crate::worker::turns::Turns;
use crate::worker::{Ticket, Worker};

/// The maximum number of large bodies that wait to be read.
const MOST_READINGS: usize = 64;

/// A request whose sender is known.
pub struct PostedRequest<'a> {
    /// The sender's address.
    pub sender: &'a str,
    /// The path as it was in the request line.
    pub path: &'a [u8],
    pub query: Query,
    pub content_type: Option<&'a [u8]>,
    pub content_encoding: Option<&'a [u8]>,
    pub content_disposition: Option<&'a [u8]>,
    /// The headers for a template; empty if the query names no format.
    pub headers: Headers,
    pub body: &'a [u8],
    /// Whether the messages ask for receipts.
    pub wants_receipt: bool,
    /// The only recipients that the sender may reach, if they are limited.
    pub allowed: Option<Rc<Allowed>>,
    /// Whether files can be uploaded, if that is known.
    pub takes_files: Option<bool>,
    /// The sender's own template, which takes the place of the one that the query names.
    pub template: Option<String>,
}

/// Composes the messages of the requests to one VirtualHost.
pub struct Composer {
    limits: Limits,
    /// The path under which the module is reached, without a slash at its end.
    base: String,
    templates: Arc<Templates>,
    worker: RefCell<Worker>,
    turns: RefCell<Turns>,
    disposal: Rc<Disposal>,
}

impl Composer {
    /// # Errors
    /// If the system has no free file descriptors.
    pub fn new(
        limits: Limits,
        base: String,
        templates: Arc<Templates>,
    ) -> std::io::Result<Composer> {
        Ok(Composer {
            limits,
            base,
            templates,
            worker: RefCell::new(Worker::new(1, MOST_READINGS)?),
            turns: RefCell::default(),
            disposal: Rc::default(),
        })
    }

    /// The templates of other programs' formats.
    pub fn templates(&self) -> &Templates {
        &self.templates
    }

    /// Reads a request, or begins to read it. The recipient of a single message is resolved at once.
    ///
    /// # Errors
    /// The problem of the headers or of the body; 503 if too many large bodies wait.
    pub fn compose(
        &self,
        mut posted: PostedRequest,
        server: &impl Server,
    ) -> Result<Composition, Problem> {
        let names_recipient = !posted.query.to.is_empty();
        let mut in_url = self.recipients_in_url(&mut posted);
        if let (Ok(recipients), Some(allowed)) = (&mut in_url, &posted.allowed) {
            if recipients.is_empty() {
                recipients.extend(allowed.only_address().map(str::to_owned));
            }
        }
        let fields = QueryFields::of(&mut posted.query, names_recipient)?;
        let reader = self.reader(&mut posted, fields)?;
        if posted.takes_files.is_none() && reader.may_be_file(posted.body) {
            return Err(nowhere_to_upload());
        }
        let mut batch = Batch::new(
            posted.sender.to_owned(),
            in_url,
            self.limits,
            posted.allowed.take(),
        );
        if reader.is_slow(posted.body) {
            let reading = self.read_on_thread(reader, &posted)?;
            return Ok(Composition::of_reading(batch, reading));
        }
        batch.take(reader.read(posted.body, posted.wants_receipt, &self.limits))?;
        if batch.unresolved() == 1 {
            batch.resolve(server, || false)?;
        }
        Ok(Composition::new(batch))
    }

    /// The recipients that the path and the query name. A text that a program appended to the URL is cut off, and may name the
    /// format.
    fn recipients_in_url(&self, posted: &mut PostedRequest) -> Result<Vec<String>, Problem> {
        let query = &mut posted.query;
        let mut in_path = path::recipient(posted.path, &self.base);
        if let Some(mut name) = query.format.take() {
            let appended = self.templates.appended(&name);
            query.detach(&appended.parameters, Field::is_name);
            if let Ok(path) = &mut in_path {
                *path = path
                    .take()
                    .and_then(|path| appended.cut(path, &mut query.appended));
            }
            if let Some(other) = self.templates.format_of(&appended, &query.appended) {
                name.clone_from(other);
            }
            query.format = Some(name);
        }
        let mut in_query = std::mem::take(&mut query.to);
        if query.format.is_some() {
            // With a format, the query adds to the path's recipients.
            in_query.splice(0..0, in_path?);
        } else if in_query.is_empty() {
            in_query.extend(in_path?);
        }
        Ok(in_query)
    }

    fn reader(&self, posted: &mut PostedRequest, fields: QueryFields) -> Result<Reader, Problem> {
        let mut query = std::mem::take(&mut posted.query);
        let name = query.file_name().map(str::to_owned);
        let uploads = Uploads {
            are_possible: posted.takes_files,
            name: name.or_else(|| posted.content_disposition.and_then(name_in)),
        };
        let (content_type, content_encoding) = (posted.content_type, posted.content_encoding);
        let Some(name) = query.format.take() else {
            return Reader::new(content_type, content_encoding, fields, uploads);
        };
        let templates = Arc::clone(&self.templates);
        let headers = std::mem::take(&mut posted.headers);
        let webhook = Webhook::new(templates, name, headers, query, now());
        let webhook = webhook.with_templates(posted.template.take(), fields);
        Reader::of_webhook(content_type, content_encoding, webhook)
    }

    fn read_on_thread(&self, reader: Reader, posted: &PostedRequest) -> Result<Reading, Problem> {
        let account = posted.sender.split('/').next().unwrap_or_default();
        let len = posted.body.len();
        let share = Arc::new(Share::of(&MEMORY, account, len, self.limits.body));
        share.take(len)?;
        let (body, limits, receipt) = (posted.body.to_vec(), self.limits, posted.wants_receipt);
        let payload = Arc::new(OnceLock::new());
        let (result, memory) = (Arc::clone(&payload), Arc::clone(&share));
        let turn = self.turns.borrow_mut().next(account);
        let round = turn.round;
        let submitted = self.worker.borrow_mut().submit(round, move || {
            turn.begin();
            let payload = reader.read_within(&body, receipt, &limits, &memory);
            memory.give_back(body.len());
            let _ = result.set(payload);
        });
        let ticket = submitted.map_err(|_| {
            Problem::unavailable("too many large requests at once; try again in a moment")
        })?;
        self.turns.borrow_mut().take(account, round);
        Ok(Reading {
            ticket,
            payload,
            share,
            disposal: Rc::clone(&self.disposal),
        })
    }

    /// The number of bodies that are read, or wait for it.
    pub fn readings(&self) -> usize {
        self.worker.borrow().unfinished()
    }

    /// The number of values that wait to be freed.
    pub fn disposals(&self) -> usize {
        self.disposal.unfinished()
    }

    /// A file descriptor that becomes readable when a body was read, and at each [`Composer::tick`].
    pub fn wake_fd(&self) -> RawFd {
        self.worker.borrow().wake_fd()
    }

    /// Makes the file descriptor readable.
    pub fn tick(&self) {
        self.worker.borrow().tick();
    }

    /// The tickets of the bodies that were read since the last call.
    pub fn ended(&self) -> Vec<Ticket> {
        self.worker.borrow_mut().ended()
    }
}
