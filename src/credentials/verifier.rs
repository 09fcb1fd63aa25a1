//! Caches right passwords as keyed hashes, so that they are not derived again.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use lru::LruCache;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::secret::Secret;
use super::tag::Tag;

/// Whether a password is cached as right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recall {
    /// It is, and the backend was asked a short time ago.
    Fresh,
    /// It is right if the backend still stores the same.
    Stale,
    Unknown,
}

/// A right password.
pub struct CachedPassword {
    pub password: Tag,
    /// The hash of the password in the backend. `None` if the backend does not show it.
    pub backend: Option<Tag>,
    pub checked: Instant,
    /// How long it counts as right without asking the backend again.
    pub fresh_for: Duration,
}

/// The cached passwords.
pub struct Verifier {
    key: Zeroizing<[u8; 32]>,
    /// By account. If there are too many, the account whose backend was asked longest ago is removed.
    remembered: LruCache<Tag, CachedPassword>,
    /// Grows each time an account is forgotten.
    forgotten: u64,
}

/// The maximum number of accounts whose passwords are cached.
const MOST_REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

impl Verifier {
    /// # Errors
    /// If the system has no random bytes.
    pub fn new() -> Result<Verifier, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key)?;
        Ok(Verifier {
            key,
            remembered: LruCache::new(MOST_REMEMBERED),
            forgotten: 0,
        })
    }

    fn tag(&self, parts: &[&[u8]]) -> Tag {
        // This cannot fail: HMAC takes a key of any length.
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

    /// The keyed hash of the password in a backend.
    pub fn backend(&self, stored: &[&[u8]]) -> Tag {
        self.tag(stored)
    }

    /// The keyed hash of an account (its bare address).
    pub fn account(&self, account: &str) -> Tag {
        self.tag(&[b"account", account.as_bytes()])
    }

    /// Whether the password of an account (its bare address) is cached.
    pub fn recall(&self, account: &str, password: Tag, now: Instant) -> Recall {
        match self.remembered.peek(&self.account(account)) {
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

    /// Whether a cached password is still right: whether the backend still stores the same.
    pub fn confirm(&mut self, account: &str, password: Tag, backend: Tag, now: Instant) -> bool {
        let account = self.account(account);
        let Some(known) = self.remembered.get_mut(&account) else {
            return false;
        };
        let is_same = known.password.0.ct_eq(&password.0)
            & known
                .backend
                .map_or(subtle::Choice::from(0), |stored| stored.0.ct_eq(&backend.0));
        if is_same.into() {
            known.checked = now;
        }
        is_same.into()
    }

    /// The current mark, for [`Verifier::remember`].
    pub fn mark(&self) -> u64 {
        self.forgotten
    }

    /// Caches the password of an account, unless an account was forgotten since `mark`.
    pub fn remember(&mut self, account: &str, password: CachedPassword, mark: u64) {
        if mark == self.forgotten {
            let account = self.account(account);
            self.remembered.put(account, password);
        }
    }

    /// Forgets the password of an account, because the password or the account has changed.
    pub fn forget(&mut self, account: &str) {
        self.forgotten += 1;
        self.remembered.pop(&self.account(account));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_whose_backend_was_asked_longest_ago_is_forgotten_first() {
        let mut verifier = Verifier::new().unwrap();
        let (begin, hour) = (Instant::now(), Duration::from_secs(3600));
        let password = verifier.tag(&[b"password"]);
        let mut remember = |number: usize, millis: u64| {
            let cached = CachedPassword {
                password,
                backend: None,
                checked: begin + Duration::from_millis(millis),
                fresh_for: hour,
            };
            verifier.remember(&format!("user{number}"), cached, 0);
            verifier.remembered.len()
        };
        let limit = MOST_REMEMBERED.get();
        for number in 0..limit {
            assert_eq!(remember(number, number as u64), number + 1);
        }
        // A known account replaces only itself.
        assert_eq!(remember(0, 20_000), limit);
        assert_eq!(remember(limit, 20_001), limit);
        let known = |number: usize| verifier.recall(&format!("user{number}"), password, begin);
        for (number, is_known) in [(0, true), (1, false), (2, true), (limit, true)] {
            let is_fresh = matches!(known(number), Recall::Fresh);
            assert_eq!(is_fresh, is_known, "{number}");
        }
    }
}
