//! How much is too much.

use crate::http::problem::Problem;

/// What the settings allow to one request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one message, serialised.
    pub size: usize,
    /// Recipients of one message, each counted once.
    pub recipients: usize,
    /// Messages × recipients of one array or NDJSON body.
    pub batch: usize,
    /// Bytes of a request's body, whatever its content coding.
    pub body: usize,
}

/// One recipient can be spelled so many ways: `user`, `user@host`, `xmpp:user@host`, and in
/// capitals. As written, before addresses are known, that many times the limit is surely too much.
const SPELLINGS: usize = 4;

/// So many elements of XHTML the messages of one request may have together: a formatted line for each message of the largest
/// batch.
pub const ELEMENTS: usize = 100_000;

impl Limits {
    /// How many spellings the recipients of one message may have.
    pub fn spellings(&self) -> usize {
        self.recipients.saturating_mul(SPELLINGS)
    }

    /// How many spellings the recipients of all messages of a batch may have.
    pub fn batch_spellings(&self) -> usize {
        self.batch.saturating_mul(SPELLINGS)
    }

    /// 422: more elements of XHTML than the messages of one request may have together.
    pub fn too_many_elements(&self) -> Problem {
        Problem::meaning(format!(
            "the messages have more than {ELEMENTS} elements of XHTML together; send them in several requests"
        ))
        .field("html")
    }

    /// 413: a message over `size`.
    pub fn too_large(&self) -> Problem {
        Problem::too_large(format!(
            "the message is larger than {} bytes, the most that one may have (post_msg_size_limit)",
            self.size
        ))
    }

    /// 422: more recipients than one message may have.
    pub fn too_many_recipients(&self) -> Problem {
        Problem::meaning(format!(
            "`to` names more than {} recipients, the most that one message may have (post_msg_recipient_limit)",
            self.recipients
        ))
        .field("to")
    }

    /// 422: an array or NDJSON with more messages × recipients than one request may have.
    pub fn too_many_messages(&self) -> Problem {
        Problem::meaning(format!(
            "the request makes more than {} messages, the most that one may make (post_msg_batch_limit)",
            self.batch
        ))
    }
}

/// Limits that tests can reach.
#[cfg(test)]
pub const EXAMPLE: Limits = Limits {
    size: 1000,
    recipients: 3,
    batch: 3,
    body: 10_000,
};
