//! The data that a VirtualHost and its requests share.

use std::cell::RefCell;
use std::rc::Rc;

use super::prosody::Prosody;
use crate::credentials::refusals::Refusals;
use crate::credentials::verification::Passwords;
use crate::payload::composer::Composer;

/// The data that all requests to a VirtualHost share.
pub struct Parts {
    pub prosody: Rc<Prosody>,
    pub passwords: Rc<RefCell<Passwords>>,
    pub composer: Composer,
    pub refusals: RefCell<Refusals>,
}

/// A VirtualHost until it is closed. Closing it drops the threads and the file descriptors, even if Lua still refers to objects of it.
/// Garbage collection is not enough: in Lua 5.1, the functions that the host calls refer to the environment of the module, and that
/// refers to the host.
#[derive(Clone)]
pub struct Shared(Rc<RefCell<Option<Rc<Parts>>>>);

impl Shared {
    pub fn new(parts: Parts) -> Shared {
        Shared(Rc::new(RefCell::new(Some(Rc::new(parts)))))
    }

    /// `None` after [`Shared::close`].
    pub fn parts(&self) -> Option<Rc<Parts>> {
        self.0.borrow().clone()
    }

    pub fn close(&self) {
        // Dropped when the cell is no longer borrowed.
        let parts = self.0.borrow_mut().take();
        drop(parts);
    }
}
