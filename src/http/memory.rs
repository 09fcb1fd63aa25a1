//! Accounts for the memory that requests may take.
//!
//! A request counts memory before it allocates: for its decoded body, for parsed values, for messages that wait to be
//! sent. A request is refused if it needs more memory than its size allows, or if other requests have taken the memory.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::problem::Problem;

/// The bytes that a request may take for each byte of its body, and the bytes in addition. A message, a member of an object or a
/// field of a form takes more bytes than its text has.
const PER_BYTE: usize = 14;
const IN_ADDITION: usize = 1 << 20;

/// A share grows in steps of this many bytes, so that counting a small value is cheap.
const STEP: usize = 64 * 1024;

/// The memory of all large requests together, by account.
pub struct Memory(Mutex<Totals>);

struct Totals {
    all_bytes: usize,
    by_account: BTreeMap<String, usize>,
}

/// The memory of the large requests of this process, whichever VirtualHost they reach.
pub static MEMORY: Memory = Memory::new();

/// The memory of long answers until their clients have read them.
pub static ANSWERS: Memory = Memory::new();

impl Memory {
    /// All of the memory is free.
    pub const fn new() -> Memory {
        Memory(Mutex::new(Totals {
            all_bytes: 0,
            by_account: BTreeMap::new(),
        }))
    }

    /// A thread that panics leaves the numbers unchanged.
    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes bytes for an account. An account may use at most half of the memory that other accounts leave: half of
    /// `limit` if it is the only account, half of the rest if it is the second.
    fn take(&self, account: &str, bytes: usize, limit: usize) -> bool {
        let mut totals = self.lock();
        let own_bytes = totals.by_account.get(account).copied().unwrap_or_default();
        let (all_bytes, own_bytes) = (totals.all_bytes + bytes, own_bytes + bytes);
        if own_bytes > limit.saturating_sub(all_bytes) {
            return false;
        }
        totals.all_bytes = all_bytes;
        totals.by_account.insert(account.to_owned(), own_bytes);
        true
    }

    /// Takes bytes for an account without a limit.
    fn add(&self, account: &str, bytes: usize) {
        let mut totals = self.lock();
        totals.all_bytes += bytes;
        *totals.by_account.entry(account.to_owned()).or_default() += bytes;
    }

    /// The number of bytes that are taken.
    pub fn taken(&self) -> usize {
        self.lock().all_bytes
    }

    fn give_back(&self, account: &str, bytes: usize) {
        let mut totals = self.lock();
        totals.all_bytes -= bytes.min(totals.all_bytes);
        let own_bytes = totals.by_account.get(account).copied().unwrap_or_default();
        match own_bytes.saturating_sub(bytes) {
            0 => totals.by_account.remove(account),
            rest => totals.by_account.insert(account.to_owned(), rest),
        };
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

/// The memory that one request has taken. Dropping it gives all of it back.
pub struct Share {
    /// Absent for a small request, which is read at once.
    of: Option<Pool>,
    taken: AtomicUsize,
    reserved: AtomicUsize,
    limit: AtomicUsize,
}

struct Pool {
    memory: &'static Memory,
    account: String,
    limit: usize,
}

impl Share {
    /// The share of a request that is read at once, while no other request is read. `len` is the size of its body.
    pub fn unshared(len: usize) -> Share {
        Share::new(None, len)
    }

    /// The share of a large request. Its body has `len` bytes; a body may have at most `longest` bytes.
    pub fn of(memory: &'static Memory, account: &str, len: usize, longest: usize) -> Share {
        let pool = Pool {
            memory,
            account: account.to_owned(),
            limit: longest.saturating_mul(8).max(64 << 20),
        };
        Share::new(Some(pool), len)
    }

    fn new(of: Option<Pool>, len: usize) -> Share {
        Share {
            of,
            taken: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit_for(len)),
        }
    }

    /// Raises the limit: the body was decoded to `len` bytes.
    pub fn grow_to(&self, len: usize) {
        self.limit.fetch_max(limit_for(len), Ordering::Relaxed);
    }

    /// Takes bytes, before they are allocated.
    ///
    /// # Errors
    /// 413 if the request takes more than its size allows; 503 if other requests have taken too much.
    pub fn take(&self, bytes: usize) -> Result<(), Problem> {
        let taken = self.taken.load(Ordering::Relaxed).saturating_add(bytes);
        let mut limit = self.limit.load(Ordering::Relaxed);
        if let Some(pool) = &self.of {
            limit = limit.min(pool.limit / 2);
        }
        if taken > limit {
            return Err(Problem::too_large(format!(
                "the request takes more than {limit} bytes of memory, too many for its size; send its values in several requests"
            )));
        }
        if let Some(pool) = &self.of {
            let reserved = self.reserved.load(Ordering::Relaxed);
            if taken > reserved {
                // The last step may be smaller, so that the limit can be reached.
                let more = (taken - reserved).max(STEP.min(limit - reserved));
                if !pool.memory.take(&pool.account, more, pool.limit) {
                    return Err(Problem::unavailable(
                        "too many large requests at once; try again in a moment",
                    ));
                }
                self.reserved.store(reserved + more, Ordering::Relaxed);
            }
        }
        self.taken.store(taken, Ordering::Relaxed);
        Ok(())
    }

    /// Gives back bytes that were taken.
    pub fn give_back(&self, bytes: usize) {
        let taken = self.taken.load(Ordering::Relaxed).saturating_sub(bytes);
        self.taken.store(taken, Ordering::Relaxed);
        let Some(pool) = &self.of else { return };
        let reserved = self.reserved.load(Ordering::Relaxed);
        let needed = taken.next_multiple_of(STEP).min(reserved);
        if reserved - needed >= STEP {
            pool.memory.give_back(&pool.account, reserved - needed);
            self.reserved.store(needed, Ordering::Relaxed);
        }
    }

    /// Replaces the estimate by the real number of bytes. They are allocated already, so they cannot be refused.
    pub fn correct(&self, bytes: usize) {
        let taken = self.taken();
        if bytes <= taken {
            return self.give_back(taken - bytes);
        }
        self.taken.store(bytes, Ordering::Relaxed);
        let reserved = self.reserved.load(Ordering::Relaxed);
        if let (Some(pool), true) = (&self.of, bytes > reserved) {
            pool.memory.add(&pool.account, bytes - reserved);
            self.reserved.store(bytes, Ordering::Relaxed);
        }
    }

    /// The number of bytes that are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// The bytes that a request may take if its body has `len` bytes.
fn limit_for(len: usize) -> usize {
    len.saturating_mul(PER_BYTE).saturating_add(IN_ADDITION)
}

impl Drop for Share {
    fn drop(&mut self) {
        let reserved = *self.reserved.get_mut();
        if let Some(pool) = &self.of {
            pool.memory.give_back(&pool.account, reserved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;

    fn status(taken: Result<(), Problem>) -> u16 {
        taken.map_or_else(|problem| problem.status(), |()| 200)
    }

    #[test]
    fn the_memory_of_a_request_is_bounded_by_its_size() {
        static MEMORY: Memory = Memory::new();
        for share in [Share::unshared(1000), Share::of(&MEMORY, "a", 1000, MB)] {
            assert_eq!(status(share.take(IN_ADDITION)), 200);
            assert_eq!(status(share.take(1000 * PER_BYTE)), 200);
            assert_eq!(status(share.take(1)), 413);
            share.grow_to(999);
            assert_eq!(status(share.take(1)), 413);
            share.grow_to(1001);
            assert_eq!(status(share.take(PER_BYTE)), 200);
            assert_eq!(status(share.take(1)), 413);
            share.give_back(1);
            assert_eq!(status(share.take(1)), 200);
            assert_eq!(status(share.take(usize::MAX)), 413);
        }
        assert_eq!(MEMORY.lock().all_bytes, 0);
        assert!(MEMORY.lock().by_account.is_empty());
    }

    #[test]
    fn one_account_leaves_memory_to_others() {
        static MEMORY: Memory = Memory::new();
        let share = |account| Share::of(&MEMORY, account, 8 * MB, 8 * MB);
        let all_bytes: Vec<_> = (0..5).map(|_| share("a")).collect();
        let statuses = all_bytes.iter().map(|share| status(share.take(8 * MB)));
        assert_eq!(statuses.collect::<Vec<_>>(), [200, 200, 200, 200, 503]);
        let other = share("b");
        assert_eq!(status(other.take(16 * MB)), 200);
        assert_eq!(status(other.take(MB)), 503);
        drop(all_bytes);
        assert_eq!(status(other.take(16 * MB)), 200);
        assert_eq!(status(other.take(MB)), 413); // more than an account may hold when it is alone
        drop(other);
        assert_eq!(MEMORY.lock().all_bytes, 0);
    }

    #[test]
    fn a_corrected_share_counts_its_real_bytes() {
        static MEMORY: Memory = Memory::new();
        let share = || Share::of(&MEMORY, "a", MB, MB);
        let (a, b) = (share(), share());
        assert_eq!(status(a.take(MB)), 200);
        a.correct(40 * MB);
        assert_eq!(status(b.take(1)), 503);
        a.correct(MB);
        assert_eq!(status(b.take(MB)), 200);
        drop((a, b));
        assert_eq!(MEMORY.lock().all_bytes, 0);
        assert!(MEMORY.lock().by_account.is_empty());
    }

    #[test]
    fn bytes_that_are_given_back_are_free_for_others() {
        static MEMORY: Memory = Memory::new();
        let (a, b) = (
            Share::of(&MEMORY, "a", 8 * MB, MB),
            Share::of(&MEMORY, "a", 8 * MB, MB),
        );
        assert_eq!(status(a.take(32 * MB)), 200);
        assert_eq!(status(b.take(1)), 503);
        a.give_back(31 * MB);
        assert_eq!(status(b.take(30 * MB)), 200);
    }
}
