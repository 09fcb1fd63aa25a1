//! Passwords: remembered, so that none is derived twice; derived away from the event loop; and
//! refused unseen where too many were wrong.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::authorization::Secret;

/// A keyed hash: tells nothing to whoever does not know the key of this process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag([u8; 32]);

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(…)")
    }
}

/// The hash function of a SCRAM mechanism (RFC 5802, RFC 7677).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    Sha1,
    Sha256,
}

/// What an authentication backend holds of a password (RFC 5802, section 3).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredentials {
    pub hash: Hash,
    pub stored_key: Vec<u8>,
    pub salt: Vec<u8>,
    pub iterations: u32,
}

impl fmt::Debug for ScramCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramCredentials(…)")
    }
}

impl Drop for ScramCredentials {
    fn drop(&mut self) {
        self.stored_key.zeroize();
    }
}

impl ScramCredentials {
    /// Whether a password, already prepared (RFC 5802, section 2.2), is the right one. It takes
    /// as long whatever the password.
    pub fn verify(&self, password: &Secret) -> bool {
        match self.hash {
            Hash::Sha1 => self.verify_with::<Hmac<Sha1>, Sha1, 20>(password),
            Hash::Sha256 => self.verify_with::<Hmac<Sha256>, Sha256, 32>(password),
        }
    }

    fn verify_with<M, D, const N: usize>(&self, password: &Secret) -> bool
    where
        M: Mac + hmac::digest::KeyInit + Clone + Sync + hmac::digest::FixedOutput,
        D: Digest,
    {
        let mut salted = Zeroizing::new([0; N]);
        let password = password.expose().as_bytes();
        if pbkdf2::pbkdf2::<M>(password, &self.salt, self.iterations, &mut *salted).is_err() {
            return false;
        }
        let Ok(mut mac) = <M as hmac::digest::KeyInit>::new_from_slice(&*salted) else {
            return false;
        };
        Mac::update(&mut mac, b"Client Key");
        let stored = D::digest(Mac::finalize(mac).into_bytes());
        stored.as_slice().ct_eq(&self.stored_key).into()
    }

    /// Credentials that no password fits, for accounts that do not exist: they take as long as
    /// others do to be found wrong.
    pub fn nobody(hash: Hash, iterations: u32) -> ScramCredentials {
        ScramCredentials {
            hash,
            stored_key: Vec::new(),
            salt: vec![0; 36],
            iterations,
        }
    }
}

/// Whether a password is one that was found right before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recall {
    /// It is, and was looked at within the interval.
    Fresh,
    /// It is, if the backend still holds what it held then.
    Stale,
    Unknown,
}

struct Remembered {
    password: Tag,
    /// What the backend held then; `None` where it does not tell.
    backend: Option<Tag>,
    checked: Instant,
    /// How long it is right from then on without another look.
    fresh_for: Duration,
}

/// The passwords that were found right, and the attempts that were not.
pub struct Verifier {
    key: Zeroizing<[u8; 32]>,
    remembered: HashMap<Tag, Remembered>,
    /// Grows whenever an account is forgotten.
    forgotten: u64,
    failures: Failures,
}

/// As many accounts are remembered at most; the one that was looked at longest ago gives way.
const MOST_REMEMBERED: usize = 10_000;

impl Verifier {
    /// `failures`: how many attempts of one address at one account may fail in a minute.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn new(failures: u32) -> Result<Verifier, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key)?;
        Ok(Verifier {
            key,
            remembered: HashMap::new(),
            forgotten: 0,
            failures: Failures::new(failures),
        })
    }

    fn tag(&self, parts: &[&[u8]]) -> Tag {
        // HMAC takes a key of any length: this cannot fail.
        let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(&*self.key) else {
            return Tag([0; 32]);
        };
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        Tag(mac.finalize().into_bytes().into())
    }

    /// The keyed hash of an account (its bare address) and a password.
    pub fn password(&self, account: &str, password: &Secret) -> Tag {
        self.tag(&[
            b"password",
            account.as_bytes(),
            password.expose().as_bytes(),
        ])
    }

    /// The keyed hash of what a backend holds.
    pub fn backend(&self, held: &[&[u8]]) -> Tag {
        self.tag(held)
    }

    fn account(&self, account: &str) -> Tag {
        self.tag(&[b"account", account.as_bytes()])
    }

    pub fn recall(&self, account: &str, password: Tag, now: Instant) -> Recall {
        match self.remembered.get(&self.account(account)) {
            Some(known) if bool::from(known.password.0.ct_eq(&password.0)) => {
                if now.saturating_duration_since(known.checked) < known.fresh_for {
                    Recall::Fresh
                } else if known.backend.is_some() {
                    Recall::Stale
                } else {
                    Recall::Unknown
                }
            }
            _ => Recall::Unknown,
        }
    }

    /// Whether a remembered password is still right, now that the backend was looked at.
    pub fn confirm(&mut self, account: &str, password: Tag, backend: Tag, now: Instant) -> bool {
        let account = self.account(account);
        let Some(known) = self.remembered.get_mut(&account) else {
            return false;
        };
        let same = known.password.0.ct_eq(&password.0)
            & known
                .backend
                .map_or(subtle::Choice::from(0), |held| held.0.ct_eq(&backend.0));
        if same.into() {
            known.checked = now;
        }
        same.into()
    }

    /// A mark of now, for [`Verifier::remember`].
    pub fn mark(&self) -> u64 {
        self.forgotten
    }

    /// Remembers a password that was found right, unless an account was forgotten since `mark`.
    /// For as long as `fresh_for` no other look at the backend is needed.
    pub fn remember(
        &mut self,
        account: &str,
        password: Tag,
        backend: Option<Tag>,
        mark: u64,
        fresh_for: Duration,
        now: Instant,
    ) {
        if mark != self.forgotten {
            return;
        }
        let account = self.account(account);
        if self.remembered.len() >= MOST_REMEMBERED && !self.remembered.contains_key(&account) {
            let oldest = self
                .remembered
                .iter()
                .min_by_key(|(_, known)| known.checked);
            if let Some(oldest) = oldest.map(|(&account, _)| account) {
                self.remembered.remove(&oldest);
            }
        }
        let known = Remembered {
            password,
            backend,
            checked: now,
            fresh_for,
        };
        self.remembered.insert(account, known);
    }

    /// Forgets the password of an account: it changed, or the account did.
    pub fn forget(&mut self, account: &str) {
        self.forgotten += 1;
        self.remembered.remove(&self.account(account));
    }

    /// The name under which failed attempts of one client address at one account are counted.
    pub fn pair(&self, client: &str, account: &str) -> Tag {
        self.tag(&[b"pair", client.as_bytes(), account.as_bytes()])
    }

    pub fn failures(&mut self) -> &mut Failures {
        &mut self.failures
    }
}

/// Failed attempts, counted for a minute from the first. Memory is bounded whatever their number.
pub struct Failures {
    limit: u32,
    current: HashMap<Tag, Window>,
    previous: HashMap<Tag, Window>,
}

#[derive(Clone, Copy)]
struct Window {
    began: Instant,
    count: u32,
}

const MINUTE: Duration = Duration::from_secs(60);

/// When as many pairs are counted, the older half is dropped with the next.
const MOST_COUNTED: usize = 20_000;

impl Failures {
    fn new(limit: u32) -> Failures {
        Failures {
            limit,
            current: HashMap::new(),
            previous: HashMap::new(),
        }
    }

    fn window(&self, pair: Tag, now: Instant) -> Option<Window> {
        let window = self
            .current
            .get(&pair)
            .or_else(|| self.previous.get(&pair))?;
        (now.saturating_duration_since(window.began) < MINUTE).then_some(*window)
    }

    /// How many seconds to wait, where too many attempts have failed.
    pub fn wait(&self, pair: Tag, now: Instant) -> Option<u64> {
        let window = self
            .window(pair, now)
            .filter(|window| window.count >= self.limit)?;
        let left = MINUTE.saturating_sub(now.saturating_duration_since(window.began));
        Some(left.as_secs() + 1)
    }

    /// How many attempts have failed, or are under way.
    pub fn count(&self, pair: Tag, now: Instant) -> u32 {
        self.window(pair, now).map_or(0, |window| window.count)
    }

    /// Counts an attempt, as soon as it begins: those under way at once are no loophole.
    pub fn add(&mut self, pair: Tag, now: Instant) {
        let mut window = self.window(pair, now).unwrap_or(Window {
            began: now,
            count: 0,
        });
        window.count = window.count.saturating_add(1);
        if self.current.len() >= MOST_COUNTED && !self.current.contains_key(&pair) {
            self.previous = std::mem::take(&mut self.current);
        }
        self.current.insert(pair, window);
    }

    /// Takes one back: the attempt turned out right.
    pub fn take_back(&mut self, pair: Tag) {
        for windows in [&mut self.current, &mut self.previous] {
            if let Some(window) = windows.get_mut(&pair) {
                window.count = window.count.saturating_sub(1);
                return;
            }
        }
    }
}
