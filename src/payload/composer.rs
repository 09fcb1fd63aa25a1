//! A posted request → its composition. A small body is read at once, a large one on a thread.

use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

use super::batch::Batch;
use super::composition::{Composition, Reading};
use super::file::name_in;
use super::foreign;
use super::query_fields::QueryFields;
use super::reader::{Reader, Uploads, nowhere_to_upload};
use super::webhook::{UrlParts, Webhook};
use crate::http::answer::Answer;
use crate::http::memory::{MEMORY, Share};
use crate::http::path;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::message::address::Server;
use crate::message::allowed::Allowed;
use crate::message::field::Field;
use crate::message::limits::Limits;
use crate::template::context::{Headers, Occasion, Posted};
use crate::template::engine::Templates;
use crate::worker::disposal::Disposal;
use crate::worker::turns::Turns;
use crate::worker::{Ticket, Worker};

/// The maximum number of large bodies that wait to be read.
const MOST_READINGS: usize = 64;

/// The maximum number of bytes of a body in which a token is looked for. Anybody can send one.
const MOST_WITH_TOKEN: usize = 8 * 1024;

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
    /// Whether the sender's token names the format, and not the query.
    pub has_format_of_token: bool,
    /// Whether the method is GET.
    pub is_get: bool,
}

impl PostedRequest<'_> {
    /// The only address that the sender may reach.
    fn only_address(&self) -> Option<&str> {
        self.allowed.as_ref()?.only_address()
    }
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
        let mut url = UrlParts::default();
        let mut in_url = self.recipients_in_url(&mut posted, &mut url);
        if let Ok(recipients) = &mut in_url {
            url.has_recipients = !recipients.is_empty();
            if recipients.is_empty() {
                recipients.extend(posted.only_address().map(str::to_owned));
            }
        }
        let fields = QueryFields::of(&mut posted.query, names_recipient)?;
        let reader = self.reader(&mut posted, fields, url)?;
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
    /// format. `url` takes what else the format's template finds in the URL and the headers.
    fn recipients_in_url(
        &self,
        posted: &mut PostedRequest,
        url: &mut UrlParts,
    ) -> Result<Vec<String>, Problem> {
        let mut in_path = path::recipient(posted.path, &self.base);
        if let Some(mut name) = posted.query.format.take() {
            let declared = self.templates.declarations(&name);
            let query = &mut posted.query;
            // The parameters of a program that posts text have addresses with a query of their own.
            if !declared.takes_text {
                query.detach(&declared.parameters, Field::is_name);
            }
            let mut as_posted = Posted {
                is_get: posted.is_get,
                file_name: posted.content_disposition.and_then(name_in),
                ..Posted::default()
            };
            if let Ok(path) = &mut in_path {
                *path = path
                    .take()
                    .and_then(|path| declared.cut(path, &mut query.appended));
                as_posted.recipient.clone_from(path);
                as_posted.appended = query.appended.last().cloned();
                let only = posted.only_address();
                // A topic is a name, and not an address.
                if let (Some(name), Some(only), true) = (path, only, declared.has_topics) {
                    if !name.contains('@') {
                        only.clone_into(name);
                    }
                }
            }
            *url = UrlParts::new(
                &declared,
                as_posted,
                posted.has_format_of_token,
                (&posted.headers, &posted.query, posted.content_type),
            );
            url.has_free_topic = declared.has_topics && posted.only_address().is_some();
            let appended = &posted.query.appended;
            if let Some(other) = self.templates.format_of(&declared, appended) {
                name.clone_from(other);
            }
            posted.query.format = Some(name);
        }
        let query = &mut posted.query;
        let mut in_query = std::mem::take(&mut query.to);
        if query.format.is_some() {
            // With a format, the query adds to the path's recipients.
            in_query.splice(0..0, in_path?);
        } else if in_query.is_empty() {
            in_query.extend(in_path?);
        }
        Ok(in_query)
    }

    /// The template of the program that posts to this path, and the member of its payload that has its token.
    pub fn protocol(&self, path: &[u8]) -> Option<(&'static str, Option<String>)> {
        self.templates.of_path(&self.below_base(path)?)
    }

    /// The text that a program expects from `GET` of a path. With `format`, only its template has one.
    pub fn page(&self, path: &[u8], format: Option<&str>) -> Option<String> {
        let path = self.below_base(path)?;
        self.templates.page(path.trim_end_matches('/'), format)
    }

    fn below_base(&self, path: &[u8]) -> Option<String> {
        path::recipient(path, &self.base).ok()?
    }

    /// The token that a program sends in its body, and the name of its template.
    pub fn token_in_body(
        &self,
        path: &[u8],
        content_type: Option<&[u8]>,
        body: &[u8],
    ) -> Option<(&'static str, Zeroizing<String>)> {
        if body.is_empty() || body.len() > MOST_WITH_TOKEN {
            return None;
        }
        let (name, member) = self.protocol(path)?;
        let token = foreign::member(content_type, body, &member?)?;
        Some((name, token))
    }

    /// The answer to a problem in the form that the program of a template expects.
    pub fn refusal(&self, name: &str, problem: &Problem) -> Option<Answer> {
        let text = self.templates.problem(name, problem)?;
        Some(Answer {
            status: problem.status(),
            ..Answer::expected(&text)
        })
    }

    fn reader(
        &self,
        posted: &mut PostedRequest,
        fields: QueryFields,
        url: UrlParts,
    ) -> Result<Reader, Problem> {
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
        let webhook = Webhook::new(templates, name, headers, query, Occasion::now());
        let webhook = webhook.with_templates(posted.template.take(), fields);
        let webhook = webhook.with_url(url);
        let takes_files = posted.takes_files == Some(true);
        Reader::of_webhook(content_type, content_encoding, webhook, takes_files)
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
