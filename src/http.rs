//! HTTP: reads the headers of a request, decodes its body, and writes the answer.
//!
//! | from | to | module |
//! |---|---|---|
//! | the bytes of a connection | where a request ends, and how its body is framed | [`head`] |
//! | a body in chunks | the body | [`chunked`] |
//! | Content-Type | media type and parameters, charset | [`media_type`], [`parameters`] |
//! | a charset and bytes | text | [`charset`] |
//! | Content-Encoding | the decoded body | [`content_coding`] |
//! | the path | the recipient that it names | [`path`], [`percent`] |
//! | the query | its parameters | [`query`] |
//! | Prefer | how long to wait | [`prefer`] |
//! | Origin, Sec-Fetch-Site | whether a page of another site made a browser send the request | [`origin`] |
//! | Accept | the media type of the answer | [`accept`] |
//! | a URL from another program | whether it is an HTTP URL, and whether its address is on the Internet | [`link`] |
//! | the size of a request | the memory that the request may take | [`memory`] |
//! | a fault of a request | a problem, and its answer | [`problem`], [`answer`] |
//! | a long answer | its pieces | [`pieces`] |

pub mod accept;
pub mod answer;
pub mod charset;
pub mod chunked;
pub mod content_coding;
pub mod head;
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
