//! Turns: the accounts with work in a queue are served in turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Gives each piece of work a round: its rank in the queue of a [`Worker`](super::Worker). A round has one piece of
/// each account, so that many pieces of one account do not delay the first piece of another.
#[derive(Default)]
pub struct Turns {
    /// The round of the piece that has begun last.
    current: Arc<AtomicU32>,
    /// The round of the last piece of each account.
    last: HashMap<String, u32>,
}

/// The turn of a piece of work.
pub struct Turn {
    /// The rank of the piece in the queue.
    pub round: u32,
    current: Arc<AtomicU32>,
}

impl Turns {
    /// The turn of an account's next piece of work.
    pub fn next(&mut self, account: &str) -> Turn {
        let current = self.current.load(Ordering::Relaxed);
        // An account whose pieces have all begun starts again in the current round.
        self.last.retain(|_, round| *round >= current);
        let last = self.last.get(account);
        Turn {
            round: last.map_or(current, |last| last.saturating_add(1)),
            current: Arc::clone(&self.current),
        }
    }

    /// Notes that the piece was queued.
    pub fn take(&mut self, account: &str, round: u32) {
        self.last.insert(account.to_owned(), round);
    }
}

impl Turn {
    /// Notes that the piece begins.
    pub fn begin(&self) {
        self.current.fetch_max(self.round, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(turns: &mut Turns, account: &str) -> Turn {
        let turn = turns.next(account);
        turns.take(account, turn.round);
        turn
    }

    #[test]
    fn accounts_are_served_in_turn() {
        let mut turns = Turns::default();
        let many: Vec<_> = (0..5).map(|_| queue(&mut turns, "a")).collect();
        let rounds: Vec<_> = many.iter().map(|turn| turn.round).collect();
        assert_eq!(rounds, [0, 1, 2, 3, 4]);
        assert_eq!(queue(&mut turns, "b").round, 0);
        many[2].begin();
        // Accounts that come later start in the current round, and overtake no waiting piece.
        assert_eq!(queue(&mut turns, "c").round, 2);
        assert_eq!(queue(&mut turns, "b").round, 2);
        assert_eq!(queue(&mut turns, "a").round, 5);
    }

    #[test]
    fn a_piece_that_was_not_queued_takes_no_turn() {
        let mut turns = Turns::default();
        assert_eq!(turns.next("a").round, 0);
        assert_eq!(turns.next("a").round, 0);
    }

    #[test]
    fn accounts_without_work_are_forgotten() {
        let mut turns = Turns::default();
        for number in 0..1000 {
            queue(&mut turns, &number.to_string());
            queue(&mut turns, "other").begin();
        }
        assert!(turns.last.len() <= 2, "{}", turns.last.len());
    }
}
