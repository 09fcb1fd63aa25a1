//! The messages of one request, from what was read to what is sent.

use std::rc::Rc;
use std::sync::Arc;
use std::vec;

use super::file::File;
use super::reader::{Payload, Unaddressed};
use crate::http::answer::Answer;
use crate::http::problem::Problem;
use crate::message::address::{Address, Server};
use crate::message::allowed::Allowed;
use crate::message::content::Content;
use crate::message::kind::Kind;
use crate::message::limits::Limits;
use crate::message::{Message, recipients};

/// The messages of a request: read, then all resolved, then handed out one by one.
///
/// Only the server knows what an address means, and asking it takes time: a caller resolves in
/// slices that leave the event loop free.
pub struct Batch {
    from: String,
    /// The recipients that the URL names, in its path and its query.
    in_url: Result<Vec<String>, Problem>,
    limits: Limits,
    /// Where the sender is not free to send to anybody.
    allowed: Option<Rc<Allowed>>,
    unresolved: vec::IntoIter<Unaddressed>,
    /// Each recipient with the type that the message to it has.
    resolved: Vec<(Vec<(Address, Kind)>, Content)>,
    many: bool,
    answer: Option<Answer>,
    files: Vec<File>,
    /// Messages × recipients so far.
    total: usize,
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
            in_url,
            limits,
            allowed,
            unresolved: Vec::new().into_iter(),
            resolved: Vec::new(),
            many: false,
            answer: None,
            files: Vec::new(),
            total: 0,
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
            (Err(problem), Err(path)) if problem.status == 422 => return Err(path.clone()),
            (Ok(_), Err(path)) => return Err(path.clone()),
            (payload, _) => payload?,
        };
        self.many = payload.many;
        self.answer = payload.answer;
        self.files = payload.files;
        self.unresolved = payload.messages.into_iter();
        Ok(())
    }

    /// Resolves the recipients of one message after the other while `goes_on()`; says whether all
    /// are resolved.
    ///
    /// # Errors
    /// 403 for a recipient that is not allowed, 422, and 413 for a message that its addresses make too
    /// large.
    pub fn resolve(
        &mut self,
        server: &impl Server,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<bool, Problem> {
        while let Some(Unaddressed { to, content }) = self.unresolved.next() {
            let addresses =
                self.addresses(to, &content, server)
                    .map_err(|problem| match self.many {
                        true => problem.of_message(self.resolved.len()),
                        false => problem,
                    })?;
            self.total += addresses.len();
            if self.many && self.total > self.limits.batch {
                return Err(self.limits.too_many_messages());
            }
            self.resolved.push((addresses, content));
            if !goes_on() {
                break;
            }
        }
        Ok(self.unresolved.len() == 0)
    }

    fn addresses(
        &self,
        to: Option<Arc<[String]>>,
        content: &Content,
        server: &impl Server,
    ) -> Result<Vec<(Address, Kind)>, Problem> {
        let addresses = match &to {
            Some(to) => recipients(to.iter().map(String::as_str), server, &self.limits)?,
            None => {
                let in_url = self.in_url.iter().flatten().map(String::as_str);
                recipients(in_url, server, &self.limits)?
            }
        };
        addresses
            .into_iter()
            .map(|to| {
                if let Some(allowed) = &self.allowed {
                    allowed.check(&to)?;
                }
                let message = Message::new(&self.from, &to, content, server, &self.limits)?;
                let kind = message.kind();
                Ok((to, kind))
            })
            .collect()
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
        match self.resolved.get_mut(index) {
            Some((_, content)) => content.link(url),
            None => Ok(()),
        }
    }

    /// The next message.
    pub fn next_message(&mut self) -> Option<Message<'_>> {
        while let Some((addresses, _)) = self.resolved.get(self.next.0) {
            if self.next.1 < addresses.len() {
                break;
            }
            self.next = (self.next.0 + 1, 0);
        }
        let (addresses, content) = self.resolved.get(self.next.0)?;
        let (to, kind) = addresses.get(self.next.1)?;
        self.next.1 += 1;
        Some(Message::again(&self.from, to, *kind, content))
    }

    /// Whether it is exactly one message that is not answered with an array.
    pub fn is_single(&self) -> bool {
        !self.many && self.total == 1 && self.unresolved.len() == 0 && self.files.is_empty()
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

    /// How many messages are not resolved.
    pub fn unresolved(&self) -> usize {
        self.unresolved.len()
    }
}
