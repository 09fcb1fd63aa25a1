//! Failed attempts: how many there were lately, and how long to wait after too many.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::tag::Tag;

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
    /// `limit`: how many attempts of one address at one account may fail in a minute.
    pub fn new(limit: u32) -> Failures {
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
