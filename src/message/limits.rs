//! Size and count limits.

use crate::http::problem::Problem;

/// The limits of one request, from the settings.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one serialised message.
    pub size: usize,
    /// Different recipients of one message.
    pub recipients: usize,
    /// Messages × recipients of one array or NDJSON body.
    pub batch: usize,
    /// Bytes of a request's body, before and after decoding.
    pub body: usize,
}

/// The spellings that are accepted for each recipient: `user`, `user@host`, `xmpp:user@host`, and in capitals.
/// Spellings are counted before addresses are known.
const SPELLINGS: usize = 4;

/// The maximum number of XHTML elements of all messages of a request: enough for a formatted line in each message of the largest
/// batch.
pub const ELEMENTS: usize = 100_000;

impl Limits {
    /// The maximum number of spellings of recipients in one message.
    pub fn spellings(&self) -> usize {
        self.recipients.saturating_mul(SPELLINGS)
    }

    /// The maximum number of spellings of recipients in all messages of a batch.
    pub fn batch_spellings(&self) -> usize {
        self.batch.saturating_mul(SPELLINGS)
    }

    /// 422: the messages of one request have too many XHTML elements.
    pub fn too_many_elements(&self) -> Problem {
        Problem::meaning(format!(
            "the messages have more than {ELEMENTS} elements of XHTML together; send them in several requests"
        ))
        .field("html")
    }

    /// 413: a message is larger than `size`.
    pub fn too_large(&self) -> Problem {
        Problem::too_large(format!(
            "the message is larger than {} bytes, the most that one may have (post_msg_size_limit)",
            self.size
        ))
    }

    /// 422: a message has too many recipients.
    pub fn too_many_recipients(&self) -> Problem {
        Problem::meaning(format!(
            "`to` names more than {} recipients, the most that one message may have (post_msg_recipient_limit)",
            self.recipients
        ))
        .field("to")
    }

    /// 422: an array or NDJSON has too many messages × recipients.
    pub fn too_many_messages(&self) -> Problem {
        Problem::meaning(format!(
            "the request makes more than {} messages, the most that one may make (post_msg_batch_limit)",
            self.batch
        ))
    }
}

/// Low limits for tests.
#[cfg(test)]
pub const EXAMPLE: Limits = Limits {
    size: 1000,
    recipients: 3,
    batch: 3,
    body: 10_000,
};
