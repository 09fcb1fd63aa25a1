//! Who sends: what the Authorization header holds, and whether it is right.
//!
//! | from | to | module |
//! |---|---|---|
//! | the Authorization header | credentials | [`authorization`], [`secret`] |
//! | an account and a password | whether it is right: the whole way | [`verification`] |
//! | a password | whether it was right before | [`verifier`], [`tag`] |
//! | a password, and what the backend holds | whether it fits, on a thread | [`scram`], [`worker`] |
//! | failed attempts | how long to wait | [`failures`] |

pub mod authorization;
pub mod failures;
pub mod scram;
pub mod secret;
pub mod tag;
pub mod verification;
pub mod verifier;
pub mod worker;
