//! Counts failed attempts. After too many, a client must wait.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::client::Client;
use super::tag::Tag;

/// Failed attempts of the last minute.
pub struct Failures {
    limit: u32,
    /// Wrong passwords, by client and account.
    pairs: Counters<(Client, Tag)>,
    /// Wrong passwords, by client.
    clients: Counters<Client>,
    /// Wrong tokens, by client.
    tokens: Counters<Client>,
}

impl Failures {
    /// `limit`: the wrong passwords of a client for an account, and the wrong tokens of a client, that are allowed in a
    /// minute.
    pub fn new(limit: u32) -> Failures {
        Failures {
            limit,
            pairs: Counters::default(),
            clients: Counters::default(),
            tokens: Counters::default(),
        }
    }

    /// The seconds to wait, if too many passwords of the client for the account were wrong.
    pub fn wait(&self, client: Client, account: Tag, now: Instant) -> Option<u64> {
        self.pairs.wait(&(client, account), self.limit, now)
    }

    /// The rank of a derivation: the client's failures for all accounts, plus its failures for this account. Work of a
    /// higher rank runs later.
    pub fn rank(&self, client: Client, account: Tag, now: Instant) -> u32 {
        let of_client = self.clients.count(&client, now);
        of_client.saturating_add(self.pairs.count(&(client, account), now))
    }

    /// Counts a wrong password. This is called when its verification begins, so that attempts at the same time are no
    /// loophole.
    pub fn add(&mut self, client: Client, account: Tag, now: Instant) {
        self.pairs.add((client, account), now);
        self.clients.add(client, now);
    }

    /// Takes back one wrong password: it is right, or the verdict is not known.
    pub fn take_back(&mut self, client: Client, account: Tag) {
        self.pairs.take_back(&(client, account));
        self.clients.take_back(&client);
    }

    /// Counts a wrong token. If there were too many before, it is not counted, and the seconds to wait are returned.
    pub fn refuse_token(&mut self, client: Client, now: Instant) -> Option<u64> {
        let seconds = self.tokens.wait(&client, self.limit, now);
        if seconds.is_none() {
            self.tokens.add(client, now);
        }
        seconds
    }
}

/// Counters that last a minute from their first count. Their number is bounded. To make room for a new one, expired
/// counters and those with the lowest counts are removed: if an attacker invents many keys,
/// their counters are removed first.
struct Counters<K>(HashMap<K, Window>);

#[derive(Clone, Copy)]
struct Window {
    began: Instant,
    count: u32,
}

const MINUTE: Duration = Duration::from_secs(60);
const MOST: usize = 10_000;

impl Window {
    fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= MINUTE
    }
}

impl<K> Default for Counters<K> {
    fn default() -> Counters<K> {
        Counters(HashMap::new())
    }
}

impl<K: Copy + Eq + Hash> Counters<K> {
    fn window(&self, key: &K, now: Instant) -> Option<&Window> {
        self.0.get(key).filter(|window| !window.is_expired(now))
    }

    fn count(&self, key: &K, now: Instant) -> u32 {
        self.window(key, now).map_or(0, |window| window.count)
    }

    fn wait(&self, key: &K, limit: u32, now: Instant) -> Option<u64> {
        let window = self
            .window(key, now)
            .filter(|window| window.count >= limit)?;
        let rest = MINUTE.saturating_sub(now.saturating_duration_since(window.began));
        Some(rest.as_secs() + 1)
    }

    fn add(&mut self, key: K, now: Instant) {
        if self.0.len() >= MOST && !self.0.contains_key(&key) {
            self.make_room(now);
        }
        let fresh = Window {
            began: now,
            count: 0,
        };
        let window = self.0.entry(key).or_insert(fresh);
        if window.is_expired(now) {
            *window = fresh;
        }
        window.count = window.count.saturating_add(1);
    }

    /// Removes an eighth of the counters, so that the search is rare.
    fn make_room(&mut self, now: Instant) {
        let priority = |window: &Window| (!window.is_expired(now), window.count, window.began);
        let mut keys: Vec<_> = self.0.iter().map(|(key, w)| (priority(w), *key)).collect();
        keys.select_nth_unstable_by_key(MOST / 8, |(priority, _)| *priority);
        for (_, key) in &keys[..MOST / 8] {
            self.0.remove(key);
        }
    }

    fn take_back(&mut self, key: &K) {
        if let Some(window) = self.0.get_mut(key) {
            window.count = window.count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> Client {
        Client::V4(std::net::Ipv4Addr::from(number))
    }

    fn account(number: u32) -> Tag {
        let mut tag = [0; 32];
        tag[..4].copy_from_slice(&number.to_le_bytes());
        Tag(tag)
    }

    #[test]
    fn invented_tokens_and_accounts_and_clients_do_not_remove_high_counters() {
        let (mut failures, now) = (Failures::new(2), Instant::now());
        for _ in 0..2 {
            failures.add(client(0), account(0), now);
            assert_eq!(failures.refuse_token(client(0), now), None);
        }
        for number in 1..=20_000 {
            let later = now + Duration::from_millis(u64::from(number) / 2);
            failures.refuse_token(client(number), later);
            failures.add(client(0), account(number), later);
            failures.add(client(number), account(0), later);
        }
        let later = now + Duration::from_secs(30);
        assert_eq!(failures.wait(client(0), account(0), later), Some(31));
        assert_eq!(failures.refuse_token(client(0), later), Some(31));
        assert!(failures.rank(client(0), account(1), later) > 20_000);
        for count in [
            failures.pairs.0.len(),
            failures.clients.0.len(),
            failures.tokens.0.len(),
        ] {
            assert!((MOST * 7 / 8..=MOST).contains(&count), "{count}");
        }
    }

    #[test]
    fn expired_counters_are_removed_before_low_ones() {
        let (mut counters, now) = (Counters::default(), Instant::now());
        for number in 0..5_000 {
            for _ in 0..5 {
                counters.add(number, now);
            }
        }
        for number in 5_000..MOST + 1_000 {
            counters.add(number, now + MINUTE);
        }
        assert_eq!(counters.count(&5_000, now + MINUTE), 1);
        assert!(counters.0.len() <= MOST);
    }
}
