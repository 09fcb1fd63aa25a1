//! To whom a sender may send.

use std::collections::HashSet;

use super::address::Address;
use crate::http::problem::{Problem, quote};

/// The bare addresses and domains to which alone a token may send, in the normal form of the server.
/// A bare address stands for its full ones as well, a domain for every address at it, but not for its
/// subdomains.
#[derive(Debug)]
pub struct Allowed(HashSet<String>);

impl Allowed {
    pub fn new(allowed: impl IntoIterator<Item = String>) -> Allowed {
        Allowed(allowed.into_iter().collect())
    }

    /// # Errors
    /// 403, naming the recipient.
    pub fn check(&self, to: &Address) -> Result<(), Problem> {
        if self.0.contains(to.bare()) || self.0.contains(to.parts().domain) {
            return Ok(());
        }
        let detail = format!("this token may not send to {}", quote(to.as_str()));
        Err(Problem::new(403, detail).field("to"))
    }
}
