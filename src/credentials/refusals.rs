//! Counts refused requests. If a client has too many, its answers are delayed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::client::Client;

/// The refusals of a client that are answered at once, and the number that is added each second.
const AT_ONCE: f64 = 100.0;
const PER_SECOND: f64 = 50.0;
/// The longest delay of an answer.
const LONGEST: Duration = Duration::from_secs(1);
/// The maximum number of answers that are delayed in a second, of one client and of all clients: each keeps its request in memory.
const DELAYED_OF_CLIENT: u32 = 250;
const DELAYED: u32 = 500;
/// The maximum number of clients that are counted. A client that is refused once is dropped after 20 milliseconds.
const CLIENTS: usize = 10_000;

/// The refusals of the last seconds, by client.
pub struct Refusals {
    clients: HashMap<Client, Recent>,
    delayed: Second,
}

struct Recent {
    /// The refusals, reduced by [`PER_SECOND`] each second. The level is bounded, so that a client soon gets quick
    /// answers again.
    level: f64,
    at: Instant,
    delayed: Second,
}

impl Recent {
    fn level(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.level - elapsed * PER_SECOND).max(0.0)
    }
}

/// A counter that is reset each second.
struct Second {
    began: Instant,
    count: u32,
}

impl Second {
    fn new(now: Instant) -> Second {
        Second {
            began: now,
            count: 0,
        }
    }

    fn take(&mut self, limit: u32, now: Instant) -> bool {
        if now.saturating_duration_since(self.began) >= Duration::from_secs(1) {
            *self = Second::new(now);
        }
        let free = self.count < limit;
        self.count += u32::from(free);
        free
    }
}

impl Refusals {
    /// No refusals yet.
    pub fn new(now: Instant) -> Refusals {
        Refusals {
            clients: HashMap::new(),
            delayed: Second::new(now),
        }
    }

    /// Counts a refusal. If there were too many, it returns the delay of the answer: zero if too many answers are
    /// delayed already. The connection is closed after the answer, so that no other request on it waits.
    pub fn refuse(&mut self, client: Client, now: Instant) -> Option<Duration> {
        if self.clients.len() >= CLIENTS {
            self.clients.retain(|_, recent| recent.level(now) > 0.0);
            if self.clients.len() >= CLIENTS {
                self.clients.clear();
            }
        }
        let recent = self.clients.entry(client).or_insert(Recent {
            level: 0.0,
            at: now,
            delayed: Second::new(now),
        });
        recent.level = (recent.level(now) + 1.0).min(2.0 * AT_ONCE);
        recent.at = now;
        let excess = recent.level - AT_ONCE;
        if excess <= 0.0 {
            return None;
        }
        let is_delayed =
            recent.delayed.take(DELAYED_OF_CLIENT, now) && self.delayed.take(DELAYED, now);
        Some(if is_delayed {
            LONGEST.mul_f64(excess / AT_ONCE)
        } else {
            Duration::ZERO
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> Client {
        Client::V4(std::net::Ipv4Addr::from(number))
    }

    #[test]
    fn a_client_waits_longer_with_each_refusal_but_never_more_than_a_second() {
        let now = Instant::now();
        let mut refusals = Refusals::new(now);
        for _ in 0..100 {
            assert_eq!(refusals.refuse(client(1), now), None);
        }
        let mut last = Duration::ZERO;
        for _ in 0..100 {
            let delay = refusals.refuse(client(1), now).unwrap();
            assert!(last < delay && delay <= LONGEST, "{last:?}, {delay:?}");
            last = delay;
        }
        for _ in 0..100_000 {
            assert!(refusals.refuse(client(1), now).unwrap() <= LONGEST);
        }
        assert_eq!(refusals.refuse(client(2), now), None, "another client");
        let later_time = now + Duration::from_secs(2);
        let delay = refusals.refuse(client(1), later_time).unwrap();
        assert!(delay < Duration::from_millis(20), "{delay:?}");
        let later_time = later_time + Duration::from_secs(1);
        assert_eq!(refusals.refuse(client(1), later_time), None);
    }

    #[test]
    fn the_number_of_delayed_answers_is_bounded() {
        let begin = Instant::now();
        let mut refusals = Refusals::new(begin);
        let mut count_delayed = |clients: u32, now| {
            let mut delayed = 0;
            for number in 0..clients {
                for _ in 0..1_000 {
                    let delay = refusals.refuse(client(number), now);
                    delayed += u32::from(delay.is_some_and(|delay| !delay.is_zero()));
                }
            }
            delayed
        };
        assert_eq!(count_delayed(1, begin), DELAYED_OF_CLIENT);
        assert_eq!(count_delayed(10, begin + LONGEST), DELAYED);
        assert_eq!(count_delayed(10, begin + 2 * LONGEST), DELAYED);
    }

    #[test]
    fn the_number_of_counted_clients_is_bounded() {
        let now = Instant::now();
        let mut refusals = Refusals::new(now);
        for number in 0..30_000 {
            refusals.refuse(client(number), now);
            assert!(refusals.clients.len() <= CLIENTS);
        }
        // Clients with a level of 0 are removed to make room for others.
        for _ in 0..200 {
            refusals.refuse(client(0), now);
        }
        for number in 0..30_000 {
            let later_time = now + Duration::from_millis(u64::from(number) / 20);
            refusals.refuse(client(1 + number), later_time);
        }
        let later_time = now + Duration::from_millis(1_500);
        assert!(refusals.refuse(client(0), later_time).is_some());
    }
}
