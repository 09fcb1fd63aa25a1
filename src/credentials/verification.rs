//! The way of a password: throttled, remembered, or derived away from the event loop.
//!
//! [`Passwords`] is all that is known of passwords; a [`Verification`] is one password on its way.
//! Whoever drives it asks, in this order:
//!
//! 1. [`Passwords::recall`]: is it remembered? If not, or not surely, here is its verification.
//! 2. [`Passwords::wait`]: have too many failed?
//! 3. [`Passwords::holds`]: it was right before; does the backend still hold what it held?
//! 4. [`Passwords::derive`]: does it fit? The answer is there when the ticket has ended.
//! 5. [`Passwords::accept`], [`Passwords::count`] or [`Passwords::give_up`]: what became of it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::client::Client;
use super::failures::Failures;
use super::scram::ScramCredentials;
use super::secret::Secret;
use super::tag::Tag;
use super::verifier::{Recall, Verifier};
use super::worker::{Busy, Ticket, Worker};

/// What is known of passwords: those that were right, those that failed, those that are being derived.
pub struct Passwords {
    verifier: Verifier,
    failures: Failures,
    worker: Worker,
    /// What is being derived now, by the password and what the backend holds.
    under_way: HashMap<(Tag, Option<Tag>), Derivation>,
}

#[derive(Clone)]
struct Derivation {
    ticket: Ticket,
    right: Arc<OnceLock<bool>>,
}

/// A password that is not remembered, or was not looked at for a while.
pub struct Verification {
    /// The bare address.
    account: String,
    password: Secret,
    tag: Tag,
    client: Client,
    /// The account, for [`Failures`].
    account_tag: Tag,
    /// When it began, for [`Verifier::remember`].
    mark: u64,
    /// It is remembered, but the backend may hold something else by now.
    stale: bool,
    backend: Option<Tag>,
    derivation: Option<Derivation>,
    counted: bool,
}

impl Verification {
    /// The password as the client wrote it.
    pub fn password(&self) -> &Secret {
        &self.password
    }

    /// Whether it was right when the backend was last looked at.
    pub fn is_remembered(&self) -> bool {
        self.stale
    }

    /// Whether the derived password is right; `None` before its ticket has ended, and where it was
    /// given up.
    pub fn derived(&self) -> Option<bool> {
        self.derivation.as_ref()?.right.get().copied()
    }
}

impl Passwords {
    /// `failures`: see [`Failures::new`].
    /// Passwords are derived on `threads` threads, and at most `waiting` wait for one.
    ///
    /// # Errors
    /// Where the system has no random bytes or no more file descriptors.
    pub fn new(failures: u32, threads: usize, waiting: usize) -> std::io::Result<Passwords> {
        Ok(Passwords {
            verifier: Verifier::new()?,
            failures: Failures::new(failures),
            worker: Worker::new(threads, waiting)?,
            under_way: HashMap::new(),
        })
    }

    /// How many passwords are derived, or wait for it.
    pub fn deriving(&self) -> usize {
        self.worker.unfinished()
    }

    /// Whether the password of an account (its bare address) is remembered and needs no other
    /// look: then there is nothing to verify.
    pub fn recall(
        &self,
        account: &str,
        password: Secret,
        client: Client,
        now: Instant,
    ) -> Option<Verification> {
        let tag = self.verifier.password(account, &password);
        let recall = self.verifier.recall(account, tag, now);
        (recall != Recall::Fresh).then(|| Verification {
            account: account.to_owned(),
            password,
            tag,
            client,
            account_tag: self.verifier.account(account),
            mark: self.verifier.mark(),
            stale: recall == Recall::Stale,
            backend: None,
            derivation: None,
            counted: false,
        })
    }

    /// How many seconds to wait, where too many attempts have failed. One that is under way may be
    /// waited for by any number.
    pub fn wait(&self, verification: &Verification, now: Instant) -> Option<u64> {
        let mut tags = self.under_way.keys().map(|(tag, _)| *tag);
        if tags.any(|tag| tag == verification.tag) {
            return None;
        }
        self.failures
            .wait(verification.client, verification.account_tag, now)
    }

    /// Whether the password is remembered, and the backend still holds what it held then. `held` is
    /// what it holds now.
    pub fn holds(&mut self, verification: &mut Verification, held: &[&[u8]], now: Instant) -> bool {
        let backend = self.verifier.backend(held);
        verification.backend = Some(backend);
        let (account, tag) = (&verification.account, verification.tag);
        verification.stale && self.verifier.confirm(account, tag, backend, now)
    }

    /// Begins to derive a password, already prepared (RFC 5802, section 2.2). An account that does not exist has credentials
    /// too, of [`ScramCredentials::nobody`]: its password takes the same work, at the same place in the queue.
    ///
    /// # Errors
    /// `Busy` where too many wait.
    pub fn derive(
        &mut self,
        verification: &mut Verification,
        prepared: Secret,
        credentials: ScramCredentials,
        now: Instant,
    ) -> Result<Ticket, Busy> {
        // What the backend holds may have changed since the same password was tried.
        let key = (verification.tag, verification.backend);
        if let Some(derivation) = self.under_way.get(&key) {
            verification.derivation = Some(derivation.clone());
            return Ok(derivation.ticket);
        }
        let rank = self
            .failures
            .rank(verification.client, verification.account_tag, now);
        let right = Arc::new(OnceLock::new());
        let result = Arc::clone(&right);
        let ticket = self.worker.submit(rank, move || {
            let _ = result.set(credentials.verify(&prepared));
        })?;
        let derivation = Derivation { ticket, right };
        self.under_way.insert(key, derivation.clone());
        verification.derivation = Some(derivation);
        self.count(verification, now);
        Ok(ticket)
    }

    /// Counts a failed attempt, once, as soon as it is looked at: those under way at once are no
    /// loophole. It is taken back where the password turns out right or nobody knows.
    pub fn count(&mut self, verification: &mut Verification, now: Instant) {
        if !std::mem::replace(&mut verification.counted, true) {
            self.failures
                .add(verification.client, verification.account_tag, now);
        }
    }

    /// The password is right, and needs no other look for as long as `fresh_for`.
    pub fn accept(&mut self, verification: &mut Verification, fresh_for: Duration, now: Instant) {
        self.give_up(verification);
        let Verification {
            account,
            tag,
            backend,
            mark,
            ..
        } = verification;
        self.verifier
            .remember(account, *tag, *backend, *mark, fresh_for, now);
    }

    /// Nobody knows whether the password is right.
    pub fn give_up(&mut self, verification: &mut Verification) {
        if std::mem::take(&mut verification.counted) {
            self.failures
                .take_back(verification.client, verification.account_tag);
        }
    }

    /// See [`Failures::refuse_token`].
    pub fn refuse_token(&mut self, client: Client, now: Instant) -> Option<u64> {
        self.failures.refuse_token(client, now)
    }

    /// The password of an account, or the account itself, has changed.
    pub fn forget(&mut self, account: &str) {
        self.verifier.forget(account);
    }

    /// A file descriptor that becomes readable when a derivation has ended.
    pub fn wake_fd(&self) -> std::os::fd::RawFd {
        self.worker.wake_fd()
    }

    /// The tickets of the derivations that have ended since this was asked last.
    pub fn ended(&mut self) -> Vec<Ticket> {
        let tickets = self.worker.ended();
        self.under_way
            .retain(|_, derivation| !tickets.contains(&derivation.ticket));
        tickets
    }
}

#[cfg(test)]
mod tests;
