//! Payloads: the body of a request → its messages.
//!
//! | from | to | module |
//! |---|---|---|
//! | the headers | the [`format::Format`], and how to read it | [`reader`], [`format`] |
//! | a body in that format | drafts | [`text`], [`form`], [`multipart`], [`json`], [`ndjson`] |
//! | the query | fields of the message | [`query_fields`] |
//! | a body of another media type | a file, which is uploaded | [`file`] |
//! | a webhook's payload | a draft, made by a template | [`webhook`] |
//! | the page's request about tokens | its members | [`token_request`] |
//! | the drafts of a body | content, or the first problem | [`reader`] |
//! | content and recipients | the messages of a request, in slices | [`batch`] |
//! | a request whose sender is known | all of this, and the memory that it takes | [`composer`], [`composition`] |

pub mod batch;
pub mod body;
pub mod composer;
pub mod composition;
pub mod file;
pub mod foreign;
pub mod form;
pub mod format;
pub mod json;
pub mod multipart;
mod name;
pub mod ndjson;
mod numbers;
pub mod query_fields;
pub mod reader;
pub mod text;
pub mod token_request;
pub mod webhook;
