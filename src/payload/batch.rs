//! The messages of one request, from what was read to what is sent.

use std::rc::Rc;
use std::sync::Arc;

use super::file::File;
use super::reader::{Payload, Unaddressed};
use crate::http::answer::Answer;
use crate::http::memory::{ANSWERS, Share};
use crate::http::problem::{Problem, ProblemKind};
use crate::message::address::Server;
use crate::message::allowed::Allowed;
use crate::message::kind::Kind;
use crate::message::limits::Limits;
use crate::message::{Message, Recipient, Recipients};

/// Bytes of ids and addresses that the answer to a request may repeat.
const LONGEST_ANSWER: usize = 16 << 20;

/// Bytes that an answer has for each message beside its id and addresses.
const OUTCOME: usize = 64;
/// Bytes of an answer whose memory is not counted.
const SHORT_ANSWER: usize = 32 << 10;

/// Bytes of stanzas that a request may make: the server keeps each until its recipient's connection, or its storage, takes
/// it. The largest message passes with the most recipients three times; and so does every body with one recipient.
const MOST_SENT: usize = 64 << 20;

fn answer_too_large() -> Problem {
    let detail = format!(
        "the answer would repeat more than {LONGEST_ANSWER} bytes of ids and addresses; send fewer messages in one request"
    );
    Problem::too_large(detail)
}

fn too_much_to_send(most: usize) -> Problem {
    Problem::too_large(format!(
        "the messages, one for each recipient, have more than {most} bytes together; send them in several requests"
    ))
}

/// A list of recipients as the client wrote it, and what it means. Messages that share a list share both.
struct List {
    written: Arc<[String]>,
    recipients: Arc<[Recipient]>,
}

/// A list of recipients that is being resolved.
struct Resolving {
    written: Arc<[String]>,
    /// The place in `written` that comes next.
    next: usize,
    recipients: Recipients,
    /// The place of the list in [`Batch::lists`].
    list: usize,
}

/// The messages of a request: read, then all resolved, then handed out one by one.
///
/// Only the server knows what an address means, and asking it takes time: a caller resolves in
/// slices that leave the event loop free.
pub struct Batch {
    from: String,
    /// The recipients that the URL names, in its path and its query.
    in_url: Result<Arc<[String]>, Problem>,
    limits: Limits,
    /// Where the sender is not free to send to anybody.
    allowed: Option<Rc<Allowed>>,
    messages: Vec<Unaddressed>,
    /// The recipients of each message, so far as they are resolved.
    recipients: Vec<Arc<[Recipient]>>,
    resolving: Option<Resolving>,
    /// The list of the URL, and the list of the last message that has one.
    lists: [Option<List>; 2],
    many: bool,
    answer: Option<Answer>,
    files: Vec<File>,
    /// Messages × recipients so far.
    total: usize,
    /// Bytes of ids and addresses in the answer, so far as they are resolved.
    answer_len: usize,
    /// Bytes of stanzas, so far as they are resolved.
    sent_len: usize,
    /// Whether any message goes to a room.
    to_rooms: bool,
    /// The message and the recipient that come next.
    next: (usize, usize),
}

impl Batch {
    /// What a sender's request will mean, once it is read. `from` is the sender's address, `in_url`
    /// the recipients that the URL names, `allowed` those to whom alone it may go.
    pub fn new(
        from: String,
        in_url: Result<Vec<String>, Problem>,
        limits: Limits,
        allowed: Option<Rc<Allowed>>,
    ) -> Batch {
        Batch {
            from,
            in_url: in_url.map(Into::into),
            limits,
            allowed,
            messages: Vec::new(),
            recipients: Vec::new(),
            resolving: None,
            lists: [None, None],
            many: false,
            answer: None,
            files: Vec::new(),
            total: 0,
            answer_len: 0,
            sent_len: 0,
            to_rooms: false,
            next: (0, 0),
        }
    }

    /// Takes what was read.
    ///
    /// # Errors
    /// The problem of the body, or of the path: a path that cannot be read (400) is told before a
    /// field that is wrong (422), and behind everything else.
    pub fn take(&mut self, payload: Result<Payload, Problem>) -> Result<(), Problem> {
        let payload = match (payload, &self.in_url) {
            (Err(problem), Err(path)) if problem.kind > ProblemKind::BadRequest => {
                return Err(path.clone());
            }
            (Ok(_), Err(path)) => return Err(path.clone()),
            (payload, _) => payload?,
        };
        self.many = payload.many;
        self.answer = payload.answer;
        self.files = payload.files;
        self.recipients = Vec::with_capacity(payload.messages.len());
        self.messages = payload.messages;
        Ok(())
    }

    /// Resolves one recipient after the other while `goes_on()`; says whether all are resolved.
    ///
    /// # Errors
    /// 403 for a recipient that is not allowed, 422, and 413 for a message that its addresses make too
    /// large.
    pub fn resolve(
        &mut self,
        server: &impl Server,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<bool, Problem> {
        while self.unresolved() > 0 {
            self.resolve_one(server)
                .map_err(|problem| match self.many {
                    true => problem.of_message(self.recipients.len()),
                    false => problem,
                })?;
            if self.many && self.total > self.limits.batch {
                return Err(self.limits.too_many_messages());
            }
            if self.answer_len > LONGEST_ANSWER {
                return Err(answer_too_large());
            }
            let most_sent = MOST_SENT.max(2 * self.limits.body);
            if self.sent_len > most_sent {
                return Err(too_much_to_send(most_sent));
            }
            if !goes_on() {
                break;
            }
        }
        Ok(self.unresolved() == 0)
    }

    /// Resolves the next recipient, and behind the last one of a message the message.
    fn resolve_one(&mut self, server: &impl Server) -> Result<(), Problem> {
        let mut resolving = match self.resolving.take() {
            Some(resolving) => resolving,
            None => {
                let Some(message) = self.messages.get_mut(self.recipients.len()) else {
                    return Ok(());
                };
                let own = message.to.take();
                let list = usize::from(own.is_some());
                let written =
                    own.unwrap_or_else(|| self.in_url.as_ref().map(Arc::clone).unwrap_or_default());
                if let Some(known) = &self.lists[list] {
                    if Arc::ptr_eq(&known.written, &written) {
                        return self.address(Arc::clone(&known.recipients));
                    }
                }
                Resolving {
                    written,
                    next: 0,
                    recipients: Recipients::default(),
                    list,
                }
            }
        };
        if let Some(written) = resolving.written.get(resolving.next) {
            let recipients = &mut resolving.recipients;
            recipients.add(written, server, &self.limits)?;
            resolving.next += 1;
        }
        if resolving.next < resolving.written.len() {
            self.resolving = Some(resolving);
            return Ok(());
        }
        let recipients: Arc<[Recipient]> = resolving.recipients.all()?.into();
        if let Some(allowed) = &self.allowed {
            for to in recipients.iter() {
                allowed.check(to.address())?;
            }
        }
        self.lists[resolving.list] = Some(List {
            written: resolving.written,
            recipients: Arc::clone(&recipients),
        });
        self.address(recipients)
    }

    /// Addresses the next message, whose recipients these are.
    fn address(&mut self, recipients: Arc<[Recipient]>) -> Result<(), Problem> {
        let content = &self.messages[self.recipients.len()].content;
        let others = self.from.len() + content.id().len();
        for to in recipients.iter() {
            let message = Message::new(&self.from, to, content, &self.limits)?;
            self.to_rooms |= message.kind() == Kind::Groupchat;
            self.answer_len += to.address().as_str().len() + others;
            self.sent_len += message.serialised_len();
        }
        self.total += recipients.len();
        self.recipients.push(recipients);
        Ok(())
    }

    /// Takes the memory that the answer needs until its client has read it, once all recipients are resolved.
    ///
    /// # Errors
    /// 503 if too many answers to the account, or to others, are unread.
    pub fn answer_memory(&self) -> Result<Option<Share>, Problem> {
        let bytes = self.answer_len + self.total * OUTCOME;
        if bytes <= SHORT_ANSWER {
            return Ok(None);
        }
        let account = self.from.split('/').next().unwrap_or_default();
        let share = Share::of(&ANSWERS, account, bytes, self.limits.body);
        share.take(bytes).map_err(|_| {
            Problem::unavailable(
                "too many long answers are not read yet; read the answers to other requests, or try again in a moment",
            )
        })?;
        Ok(Some(share))
    }

    /// The files that are to be uploaded before anything is sent.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Links the message at this place to its file, once all recipients are resolved.
    ///
    /// # Errors
    /// 502 for what is no URL.
    pub fn link(&mut self, index: usize, url: &str) -> Result<(), Problem> {
        match self.messages.get_mut(index) {
            Some(message) => message.content.link(url),
            None => Ok(()),
        }
    }

    /// The next message.
    pub fn next_message(&mut self) -> Option<Message<'_>> {
        loop {
            let (index, recipient) = self.next;
            match self.recipients.get(index)?.get(recipient) {
                Some(to) => {
                    self.next.1 += 1;
                    let content = &self.messages[index].content;
                    return Some(Message::checked_before(&self.from, to, content));
                }
                None => self.next = (index + 1, 0),
            }
        }
    }

    /// Whether it is exactly one message that is not answered with an array.
    pub fn is_single(&self) -> bool {
        !self.many && self.total == 1 && self.unresolved() == 0 && self.files.is_empty()
    }

    /// Whether the answer is an array, even for one message.
    pub fn is_many(&self) -> bool {
        self.many || self.total > 1
    }

    /// How another program expects to be answered where all is well.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// How many messages it makes, so far as they are resolved: one for each recipient.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Whether any message goes to a room, so far as they are resolved.
    pub fn is_to_rooms(&self) -> bool {
        self.to_rooms
    }

    /// Takes out all messages and files, so that another thread can free them.
    pub fn take_contents(&mut self) -> impl Send + 'static {
        (
            std::mem::take(&mut self.messages),
            std::mem::take(&mut self.recipients),
            self.resolving.take(),
            std::mem::take(&mut self.lists),
            std::mem::take(&mut self.files),
        )
    }

    /// How many messages are not resolved.
    pub fn unresolved(&self) -> usize {
        self.messages.len() - self.recipients.len()
    }
}

#[cfg(test)]
mod tests;
