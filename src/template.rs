//! Templates: a webhook's payload → the fields that a client would have written.
//!
//! | from | to | module |
//! |---|---|---|
//! | a name | the source of a built-in template, or of an administrator's | [`source`] |
//! | JSON | a tree of values, whose memory is counted | [`tree`] |
//! | a payload, headers, query | the variables of a template | [`context`] |
//! | a template and its variables | the fields of a message, and the answer that the program expects | [`engine`] |
//! | a text in HTML, Markdown, Slack's markup; a time | plain text | [`filter`] |
//! | a path, a problem, a token | what the programs of a protocol expect | [`declarations`], [`protocol`], [`parameter`] |
//! | a template's source | the headers that it reads | `seen_headers` |
//! | an error in a template | a problem with its line and column | [`fault`] |

pub mod context;
pub mod declarations;
pub mod engine;
pub mod fault;
pub mod filter;
pub mod parameter;
pub mod protocol;
mod seen_headers;
pub mod source;
pub mod tree;
