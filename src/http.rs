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
//! | Origin, Sec-Fetch-Site | whether a page of another site sends it | [`origin`] |
//! | Accept | the form of the answer | [`accept`] |
//! | a URL that another program names | whether it is one of HTTP, and an address on the Internet | [`link`] |
//! | what a request becomes | the memory that it may take | [`memory`] |
//! | what is wrong | a problem, and its answer | [`problem`], [`answer`] |
//! | a long answer | its pieces | [`pieces`] |

pub mod accept;
pub mod answer;
pub mod charset;
pub mod content_coding;
pub mod link;
pub mod media_type;
pub mod memory;
pub mod origin;
pub mod parameters;
pub mod path;
pub mod percent;
pub mod pieces;
pub mod prefer;
pub mod problem;
pub mod query;
