//! The credentials of a request: reads and verifies them.
//!
//! | from | to | module |
//! |---|---|---|
//! | the Authorization header, `token` of the query | credentials | [`authorization`], [`secret`] |
//! | a text | whether it has the form of a sending token | [`token`] |
//! | a body, and the secret of a webhook | whether the body is signed with the secret | [`signature`] |
//! | an account and a password | whether the password is right, in two steps | [`verification`] |
//! | a password | whether it is cached as right | [`verifier`], [`tag`] |
//! | a password, and the backend's SCRAM credentials | whether they match | [`scram`] |
//! | an IP address | the client for the counters | [`client`] |
//! | failed attempts of the last minute | how long the client must wait | [`failures`] |
//! | refused requests of the last seconds | how long their answers are delayed | [`refusals`] |

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
