//! The messages of one request: their recipients are resolved, then they are sent one by one.

use std::rc::Rc;
use std::sync::Arc;

use super::body::Extras;
use super::file::File;
use super::reader::{Payload, UnaddressedMessage};
use crate::http::answer::Answer;
use crate::http::memory::{ANSWERS, Share};
use crate::http::problem::{Problem, ProblemKind};
use crate::message::address::Server;
use crate::message::allowed::Allowed;
use crate::message::kind::Kind;
use crate::message::limits::Limits;
use crate::message::{Message, Recipient, Recipients};

/// The maximum number of bytes of ids and addresses in the answer to a request.
const LONGEST_ANSWER: usize = 16 << 20;

/// The bytes of an answer for each message, without its id and addresses.
const OUTCOME: usize = 64;
/// The memory of an answer with at most so many bytes is not counted.
const SHORT_ANSWER: usize = 32 << 10;

/// The maximum number of bytes of stanzas from one request: the server keeps each stanza until it is written to the recipient's
/// connection or to its storage. This is enough for three of the largest messages with the most recipients, and for
/// every body with one recipient.
const MOST_SENT: usize = 64 << 20;

fn answer_too_large() -> Problem {
    let detail = format!(
        "the answer would repeat more than {LONGEST_ANSWER} bytes of ids and addresses; send fewer messages in one request"
    );
    Problem::too_large(detail)
}

fn too_much_to_send(limit: usize) -> Problem {
    Problem::too_large(format!(
        "the messages, one for each recipient, have more than {limit} bytes together; send them in several requests"
    ))
}

/// A list of recipients, as written and resolved. Messages with the same list share both.
struct List {
    spellings: Arc<[String]>,
    recipients: Arc<[Recipient]>,
}

/// A list of recipients that is being resolved.
struct Resolution {
    spellings: Arc<[String]>,
    /// The index of the next recipient in `spellings`.
    next: usize,
    recipients: Recipients,
    /// The index of the list in [`Batch::lists`].
    list: usize,
}

/// The messages of a request. First all recipients are resolved, then the messages are handed out one by one.
///
/// Only the server can normalise an address, and asking it takes time. So a caller resolves in slices, between which
/// the event loop is free.
pub struct Batch {
    from: String,
    /// The recipients in the path and the query of the URL.
    in_url: Result<Arc<[String]>, Problem>,
    limits: Limits,
    /// Absent if the sender may send to everybody.
    allowed: Option<Rc<Allowed>>,
    messages: Vec<UnaddressedMessage>,
    /// The recipients of each message that is resolved.
    recipients: Vec<Arc<[Recipient]>>,
    resolving: Option<Resolution>,
    /// The list of the URL, and the list of the last message with its own list.
    lists: [Option<List>; 2],
    /// The content of the body besides its messages.
    extras: Extras,
    /// Messages × recipients that are resolved.
    total: usize,
    /// The bytes of ids and addresses in the answer, for the resolved messages.
    answer_len: usize,
    /// The bytes of the stanzas of the resolved messages.
    sent_len: usize,
    /// Whether a resolved message goes to a room.
    to_rooms: bool,
    /// The indices of the next message and recipient to hand out.
    next: (usize, usize),
}

impl Batch {
    /// A batch without messages, until [`Batch::take`]. `from` is the sender's address, `in_url` the recipients in the
    /// URL. `allowed` limits the recipients.
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
            extras: Extras::default(),
            total: 0,
            answer_len: 0,
            sent_len: 0,
            to_rooms: false,
            next: (0, 0),
        }
    }

    /// Takes the content of the body.
    ///
    /// # Errors
    /// The problem of the body or of the path. The problem of the path is reported before a 422 of the body, and after
    /// its other problems.
    pub fn take(&mut self, payload: Result<Payload, Problem>) -> Result<(), Problem> {
        let payload = match (payload, &self.in_url) {
            (Err(problem), Err(path)) if problem.kind > ProblemKind::BadRequest => {
                return Err(path.clone());
            }
            (Ok(_), Err(path)) => return Err(path.clone()),
            (payload, _) => payload?,
        };
        self.extras = payload.extras;
        self.recipients = Vec::with_capacity(payload.messages.len());
        self.messages = payload.messages;
        Ok(())
    }

    /// Resolves one recipient after another while `goes_on()` is true. Returns whether all are resolved.
    ///
    /// # Errors
    /// 403 for a recipient that is not allowed; 422 for an invalid recipient, and for too many; 413 if the addresses
    /// make a message too large.
    pub fn resolve(
        &mut self,
        server: &impl Server,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<bool, Problem> {
        while self.unresolved() > 0 {
            self.resolve_one(server)
                .map_err(|problem| match self.extras.many {
                    true => problem.of_message(self.recipients.len()),
                    false => problem,
                })?;
            if self.extras.many && self.total > self.limits.batch {
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

    /// Resolves the next recipient. After the last recipient of a message, it completes the message.
    fn resolve_one(&mut self, server: &impl Server) -> Result<(), Problem> {
        let mut resolving = match self.resolving.take() {
            Some(resolving) => resolving,
            None => {
                let Some(message) = self.messages.get_mut(self.recipients.len()) else {
                    return Ok(());
                };
                let own_list = message.to.take();
                let list = usize::from(own_list.is_some());
                let spellings = own_list
                    .unwrap_or_else(|| self.in_url.as_ref().map(Arc::clone).unwrap_or_default());
                if let Some(known) = &self.lists[list] {
                    if Arc::ptr_eq(&known.spellings, &spellings) {
                        return self.address(Arc::clone(&known.recipients));
                    }
                }
                Resolution {
                    spellings,
                    next: 0,
                    recipients: Recipients::default(),
                    list,
                }
            }
        };
        if let Some(spellings) = resolving.spellings.get(resolving.next) {
            let recipients = &mut resolving.recipients;
            recipients.add(spellings, server, &self.limits)?;
            resolving.next += 1;
        }
        if resolving.next < resolving.spellings.len() {
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
            spellings: resolving.spellings,
            recipients: Arc::clone(&recipients),
        });
        self.address(recipients)
    }

    /// Gives the next message its recipients.
    fn address(&mut self, recipients: Arc<[Recipient]>) -> Result<(), Problem> {
        let content = &self.messages[self.recipients.len()].content;
        let other_bytes = self.from.len() + content.id().len();
        for to in recipients.iter() {
            let message = Message::new(&self.from, to, content, &self.limits)?;
            self.to_rooms |= message.kind() == Kind::Groupchat;
            self.answer_len += to.address().as_str().len() + other_bytes;
            self.sent_len += message.serialised_len();
        }
        self.total += recipients.len();
        self.recipients.push(recipients);
        Ok(())
    }

    /// Takes the memory that the answer needs until its client has read it, once all recipients are resolved.
    ///
    /// # Errors
    /// 503 if too many long answers are unread.
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
        &self.extras.files
    }

    /// Adds the link to its file to the message at this index, once all recipients are resolved. Returns the id of the message.
    ///
    /// # Errors
    /// 502 if `url` is not a URL.
    pub fn link(&mut self, index: usize, url: &str) -> Result<&str, Problem> {
        match self.messages.get_mut(index) {
            Some(message) => {
                message.content.link(url)?;
                Ok(message.content.id())
            }
            None => Ok(""),
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
                    return Some(Message::of_checked(&self.from, to, content));
                }
                None => self.next = (index + 1, 0),
            }
        }
    }

    /// Whether it is exactly one message whose answer is not an array.
    pub fn is_single(&self) -> bool {
        !self.extras.many
            && self.total == 1
            && self.unresolved() == 0
            && self.extras.files.is_empty()
    }

    /// Whether the answer is an array, even for one message.
    pub fn is_many(&self) -> bool {
        self.extras.many || self.total > 1
    }

    /// The answer that another program expects for success.
    pub fn answer(&self) -> Option<&Answer> {
        self.extras.answer.as_ref()
    }

    /// The number of messages to send, one for each resolved recipient.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Whether a resolved message goes to a room.
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
            std::mem::take(&mut self.extras.files),
        )
    }

    /// The number of messages that are not resolved.
    pub fn unresolved(&self) -> usize {
        self.messages.len() - self.recipients.len()
    }
}

#[cfg(test)]
mod tests;
