//! Hashes that stand for secrets.

/// A keyed hash: tells nothing to whoever does not know the key of this process. It has no `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub(super) [u8; 32]);
