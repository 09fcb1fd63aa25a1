//! The recipients to which a token may send.

use std::collections::HashSet;

use super::address::Address;
use crate::http::problem::{Problem, ProblemKind, quote};

/// The bare addresses and domains to which a limited token may send, in the normal form of the server. A bare address
/// includes its full addresses. A domain includes every address at it, without subdomains.
#[derive(Debug)]
pub struct Allowed {
    /// The token's id.
    id: String,
    recipients: HashSet<String>,
}

impl Allowed {
    /// `id` is the token's id, for the problem.
    pub fn new(id: String, recipients: impl IntoIterator<Item = String>) -> Allowed {
        Allowed {
            id,
            recipients: recipients.into_iter().collect(),
        }
    }

    /// The recipient, if it is one address and no domain.
    pub fn only_address(&self) -> Option<&str> {
        let mut recipients = self.recipients.iter();
        let only = recipients.next().filter(|_| self.recipients.len() == 1)?;
        only.contains('@').then_some(only)
    }

    /// # Errors
    /// 403, naming the token and the recipient.
    pub fn check(&self, to: &Address) -> Result<(), Problem> {
        if self.recipients.contains(to.bare()) || self.recipients.contains(to.parts().domain) {
            return Ok(());
        }
        let detail = format!("token {} may not send to {}", self.id, quote(to.as_str()));
        Err(Problem::new(ProblemKind::Forbidden, detail).field("to"))
    }
}
