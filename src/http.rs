//! HTTP: what the headers of a request say, and how it is answered.
//!
//! | from | to | module |
//! |---|---|---|
//! | Content-Type | media type and parameters, charset | [`media_type`], [`parameters`] |
//! | a charset and bytes | text | [`charset`] |
//! | Content-Encoding | the body as it was before | [`content_coding`] |
//! | the path | the recipient that it names | [`path`], [`percent`] |
//! | the query | its parameters | [`query`] |
//! | Prefer | how long to wait | [`prefer`] |
//! | Accept | the form of the answer | [`accept`] |
//! | what a request becomes | the memory that it may take | [`memory`] |
//! | what is wrong | a problem, and its answer | [`problem`], [`answer`] |

pub mod accept;
pub mod answer;
pub mod charset;
pub mod content_coding;
pub mod media_type;
pub mod memory;
pub mod parameters;
pub mod path;
pub mod percent;
pub mod prefer;
pub mod problem;
pub mod query;
