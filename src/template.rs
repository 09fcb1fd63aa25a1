//! Templates: what another program's webhook posts → what a client would have written.
//!
//! | from | to | module |
//! |---|---|---|
//! | a name | the source of a template: one that comes with the module, or the administrator's own | [`source`] |
//! | JSON | a tree of values, whose memory is counted | [`tree`] |
//! | a payload, headers, query | what a template sees | [`context`] |
//! | a template and what it sees | the fields of a message, and the answer that the program expects | [`engine`] |
//! | a text in HTML, Markdown, Slack's markup; a time | plain text | [`filter`] |
//! | a template's source | the headers that it reads | `seen_headers` |
//! | what went wrong in a template | a problem with its line and column | [`fault`] |

pub mod context;
pub mod engine;
pub mod fault;
pub mod filter;
mod seen_headers;
pub mod source;
pub mod tree;
