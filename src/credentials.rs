//! Who sends: what a request presents as credentials, and whether it is right.
//!
//! | from | to | module |
//! |---|---|---|
//! | the Authorization header, `token` of the query | credentials | [`authorization`], [`secret`] |
//! | a text | a sending token, or none | [`token`] |
//! | a body, and the secret of a webhook | whether it is signed | [`signature`] |
//! | an account and a password | whether it is right: the whole way | [`verification`] |
//! | a password | whether it was right before | [`verifier`], [`tag`] |
//! | a password, and what the backend holds | whether it fits, on a thread | [`scram`] |
//! | a client's address | what counts as one client | [`client`] |
//! | failed attempts | how long to wait | [`failures`] |
//! | refused requests | how long their answers are held back | [`refusals`] |

pub mod authorization;
pub mod client;
pub mod failures;
pub mod refusals;
pub mod scram;
pub mod secret;
pub mod signature;
pub mod tag;
pub mod token;
pub mod verification;
pub mod verifier;
