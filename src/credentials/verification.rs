//! Whether a password is right, in two steps.
//!
//! | step | takes | returns |
//! |---|---|---|
//! | [`Passwords::recall`] | an account and a password | accepted, throttled, or an [`Attempt`] |
//! | [`Passwords::begin`] | the attempt, and the password in the backend | accepted, throttled, busy, or a [`Pending`] |
//! | [`Passwords::finish`] | the pending attempt, once its test has ended | whether the password is right |
//!
//! A cached password is accepted by `recall` or by `begin`, and needs no further step. Each step consumes its argument, so that no step
//! can be left out or repeated.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::client::Client;
use super::failures::Failures;
use super::scram::ScramCredentials;
use super::secret::Secret;
use super::tag::Tag;
use super::verifier::{self, CachedPassword, Verifier};
use crate::worker::{Busy, Ticket, Worker};

/// Verifies passwords. Caches right ones, counts failed attempts, and derives passwords on threads.
pub struct Passwords {
    verifier: Verifier,
    failures: Rc<RefCell<Failures>>,
    worker: Worker,
    /// The derivations that have not ended, by the hashes of the password and of the password in the backend.
    derivations: HashMap<(Tag, Option<Tag>), Derivation>,
}

#[derive(Clone)]
struct Derivation {
    ticket: Ticket,
    is_right: Arc<OnceLock<bool>>,
}

/// The result of [`Passwords::recall`].
pub enum Recall {
    /// It was right a short time ago.
    Accepted,
    /// Too many attempts have failed: the seconds after which the client may try again.
    Throttled(u64),
    /// The backend must be asked.
    Attempt(Attempt),
}

/// A password that is not in the cache, or whose backend was not asked for a while.
pub struct Attempt {
    /// The bare address.
    account: String,
    password: Secret,
    tag: Tag,
    client: Client,
    /// The account, in [`Failures`].
    account_tag: Tag,
    /// When it began, for [`Verifier::remember`].
    mark: u64,
    /// The password was right when the backend was last asked.
    is_stale: bool,
}

impl Attempt {
    /// The password as the client wrote it.
    pub fn password(&self) -> &Secret {
        &self.password
    }
}

/// The password as the backend stores it now.
pub enum StoredPassword<'a> {
    /// Credentials of SCRAM, and the password after SASLprep (RFC 5802, section 2.2). For an account that does not
    /// exist, or is disabled, the caller takes [`ScramCredentials::nobody`]: the work is the same, at the same place in
    /// the queue.
    Scram {
        credentials: ScramCredentials,
        prepared: Secret,
    },
    /// The password itself.
    Plain(&'a [u8]),
    /// The backend does not show the password.
    Unknown,
}

/// The result of [`Passwords::begin`].
pub enum BeginResult {
    /// The password is in the cache, and the backend still stores the same.
    Accepted,
    /// Too many attempts have failed: the seconds after which the client may try again.
    Throttled(u64),
    /// Too many passwords wait to be derived. The attempt is not counted.
    Busy,
    /// The password is derived on a thread: [`Passwords::finish`] is called when this ticket has ended.
    Deriving(Ticket, Pending),
    /// The backend must test the password: [`Passwords::finish`] is called with its verdict.
    Backend(Pending),
}

/// An attempt that is being tested. It counts as failed from the beginning, so that attempts at the same time are no
/// loophole. If it is dropped, the count is taken back.
pub struct Pending {
    attempt: Attempt,
    backend: Option<Tag>,
    derivation: Option<Derivation>,
    /// Absent if the attempt shares the derivation of another attempt, which is counted.
    failure: Option<CountedFailure>,
}

impl Pending {
    /// The password as the client wrote it.
    pub fn password(&self) -> &Secret {
        &self.attempt.password
    }
}

/// Counts a failed attempt. Dropping it takes the count back, unless it is kept.
struct CountedFailure {
    failures: Option<Rc<RefCell<Failures>>>,
    client: Client,
    account: Tag,
}

impl CountedFailure {
    fn new(failures: &Rc<RefCell<Failures>>, attempt: &Attempt, now: Instant) -> CountedFailure {
        let (client, account) = (attempt.client, attempt.account_tag);
        failures.borrow_mut().add(client, account, now);
        CountedFailure {
            failures: Some(Rc::clone(failures)),
            client,
            account,
        }
    }

    fn keep(mut self) {
        self.failures = None;
    }
}

impl Drop for CountedFailure {
    fn drop(&mut self) {
        if let Some(failures) = &self.failures {
            failures.borrow_mut().take_back(self.client, self.account);
        }
    }
}

impl Passwords {
    /// `failures`: see [`Failures::new`]. Passwords are derived on `threads` threads; at most `waiting` passwords wait for one.
    ///
    /// # Errors
    /// If the system has no random bytes, or no free file descriptors.
    pub fn new(failures: u32, threads: usize, waiting: usize) -> std::io::Result<Passwords> {
        Ok(Passwords {
            verifier: Verifier::new()?,
            failures: Rc::new(RefCell::new(Failures::new(failures))),
            worker: Worker::new(threads, waiting)?,
            derivations: HashMap::new(),
        })
    }

    /// The number of passwords that are derived, or wait for it.
    pub fn deriving(&self) -> usize {
        self.worker.unfinished()
    }

    /// The first step. `account` is a bare address, `password` the client's text.
    pub fn recall(&self, account: &str, password: Secret, client: Client, now: Instant) -> Recall {
        let tag = self.verifier.password(account, &password);
        let known = self.verifier.recall(account, tag, now);
        if known == verifier::Recall::Fresh {
            return Recall::Accepted;
        }
        let attempt = Attempt {
            account: account.to_owned(),
            password,
            tag,
            client,
            account_tag: self.verifier.account(account),
            mark: self.verifier.mark(),
            is_stale: known == verifier::Recall::Stale,
        };
        match self.wait(&attempt, now) {
            Some(seconds) if !attempt.is_stale => Recall::Throttled(seconds),
            _ => Recall::Attempt(attempt),
        }
    }

    /// The seconds to wait if too many attempts have failed. Any number of clients may wait for a password that is being derived.
    fn wait(&self, attempt: &Attempt, now: Instant) -> Option<u64> {
        if self.derivations.keys().any(|(tag, _)| *tag == attempt.tag) {
            return None;
        }
        let failures = self.failures.borrow();
        failures.wait(attempt.client, attempt.account_tag, now)
    }

    /// The second step. If the password is accepted, the backend need not be asked again for `fresh_for`.
    pub fn begin(
        &mut self,
        attempt: Attempt,
        stored: StoredPassword,
        fresh_for: Duration,
        now: Instant,
    ) -> BeginResult {
        let backend = stored.tag(&self.verifier);
        if attempt.is_stale {
            let confirmed = backend.filter(|backend| {
                let (account, tag) = (&attempt.account, attempt.tag);
                self.verifier.confirm(account, tag, *backend, now)
            });
            if confirmed.is_some() {
                self.remember(&attempt, backend, fresh_for, now);
                return BeginResult::Accepted;
            }
        }
        if let Some(seconds) = self.wait(&attempt, now) {
            return BeginResult::Throttled(seconds);
        }
        let StoredPassword::Scram {
            credentials,
            prepared,
        } = stored
        else {
            let failure = Some(CountedFailure::new(&self.failures, &attempt, now));
            return BeginResult::Backend(Pending {
                attempt,
                backend,
                derivation: None,
                failure,
            });
        };
        // The key includes the password in the backend: it may have changed since the same password was tried.
        let key = (attempt.tag, backend);
        let (derivation, failure) = match self.derivations.get(&key) {
            Some(derivation) => (derivation.clone(), None),
            None => match self.derive(&attempt, credentials, prepared, now) {
                Ok(derivation) => {
                    self.derivations.insert(key, derivation.clone());
                    let failure = CountedFailure::new(&self.failures, &attempt, now);
                    (derivation, Some(failure))
                }
                Err(Busy) => return BeginResult::Busy,
            },
        };
        let ticket = derivation.ticket;
        let pending = Pending {
            attempt,
            backend,
            derivation: Some(derivation),
            failure,
        };
        BeginResult::Deriving(ticket, pending)
    }

    fn derive(
        &mut self,
        attempt: &Attempt,
        credentials: ScramCredentials,
        prepared: Secret,
        now: Instant,
    ) -> Result<Derivation, Busy> {
        let failures = self.failures.borrow();
        let rank = failures.rank(attempt.client, attempt.account_tag, now);
        let is_right = Arc::new(OnceLock::new());
        let result = Arc::clone(&is_right);
        let ticket = self.worker.submit(rank, move || {
            let _ = result.set(credentials.verify(&prepared));
        })?;
        Ok(Derivation { ticket, is_right })
    }

    /// The last step. `verdict` is the backend's: whether the password is right, or `None` if that is not known. It is
    /// ignored for a derivation, which has its own verdict. After a right password, the backend need not be asked again
    /// for `fresh_for`.
    ///
    /// Returns the verdict. A wrong password counts as one failed attempt; if there is no verdict, the attempt is not counted.
    pub fn finish(
        &mut self,
        pending: Pending,
        verdict: Option<bool>,
        fresh_for: Duration,
        now: Instant,
    ) -> Option<bool> {
        let Pending {
            attempt,
            backend,
            derivation,
            failure,
        } = pending;
        let verdict_of = |derivation: Derivation| derivation.is_right.get().copied();
        let verdict = derivation.map_or(verdict, verdict_of);
        match verdict {
            Some(true) => self.remember(&attempt, backend, fresh_for, now),
            Some(false) => failure
                .unwrap_or_else(|| CountedFailure::new(&self.failures, &attempt, now))
                .keep(),
            None => (),
        }
        verdict
    }

    fn remember(
        &mut self,
        attempt: &Attempt,
        backend: Option<Tag>,
        fresh_for: Duration,
        now: Instant,
    ) {
        let password = CachedPassword {
            password: attempt.tag,
            backend,
            checked: now,
            fresh_for,
        };
        self.verifier
            .remember(&attempt.account, password, attempt.mark);
    }

    /// See [`Failures::refuse_token`].
    pub fn refuse_token(&mut self, client: Client, now: Instant) -> Option<u64> {
        self.failures.borrow_mut().refuse_token(client, now)
    }

    /// Forgets the password of an account, because the password or the account has changed.
    pub fn forget(&mut self, account: &str) {
        self.verifier.forget(account);
    }

    /// A file descriptor that becomes readable when a derivation has ended.
    pub fn wake_fd(&self) -> std::os::fd::RawFd {
        self.worker.wake_fd()
    }

    /// The tickets of the derivations that have ended since the last call.
    pub fn ended(&mut self) -> Vec<Ticket> {
        let tickets = self.worker.ended();
        self.derivations
            .retain(|_, derivation| !tickets.contains(&derivation.ticket));
        tickets
    }
}

impl StoredPassword<'_> {
    /// The keyed hash of the password in the backend, if the backend shows it.
    fn tag(&self, verifier: &Verifier) -> Option<Tag> {
        match self {
            StoredPassword::Scram { credentials, .. } => Some(verifier.backend(&[
                credentials.hash.name().as_bytes(),
                &credentials.stored_key,
                &credentials.salt,
                &credentials.iterations.to_le_bytes(),
            ])),
            StoredPassword::Plain(password) => Some(verifier.backend(&[b"plain", password])),
            StoredPassword::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests;
