//! What a VirtualHost and its requests share.

use std::cell::RefCell;
use std::rc::Rc;

use super::prosody::Prosody;
use crate::credentials::refusals::Refusals;
use crate::credentials::verification::Passwords;
use crate::payload::composer::Composer;

/// What the requests to a VirtualHost share.
pub struct Parts {
    pub prosody: Rc<Prosody>,
    pub passwords: Rc<RefCell<Passwords>>,
    pub composer: Composer,
    pub refusals: RefCell<Refusals>,
}

/// A VirtualHost until it is closed. What Lua holds keeps no part of it alive then: no threads, and no file descriptors. Lua's
/// collector alone cannot free a host in Lua 5.1: each function that the host calls has the environment of the module, which holds
/// the host.
#[derive(Clone)]
pub struct Shared(Rc<RefCell<Option<Rc<Parts>>>>);

impl Shared {
    pub fn new(parts: Parts) -> Shared {
        Shared(Rc::new(RefCell::new(Some(Rc::new(parts)))))
    }

    /// `None` once it is closed.
    pub fn parts(&self) -> Option<Rc<Parts>> {
        self.0.borrow().clone()
    }

    pub fn close(&self) {
        // Dropped when the cell is no longer borrowed.
        let parts = self.0.borrow_mut().take();
        drop(parts);
    }
}
