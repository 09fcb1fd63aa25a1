//! The memory that large bodies have.

use std::cell::Cell;
use std::rc::Rc;

/// Those that wait to be read, and those whose messages are not all sent yet, have as many bytes at most, unless there is
/// only one.
const HELD_AT_MOST: usize = 64 << 20;

/// Bytes of large bodies that are in memory: gives its share back when it is dropped.
pub struct Share {
    of: Rc<Cell<usize>>,
    bytes: usize,
}

impl Share {
    /// None where the others have too many already. `held` counts the bytes of all.
    pub fn of(held: &Rc<Cell<usize>>, bytes: usize) -> Option<Share> {
        let sum = held.get() + bytes;
        (held.get() == 0 || sum <= HELD_AT_MOST).then(|| {
            held.set(sum);
            Share {
                of: Rc::clone(held),
                bytes,
            }
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.set(self.of.get() - self.bytes);
    }
}
